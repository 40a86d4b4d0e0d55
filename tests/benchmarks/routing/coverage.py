"""Accuracy against the share of messages that need the model: what `offline-first` keeps, and how much of it is right.

    python tests/benchmarks/routing/coverage.py DATA_DIR

For each threshold (`FLEET_ROUTER_SURE`) the share of messages that the router without a key would leave to the model,
and how many of those it keeps go right, with the 95 % interval. What the model would make of the others is not guessed.
DATA_DIR holds sgd_dev.jsonl, irc_dev.jsonl and agents.json; beside these come the tests' own sixty messages, and a
thousand cases each of dialogues.txt and fresh.txt beside this file, whose agents the router never met. About 20 seconds
on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from dialogues import FILE, interleave, read_trades

from fleet.audit.calibration import calibration
from fleet.audit.cases import read_cases, read_offered
from fleet.audit.evaluate import decider_for, evaluate
from fleet.audit.significance import wilson
from fleet.llm.offline.choice import choose
from fleet.llm.offline.router import OfflineRouter
from fleet.settings import Settings

OWN = Path(__file__).parents[2] / "data"
FRESH = FILE.with_name("fresh.txt")
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


Sure = tuple[float, bool]  # how sure the router was, and whether it was right


def of_file(cases: Path, agents: Path | None = None) -> list[Sure]:
    """Every case of a file, decided by the router alone."""
    offered = read_offered(cases, agents)
    router = OfflineRouter()
    decider = decider_for(offered, router, router, Settings())
    outcomes = asyncio.run(evaluate(read_cases(cases, offered), offered, decider))
    return [(each.confidence or 0.0, each.joint) for each in outcomes]


def of_trades(path: Path, count: int = 1_000) -> list[Sure]:
    """Cases made of a file of conversations."""
    sure = []
    for printed, gold in interleave(list(read_trades(path).values()), count, random.Random(5)):
        first = choose(printed)[0]
        roles = [each.role for each in printed.agents]
        place = first.thread if first.thread is not None else len(printed.threads) + roles.index(first.agent or "")
        sure.append((first.probability, place == gold))
    return sure


def table(name: str, sure: Sequence[Sure]) -> str:
    """A Markdown table, one row a threshold."""
    found = calibration(sure)
    error = f", expected calibration error {found.error:.3f}" if found else ""
    rows = [
        f"{name}: {len(sure)} cases{error}",
        "",
        "| sure to at least | the model is asked about | of the others right | 95 % |",
        "|---|---|---|---|",
    ]
    for least in THRESHOLDS:
        kept = [right for confidence, right in sure if confidence >= least]
        low, high = wilson(sum(kept), len(kept))
        share = f"{sum(kept) / len(kept):.3f} | {low:.3f} to {high:.3f}" if kept else "- | -"
        rows.append(f"| {least:.2f} | {1 - len(kept) / len(sure):.0%} | {share} |")
    return "\n".join([*rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    given = parser.parse_args()
    print(table("own messages", of_file(OWN / "routing_own_cases.jsonl", OWN / "routing_own_agents.json")), flush=True)
    print(table("trades", of_trades(FILE)), flush=True)
    print(table("fresh trades", of_trades(FRESH)), flush=True)
    for name in ("irc_dev", "sgd_dev"):
        print(table(name, of_file(given.data / f"{name}.jsonl")), flush=True)


if __name__ == "__main__":
    main()

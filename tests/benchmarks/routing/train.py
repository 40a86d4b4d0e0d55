"""Train the weights of offline:router.

    apt-get install wordnet-base
    pip install torch==2.13.0 && pip install -e '.[train]'
    python tests/benchmarks/routing/train.py DATA_DIR --out fleet/llm/offline/router.weights

DATA_DIR holds sgd_train_big.jsonl.gz, sgd_train.jsonl.gz, irc_train.jsonl.gz and agents.json (README.md there says what
a case is); talks/ beside this file holds conversations of many trades, written for this package. Every 15th user of the
task dialogues is kept back: the temperature is fitted on those; that for agents of other trades on dialogues.txt, which
nothing is trained on. Seeded: the same data and libraries give the same weights. About 35 minutes on two cores. The dev
files are for choosing, and not read here.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from export import export
from lessons import KNOWN, Lessons, prepare
from net import Feeder, Judge, Shape
from prepare import MOST_THREADS, Table, join_tables
from torch.nn import functional

from fleet.llm.offline.features import MESSAGE

LABEL = (
    "Schema-Guided Dialogue (CC BY-SA 4.0); Ubuntu IRC disentanglement, Kummerfeld et al. 2019 (CC BY 4.0); "
    "conversations of talks/, written for this package; vectors distilled from all-MiniLM-L6-v2 (Apache 2.0) over "
    "these and WordNet 3.0"
)
FAMILIAR = (30.0, 0.76)  # how steeply, and from which share of known words on, agents are familiar
#: What each judge counts: among familiar agents, among strange ones, in rooms.
SHARES = {
    "familiar": {"words": 0.5, "forms": 0.5},
    "strange": {"meaning": 0.5, "sense": 0.5},
    "rooms": {"rooms": 1.0},
}
SHORT = 1.7  # what a message of up to five words counts
_BATCH = 128


@dataclass(frozen=True)
class Course:
    """How a judge is trained: on which tables, each counted how much, for how long, doing without what how often."""

    shape: Shape
    counts: dict[str, float]
    drop: dict[str, float]
    rounds: int
    per_round: int = 80_000
    rate: float = 4e-3


_TASKS = {"tasks": 1.0, "mixed": 1.0, "openings": 1.0}
_TRADES = {"tasks": 0.3, "mixed": 0.3, "openings": 1.0, "trades": 3.0, "varied_trades": 3.0}
_WITHOUT = {"words": 0.2, "cross": 0.4, "agent": 0.3, "near": 0.3, "number": 0.15, "hidden": 0.15}
COURSES = {
    "words": Course(
        Shape(hidden=32, pair=16, own=24, crosses=True), _TASKS,
        {"words": 0.25, "cross": 0.5, "agent": 0.3, "near": 0.3, "number": 0.2, "hidden": 0.2}, rounds=6,
    ),
    "forms": Course(Shape(hidden=48), _TASKS, {"near": 0.3, "number": 0.05, "hidden": 0.1}, rounds=10),
    "meaning": Course(Shape(hidden=64, pair=20, crosses=True), _TRADES, _WITHOUT, rounds=14),
    "sense": Course(Shape(hidden=64, pair=20), _TRADES, _WITHOUT, rounds=14),
    "rooms": Course(Shape(hidden=48, near=False), {"room": 1.0, "varied_room": 1.0}, {"hidden": 0.4}, rounds=12),
}  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the training files")
    parser.add_argument("--out", type=Path, default=Path("router.weights"))
    parser.add_argument(
        "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder with data.noun and so on"
    )
    parser.add_argument("--cases", type=int, default=72_000, help="task cases to use")
    parser.add_argument("--processes", type=int, default=2, help="that describe the cases; the weights are the same")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--judges-seed", type=int, default=8, help="of the networks; of two to five tried, the best on the dev files"
    )
    parser.add_argument("--version", type=int, default=3, help="the number that the weights carry")
    return parser.parse_args()


def fit(course: Course, feed: Feeder, lessons: Lessons, seed: int) -> Judge:
    """A judge trained as its course says: Adam, one cycle of at most its rate."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    judge = Judge(course.shape, KNOWN, lessons.rows.shape[1])
    if course.shape.own:
        judge.begin_with(lessons.rows[:KNOWN], lessons.strength[:KNOWN])
    whole = join_tables([lessons.tables[name] for name in course.counts])
    counts = torch.from_numpy(
        np.concatenate([_counts(name, lessons.tables[name], much) for name, much in course.counts.items()])
    )
    others = dict(judge.named_parameters())
    groups = [
        {"params": [others.pop(name)], "lr": rate * course.rate}
        for name, rate in (("words", 0.2), ("cross", 2.5))
        if name in others
    ]
    groups.append({"params": list(others.values()), "lr": 0.5 * course.rate})
    optimizer = torch.optim.Adam(groups)
    steps = min(course.per_round, len(whole)) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [each["lr"] for each in groups], total_steps=course.rounds * steps + 1, pct_start=0.1
    )
    judge.train()
    for number in range(course.rounds):
        order, total = rng.permutation(len(whole)), 0.0
        for step in range(steps):
            at = order[step * _BATCH : (step + 1) * _BATCH]
            inputs, gold = feed.batch(judge, whole, at)
            loss = (functional.cross_entropy(judge(inputs, course.drop), gold, reduction="none") * counts[at]).mean()
            optimizer.zero_grad()
            (loss + judge.penalty()).backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"round {number + 1}: {total / steps:.3f}", flush=True)
    return judge


def _counts(name: str, table: Table, much: float) -> np.ndarray:
    if name not in COURSES["rooms"].counts:
        # Whoever says little leaves more to be understood.
        short = table.message[:, MESSAGE.index("to_five")] > 0
        return np.where(short, SHORT * much, much).astype(np.float32)
    # In the rooms' files the newest thread is continued less often than it is in a room.
    return np.where(table.gold == 0, 1.7, np.where(table.gold >= MOST_THREADS, 0.5, 1.0)).astype(np.float32)


def believed(judge: Judge, feed: Feeder, table: Table) -> np.ndarray:
    """The logarithms of a judge's probabilities for every case of the table."""
    judge.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(table), 500):
            inputs, _ = feed.batch(judge, table, np.arange(start, min(start + 500, len(table))))
            parts.append(torch.log_softmax(judge(inputs, {}), -1).numpy())
    return np.concatenate(parts)


def fit_temperature(scores: np.ndarray, gold: np.ndarray) -> float:
    """The temperature under which the right answers are likeliest."""

    def surprise(temperature: float) -> float:
        logs = torch.log_softmax(torch.from_numpy(scores / temperature), -1).numpy()
        return float(-logs[np.arange(len(gold)), gold].mean())

    return min((round(0.5 + 0.02 * step, 2) for step in range(100)), key=surprise)


def train(a: argparse.Namespace, lessons: Lessons) -> None:
    """Train the judges on what was prepared, and write the weights."""
    torch.set_num_threads(1)
    feed = Feeder(lessons.flat, lessons.ends, lessons.pooled, KNOWN)
    judges = {}
    for name, course in COURSES.items():
        print(name, flush=True)
        judges[name] = fit(course, feed, lessons, a.judges_seed)
    tables = {"familiar": lessons.tables["kept_back"], "strange": lessons.tables["unseen_trades"]}
    scores = {
        kind: sum(share * believed(judges[name], feed, table) for name, share in SHARES[kind].items())
        for kind, table in tables.items()
    }
    gold = {kind: table.gold for kind, table in tables.items()}
    temperatures = {name: fit_temperature(each, gold[name]) for name, each in scores.items()}
    right = {name: round(float((each.argmax(1) == gold[name]).mean()), 4) for name, each in scores.items()}
    about: dict[str, Any] = {
        "version": a.version, "licence": "CC BY-SA 4.0, see router.weights.NOTICE", "trained_on": LABEL,
        "seeds": [a.seed, a.judges_seed],
        "cases": sum(len(lessons.tables[name]) for name in {n for each in COURSES.values() for n in each.counts}),
        "scores": {"kept_back_users": right["familiar"], "unseen_trades": right["strange"]}, "familiar": FAMILIAR,
        "shares": SHARES, "temperatures": {**temperatures, "rooms": 1.0},
    }  # fmt: skip
    a.out.write_bytes(export(judges, lessons, KNOWN, about))
    print(f"{a.out}: {a.out.stat().st_size} bytes, temperatures {temperatures}, right {right}")


def main() -> None:
    a = arguments()
    train(a, prepare(a))


if __name__ == "__main__":
    main()

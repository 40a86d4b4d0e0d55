"""fleet against its peers, alternately, with the same arguments: medians of each, and the ratio pair by pair.

    python tests/benchmarks/bench_compare.py --statek PATH/bench_statek.py --statek-python peer/bin/python \\
        --langgraph-python lg/bin/python --pairs 5 -- --messages 200 --latency-ms 200 --users 200

A peer runs in an environment of its own: `pip install 'statek[dbzero]==1.4.2'`, and `pip install langgraph
langgraph-checkpoint-sqlite httpx`. Only ratios within one run mean anything: the machine is in both halves.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HIGHER = ("routed_per_s",)
LOWER = ("cpu_ms_per_message", "serial_overhead_ms_p50", "db_bytes_per_message", "same_user_order_inversions")


def measure(command: list[str], tries: int = 3) -> dict[str, float]:
    """One run's figures. A peer that crashes is run again: its native store may abort in a long run."""
    for _ in range(tries):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode == 0 and lines:
            return dict(json.loads(lines[-1]))
        print(f"again: {command[1]} ended with {done.returncode}: {done.stderr.strip()[-200:]}", file=sys.stderr)
    raise SystemExit(f"{command[1]} gave no figures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--statek", type=Path, help="the peer's bench_statek.py")
    parser.add_argument("--statek-python", default=sys.executable)
    parser.add_argument("--langgraph-python")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("rest", nargs="*", help="after --: what every benchmark gets")
    a = parser.parse_args()
    commands = {"fleet": [sys.executable, str(HERE / "bench_routing.py"), "--json", *a.rest]}
    if a.statek:
        commands["statek"] = [a.statek_python, str(a.statek), *a.rest]
    if a.langgraph_python:
        commands["langgraph"] = [a.langgraph_python, str(HERE / "peers" / "bench_langgraph.py"), *a.rest]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for pair in range(a.pairs):
        for name, command in commands.items():
            runs[name].append(measure(command))
            shown = {key: runs[name][-1].get(key) for key in (*HIGHER, *LOWER)}
            print(f"pair {pair + 1} {name}: {shown}", file=sys.stderr)
    table: dict[str, dict[str, float]] = {}
    for name, figures in runs.items():
        table[name] = {key: statistics.median(run.get(key, 0.0) for run in figures) for key in (*HIGHER, *LOWER)}
        if name != "fleet":
            for key in (*HIGHER, *LOWER):
                ours, theirs = [run[key] for run in runs["fleet"]], [run.get(key, 0.0) for run in figures]
                ratios = [(o / t if key in HIGHER else t / o) for o, t in zip(ours, theirs, strict=True) if o and t]
                if ratios:
                    table[name][f"fleet_is_better_by_{key}"] = round(statistics.median(ratios), 1)
    if a.json:
        print(json.dumps({"arguments": a.rest, "pairs": a.pairs, "medians": table}))
        return
    for name, figures in table.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:46} {value:g}")


if __name__ == "__main__":
    main()

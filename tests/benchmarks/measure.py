"""Every figure of the README's performance table, measured into a folder; `report.py` draws the table and the chart.

    python tests/benchmarks/measure.py OUT [--big HOME] [--statek PATH/bench_statek.py --statek-python P]
                                           [--langgraph-python P]

`--big` is a home with many threads that `bench_routing.py --threads N --dir HOME --keep` has left; it is used as it is.
Run it on a quiet machine: about ten minutes without peers and `--big`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HTTP = ("--transport", "http", "--users", "200")
INPROC = ("--transport", "inproc", "--users", "200")
ROUTING = {
    "http_200ms": (*HTTP, "--latency-ms", "200", "--messages", "2000", "--serial", "5"),
    "http_200ms_short": (*HTTP, "--latency-ms", "200", "--messages", "200", "--serial", "5"),
    "http_0ms": (*HTTP, "--messages", "2000"),
    "inproc_0ms": (*INPROC, "--messages", "4000", "--serial", "200"),
    "inproc_0ms_replies": (*INPROC, "--messages", "2000", "--workers"),
}


def figures(*arguments: str) -> dict[str, float]:
    """One run of bench_routing."""
    command = [sys.executable, str(HERE / "bench_routing.py"), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def in_pairs(big: Path, pairs: int) -> dict[str, dict[str, float]]:
    """A home with many threads and one with a thousand, in turn: a machine's speed changes from minute to minute."""
    found: dict[str, list[dict[str, float]]] = {"big": [], "small": []}
    arguments = ("--transport", "inproc", "--messages", "200", "--serial", "1000", "--users", "50", "--keep")
    with tempfile.TemporaryDirectory(prefix="bench_small_", dir=Path.cwd()) as folder:
        small = ("--threads", "1000", "--owners", "100", "--dir", f"{folder}/home")
        for _ in range(pairs):
            found["big"].append(figures(*arguments, "--dir", str(big)))
            found["small"].append(figures(*arguments, *small))
    return {name: median(runs) for name, runs in found.items()}


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure that is a number."""
    return {
        key: round(statistics.median(run[key] for run in runs), 3)
        for key, value in runs[0].items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--big", type=Path)
    parser.add_argument("--statek", type=Path)
    parser.add_argument("--statek-python", default=sys.executable)
    parser.add_argument("--langgraph-python")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    routing = {}
    for name, arguments in ROUTING.items():
        routing[name] = median([figures(*arguments) for _ in range(a.runs)])
        print(name, routing[name]["routed_per_s"], file=sys.stderr)
    (a.out / "routing.json").write_text(json.dumps(routing, indent=1), "utf-8")
    if a.sizes:
        command = [sys.executable, str(HERE / "bench_scale.py"), "--json", "--sizes", *map(str, a.sizes)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        (a.out / "scale.jsonl").write_text(done.stdout, "utf-8")
    if a.big:
        (a.out / "big.json").write_text(json.dumps(in_pairs(a.big, a.runs), indent=1), "utf-8")
    if a.statek or a.langgraph_python:
        command = [sys.executable, str(HERE / "bench_compare.py"), "--json", "--pairs", str(a.runs)]
        if a.statek:
            command += ["--statek", str(a.statek), "--statek-python", a.statek_python]
        if a.langgraph_python:
            command += ["--langgraph-python", a.langgraph_python]
        command += ["--", "--messages", "200", "--latency-ms", "200", "--concurrency", "50", "--transport", "http"]
        command += ["--users", "200"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        (a.out / "compare.json").write_text(done.stdout, "utf-8")


if __name__ == "__main__":
    main()

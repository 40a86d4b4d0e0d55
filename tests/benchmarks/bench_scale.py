"""How the pipeline behaves as history grows: threads, messages a thread, one user's threads, one thread's turns.

    python tests/benchmarks/bench_scale.py --sizes 1000 10000 100000 1000000 --json

For each: what is added to a single message (p50 of --serial), CPU a message, the start with a current graph, memory,
bytes, and how fast the history is replayed into an empty graph.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_app as bench
from bench_routing import grow

from fleet import Fleet, Settings

HERE = Path(__file__).resolve().parent
SHOWN = ("open_s", "serial_overhead_ms_p50", "serial_overhead_ms_p99", "cpu_ms_per_message", "rss_mb_before",
         "rss_mb_after", "fsync_ms_p50", "ledger_bytes", "graph_bytes")  # fmt: skip


async def replay(home: Path) -> tuple[int, float]:
    """Rebuild the graph from the ledger alone; events, and events a second."""
    shutil.rmtree(home / "graph")
    began = time.perf_counter()
    fleet = Fleet(bench.application(), Settings.load(home=home), workers=False)
    async with fleet:
        took = time.perf_counter() - began
        events = fleet.ledger.head()[0]
    return events, events / took


def case(name: str, threads: int, history: int, users: int, serial: int, folder: Path) -> dict[str, object]:
    home = folder / name
    began = time.perf_counter()
    asyncio.run(grow(home, threads, users, history))
    grown_s = time.perf_counter() - began
    command = [
        sys.executable, str(HERE / "bench_routing.py"), "--json", "--transport", "inproc", "--messages", "200",
        "--serial", str(serial), "--users", str(min(users, 50)), "--dir", str(home), "--keep",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    events, rate = asyncio.run(replay(home))
    shutil.rmtree(home)
    return {
        "case": name, "threads": threads, "messages_a_thread": history, "users": users, "grown_s": round(grown_s, 1),
        **{key: figures[key] for key in SHOWN}, "events": events, "replayed_per_s": round(rate),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--histories", type=int, nargs="*", default=[10, 100], help="messages a thread, 1,000 threads")
    parser.add_argument("--serial", type=int, default=200)
    parser.add_argument("--one-user", type=int, default=10_000, help="threads of a single user (0: leave out)")
    parser.add_argument("--one-thread", type=int, default=10_000, help="turns of a single thread (0: leave out)")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench_scale_", dir=Path.cwd()))
    cases = [(f"threads_{size}", size, 1, max(50, size // 10)) for size in a.sizes]
    cases += [(f"history_{history}", 1_000, history, 100) for history in a.histories]
    cases += [("one_user", a.one_user, 1, 1)] if a.one_user else []
    cases += [("one_thread", 1, a.one_thread, 1)] if a.one_thread else []
    try:
        for name, threads, history, users in cases:
            figures = case(name, threads, history, users, a.serial, folder)
            print(json.dumps(figures) if a.json else f"{name}: {figures}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

"""How long a start takes: with a current graph, with events to catch up, with nothing but the ledger.

    python tests/benchmarks/bench_recovery.py                       # 10,000 events to catch up, 100,000 to rebuild from
    python tests/benchmarks/bench_recovery.py --threads 1000000     # and the start with that many threads

Every start is a process of its own. Prints the README's rows; with --json one object a measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_app as bench
from bench_routing import grow
from seed import seed

from fleet.graph.checkpoints import Graph
from fleet.graph.files import GraphFiles
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.keeper import keep_command
from fleet.runtime.reducing import reducer_of

MESSAGES = 4  # in each thread, a round of all threads after the other
EVENTS = 4 * MESSAGES  # of a thread, as seeded: accepted, decided, turn started, turn ended


def start(home: Path) -> dict[str, object]:
    """Open the graph of `home` in this process: how, in how many seconds, and the memory that it took in the end."""
    ledger = SqliteLedger.open(home / "ledger.db")
    began, busy = time.perf_counter(), time.process_time()
    graph = Graph(home / "graph", ledger, reducer_of)
    figures = {
        "opened_by": graph.opened_by, "seconds": round(time.perf_counter() - began, 3),
        "cpu_seconds": round(time.process_time() - busy, 3), "rss_mb": round(bench.rss_mb()),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": len(graph.root.threads), "events": graph.root.applied,
    }  # fmt: skip
    graph.close()
    ledger.close()
    return figures


def started(home: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, __file__, "--start", str(home)], capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def kept(home: Path) -> dict[str, object]:
    """Make the kept copy, as the keeper does."""
    command = keep_command(home / "ledger.db", home / "graph", "")
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def told(home: Path, events: int, users: int, first: int) -> None:
    """So many more events in the ledger, as another process appends them."""
    with SqliteLedger.open(home / "ledger.db") as ledger:
        asyncio.run(seed(ledger, events // EVENTS, users, MESSAGES, first=first))


def measure(folder: Path, catch_up: int, rebuild: int, threads: int) -> list[dict[str, object]]:
    home, users = folder / "home", max(50, rebuild // 100)
    asyncio.run(grow(home, 0, users, 1))
    told(home, rebuild, users, 0)
    found = []

    def note(case: str, figures: dict[str, object], events: int = 0) -> None:
        rate = {"events": events, "per_s": round(events / float(str(figures["seconds"])))} if events else {}
        found.append({"case": case, **figures, **rate})

    shutil.rmtree(home / "graph")
    note("rebuilt from nothing", started(home), rebuild)
    note("current", started(home))
    note("kept copy made", kept(home), rebuild)
    told(home, catch_up, users, rebuild)
    shutil.copytree(home, folder / "damaged", ignore=shutil.ignore_patterns("bells"))
    note("caught up", started(home), catch_up)
    (folder / "damaged" / "graph" / "graph.db0").write_bytes(b"")
    note("opened the kept copy, and caught up", started(folder / "damaged"), catch_up)
    if threads:
        large = folder / "large"
        asyncio.run(grow(large, 0, users, 1))
        told(large, EVENTS * threads, max(50, threads // 10), 0)
        shutil.rmtree(large / "graph")
        note("rebuilt from nothing", started(large), EVENTS * threads)
        note("current", started(large))
        files = GraphFiles(large / "graph")
        found[-1]["graph_mb"] = round((files.live / "graph.db0").stat().st_size / 1e6)
    return found


def row(each: dict[str, object]) -> str:
    """One line of the table; rates are per second as it went by, then per second of this processor's own time."""
    events, busy = int(str(each.get("events", 0))) if "per_s" in each else 0, float(str(each.get("cpu_seconds", 0)))
    shown = [
        each["case"], each.get("threads", ""), events or "", f"{float(str(each['seconds'])):.2f}",
        each.get("per_s", ""), round(events / busy) if events and busy else "", each.get("rss_mb", ""),
    ]  # fmt: skip
    return f"| {' | '.join(f'{value:,}' if isinstance(value, int) else str(value) for value in shown)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catch-up", type=int, default=10_000, help="events")
    parser.add_argument("--rebuild", type=int, default=100_000, help="events")
    parser.add_argument("--threads", type=int, default=0, help="start with so many threads too (0: leave out)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.start:
        print(json.dumps(start(a.start)))
        return
    folder = Path(tempfile.mkdtemp(prefix="bench_recovery_", dir=Path.cwd()))
    try:
        found = measure(folder, a.catch_up, a.rebuild, a.threads)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if a.json:
        print("\n".join(map(json.dumps, found)))
        return
    print("| start | threads | events replayed | seconds | events/s | events/s of processor time | RSS, MB |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(map(row, found)))


if __name__ == "__main__":
    main()

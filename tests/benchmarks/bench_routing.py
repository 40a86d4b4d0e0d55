"""The real pipeline under load: inbox, warmup, prompt, model, parse, ledger, graph; with --workers the reply too.

    python tests/benchmarks/bench_routing.py --messages 200 --latency-ms 200 --concurrency 50 --transport http --json

Figures: routed a second over a burst of N messages, CPU of this process a message, what is added to a single message
beyond the model's latency, messages of one user out of order, memory, bytes stored a message.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import bench_app as bench
import fake_model
from seed import seed

from fleet import Fleet, Message, Settings
from fleet.ledger.events import MessageDecided
from fleet.ledger.sqlite import SqliteLedger
from fleet.llm.scripted import ScriptedModel


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1, help="threads that exist before, each answered")
    parser.add_argument("--history", type=int, default=1, help="messages in each of them")
    parser.add_argument("--users", type=int, default=10, help="users that the messages come from in turn")
    parser.add_argument("--owners", type=int, default=0, help="users that own the old threads (0: as many as --users)")
    parser.add_argument("--serial", type=int, default=20, help="messages sent one by one first")
    parser.add_argument("--transport", choices=("inproc", "http"), default="http")
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--keep", action="store_true", help="leave --dir, and use what an earlier run left there")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def grow(home: Path, threads: int, users: int, history: int) -> None:
    """A home with that many answered threads, its graph current."""
    for _ in range(2):  # the agents are declared first; then the history is applied, once, as in any fleet
        async with Fleet(bench.application(), Settings.load(home=home), workers=False):
            pass
        if threads:
            ledger = SqliteLedger.open(home / "ledger.db")
            await seed(ledger, threads, users, history)
            ledger.close()
            threads = 0


async def run(a: argparse.Namespace, home: Path, url: str) -> dict[str, object]:
    latency = a.latency_ms / 1000
    if not (home / "ledger.db").exists():
        await grow(home, a.threads, a.owners or a.users, a.history)
    models = None
    if a.transport == "inproc":

        def route(request):
            return fake_model.answer(request.messages[0]["content"])

        models = {
            bench.ROUTER: ScriptedModel(route, name=bench.ROUTER, latency_s=latency),
            bench.WORKER: ScriptedModel(lambda _: "Done.", name=bench.WORKER, latency_s=latency),
        }
    settings = Settings.load(
        home=home, concurrency=a.concurrency, router_model=bench.ROUTER, worker_model=bench.WORKER,
        anthropic_api_key="none", anthropic_base_url=url,
    )  # fmt: skip
    began = time.perf_counter()
    async with Fleet(bench.application(), settings, models=models, workers=a.workers) as fleet:
        opened_s = time.perf_counter() - began
        gc.collect()
        gc.freeze()  # as `fleet worker` does
        decided: dict[str, float] = {}
        order: list[str] = []
        arrived = asyncio.Event()

        def listen(stored) -> None:
            if isinstance(stored.event, MessageDecided):
                decided[stored.event.message_id] = time.perf_counter()
                order.append(stored.event.message_id)
                arrived.set()

        fleet.on(listen)
        rss_before, bytes_before = bench.rss_mb(), bench.bytes_below(home)
        pushed: dict[str, float] = {}
        run = f"{time.time_ns():x}"  # a home that an earlier run left knows that run's messages
        names = [f"{run}_{i}" for i in range(a.serial + a.messages)]

        async def push(i: int) -> None:
            pushed[names[i]] = time.perf_counter()
            await fleet.accept(Message(f"user{i % a.users}", f"MSG {i} please continue or start something", names[i]))

        fsync = bench.fsync_ms(home)
        for i in range(a.serial):
            await push(i)
            while names[i] not in decided:
                arrived.clear()
                await arrived.wait()
        serial = [1000 * (decided[name] - pushed[name]) for name in names[: a.serial]] or [0.0]
        total = a.serial + a.messages
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(push(i) for i in range(a.serial, total)))
        pushing_s = time.perf_counter() - wall
        while len(decided) < total:
            arrived.clear()
            await arrived.wait()
        burst_s, burst_cpu = max(decided.values()) - wall, time.process_time() - cpu
        await fleet.idle()
        drain_s = time.perf_counter() - wall
        rss_after = bench.rss_mb()
        parts = {"ledger": home / "ledger.db", "graph": home / "graph" / "graph.db0"}
        fleet.checkpoint()
    last, inversions, pairs = {}, 0, 0
    for message_id in order:
        i = int(message_id.rpartition("_")[2])
        if i >= a.serial:
            user = i % a.users
            if user in last:
                pairs, inversions = pairs + 1, inversions + (i < last[user])
            last[user] = i
    latencies = [1000 * (decided[name] - pushed[name]) for name in names[a.serial :]]
    return {
        "peer": "fleet", "python": sys.version.split()[0], "messages": a.messages, "latency_ms": a.latency_ms,
        "threads": a.threads, "history": a.history, "users": a.users, "concurrency": a.concurrency,
        "transport": a.transport, "workers": a.workers, "open_s": round(opened_s, 3),
        "routed": len(decided), "expected": total, "duplicates": len(order) - len(set(order)),
        "same_user_order_inversions": inversions, "same_user_pairs": pairs,
        "burst_s": round(burst_s, 3), "routed_per_s": round(a.messages / burst_s, 1),
        "ideal_per_s": round(a.concurrency / latency, 1) if latency else None,
        "cpu_ms_per_message": round(1000 * burst_cpu / a.messages, 3),
        "fsync_ms_p50": round(fsync, 3),
        "serial_overhead_ms_p50": round(statistics.median(serial) - a.latency_ms, 2),
        "serial_overhead_ms_p95": round(bench.quantile(serial, 0.95) - a.latency_ms, 2),
        "serial_overhead_ms_p99": round(bench.quantile(serial, 0.99) - a.latency_ms, 2),
        "burst_latency_ms_p50": round(bench.quantile(latencies, 0.5), 1),
        "burst_latency_ms_p99": round(bench.quantile(latencies, 0.99), 1),
        "push_ms_per_message": round(1000 * pushing_s / a.messages, 3),
        "rss_mb_before": round(rss_before, 1), "rss_mb_after": round(rss_after, 1),
        "rss_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "db_bytes_per_message": round((bench.bytes_below(home) - bytes_before) / total, 1),
        "ledger_bytes": parts["ledger"].stat().st_size, "graph_bytes": parts["graph"].stat().st_size,
        "drain_s": round(drain_s, 3),
    }  # fmt: skip


def main() -> None:
    a = arguments()
    home = a.dir or Path(tempfile.mkdtemp(prefix="bench_fleet_", dir=Path.cwd()))
    server, url = fake_model.start_server(a.latency_ms / 1000) if a.transport == "http" else (None, "")
    try:
        figures = asyncio.run(run(a, home, url))
    finally:
        if server is not None:
            server.kill()
            server.wait()
        if not a.keep:
            shutil.rmtree(home, ignore_errors=True)
    if a.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()

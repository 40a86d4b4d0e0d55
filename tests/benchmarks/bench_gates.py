"""Messages settled by a gate, without a model, through one worker: accepted, decided, both durable.

    python tests/benchmarks/bench_gates.py --messages 100000 --users 1000 --in-flight 500 --json
    python tests/benchmarks/bench_gates.py --flood 10000 --json

Figures: decided a second, from accept to a durable decision at p50, p95 and p99, bytes a message, memory. With --flood
one user sends so many at once, and the figure is how long another user's message then takes to be routed, and how long
to be answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import bench_app as bench

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Fleet, Message, Settings
from fleet.ledger.events import MessageDecided
from fleet.llm.scripted import ScriptedModel

WORKER = "bench:worker"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=500, help="messages sent and not yet decided, at most")
    parser.add_argument("--workers", action="store_true", help="have each thread's agent answer too, with a ready text")
    parser.add_argument("--flood", type=int, default=0, help="one user sends so many at once; then another sends one")
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def gate(message):
    action = DispatchAction.CREATE_AGENT if message.channel == "new" else DispatchAction.ROUTE
    return DispatchResult(key=message.session_id, action=action)


def opened(home: Path, *, workers: bool, latency_s: float = 0.0) -> Fleet:
    app = App(name="bench", agents=[DialogAgent(role="desk", description="Takes everything")], gate=gate)
    settings = Settings(home=home, router_model="none", worker_model=WORKER)
    models = {WORKER: ScriptedModel(lambda _: "Done.", name=WORKER, latency_s=latency_s)}
    return Fleet(app, settings, models=models, workers=workers)


async def steady(a: argparse.Namespace, home: Path) -> dict[str, object]:
    async with opened(home, workers=a.workers) as fleet:
        began: dict[str, float] = {}
        took: list[float] = []
        room = asyncio.Semaphore(a.in_flight)

        def listen(stored) -> None:
            if isinstance(stored.event, MessageDecided):
                took.append(1000 * (time.perf_counter() - began.pop(stored.event.message_id)))
                room.release()

        fleet.on(listen)
        fsync = bench.fsync_ms(home)
        wall, cpu = time.perf_counter(), time.process_time()
        sending: set[asyncio.Task] = set()
        for number in range(a.messages):
            await room.acquire()
            message_id = f"b{number}"
            began[message_id] = time.perf_counter()
            user = f"user{number % a.users}"
            task = asyncio.create_task(fleet.accept(Message(user, f"message {number}", message_id, session_id="s")))
            sending.add(task)
            task.add_done_callback(sending.discard)
        await asyncio.gather(*sending)
        while len(took) < a.messages:
            await asyncio.sleep(0.01)
        routed_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        await fleet.idle()
        answered_s = time.perf_counter() - wall
        fleet.checkpoint()
        rss = bench.rss_mb()
    return {
        "messages": a.messages, "users": a.users, "in_flight": a.in_flight, "workers": a.workers,
        "decided": len(took), "decided_per_s": round(a.messages / routed_s, 1), "seconds": round(routed_s, 2),
        "cpu_ms_per_message": round(1000 * cpu_s / a.messages, 3),
        "accept_to_decision_ms_p50": round(bench.quantile(took, 0.5), 2),
        "accept_to_decision_ms_p95": round(bench.quantile(took, 0.95), 2),
        "accept_to_decision_ms_p99": round(bench.quantile(took, 0.99), 2),
        "answered_s": round(answered_s, 2) if a.workers else None, "fsync_ms_p50": round(fsync, 3),
        "bytes_per_message": round(bench.bytes_below(home) / a.messages), "rss_mb": round(rss, 1),
        "python": sys.version.split()[0],
    }  # fmt: skip


async def flood(a: argparse.Namespace, home: Path) -> dict[str, object]:
    async with opened(home, workers=True, latency_s=0.05) as fleet:
        decided: dict[str, float] = {}

        def listen(stored) -> None:
            if isinstance(stored.event, MessageDecided):
                decided[stored.event.message_id] = time.perf_counter()

        fleet.on(listen)
        flooding = [
            asyncio.create_task(fleet.accept(Message("flooder", f"message {n}", f"f{n}", channel="new")))
            for n in range(a.flood)
        ]
        while not decided:
            await asyncio.sleep(0.005)
        sent = time.perf_counter()
        await fleet.accept(Message("other", "hi", "o1", session_id="s"))
        behind = a.flood - len(decided)
        await fleet.reply_to("o1")
        replied = time.perf_counter()
        await asyncio.gather(*flooding)
    return {
        "flood": a.flood, "waiting_when_sent": behind, "routed_ms": round(1000 * (decided["o1"] - sent), 1),
        "answered_ms": round(1000 * (replied - sent), 1),
    }  # fmt: skip


def main() -> None:
    a = arguments()
    home = a.dir or Path(tempfile.mkdtemp(prefix="bench_gates_", dir=Path.cwd()))
    try:
        figures = asyncio.run(flood(a, home) if a.flood else steady(a, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if a.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()

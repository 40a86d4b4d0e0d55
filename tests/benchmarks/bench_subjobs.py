"""Jobs that hand tasks to others, many of them: how long they take, and whether the worker's memory stays bounded.

    python tests/benchmarks/bench_subjobs.py                 # 10,000 jobs, at 1 and at 50 turns at a time
    python tests/benchmarks/bench_subjobs.py --jobs 1000

Each job hands its task to two others, and one of those hands it on: three children a job. Each run is a process of its
own; models answer at once. Prints the README's rows: jobs, children, turns at a time, seconds, processor time in ms for
each of them, memory in MB at a tenth, a half and the end. With --json one object a run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_app as bench

from fleet import App, DialogAgent, Fleet, Message, Settings
from fleet.ledger.base import Stored
from fleet.ledger.events import SubjobStarted, TurnEnded
from fleet.llm.base import Answer, Request

USERS = 40
AHEAD = 500  # messages that wait at a time: what comes in waits in the inbox, and that has a limit of its own
HAND_DOWN = {"lead": ("writer", "researcher"), "researcher": ("checker",)}
APP = App(
    name="office",
    agents=[
        DialogAgent("lead", description="Leads", may_dispatch=["writer", "researcher"]),
        DialogAgent("writer", description="Writes"),
        DialogAgent("researcher", description="Finds out", may_dispatch=["checker"]),
        DialogAgent("checker", description="Checks"),
    ],
)


class Router:
    """Starts a thread of the lead for every message."""

    name = "bench:router"

    async def complete(self, request: Request) -> Answer:
        said = '```python\nstart_new_thread(agent="lead", language="en", name="A task")\n```'
        return Answer(({"type": "text", "text": said},), "end_turn", self.name)

    async def aclose(self) -> None:
        """Nothing to let go of."""


class Worker(Router):
    """Hands the task on to whoever its agent may hand it to, once; then tells what came back."""

    name = "bench:worker"

    async def complete(self, request: Request) -> Answer:
        others = [] if len(request.messages) > 1 or not request.tools else (
            request.tools[-1]["input_schema"]["properties"]["agent"]["enum"]
        )  # fmt: skip
        calls: list[Any] = [
            {"type": "tool_use", "id": f"call_{role}", "name": "subagent_dispatch",
             "input": {"agent": role, "task": "Do your part of it."}} for role in others
        ]  # fmt: skip
        return Answer(tuple(calls) or ({"type": "text", "text": "It is done."},), "tool_use" if calls else "end_turn",
                      self.name)  # fmt: skip


async def run(home: Path, jobs: int, concurrency: int) -> dict[str, Any]:
    """So many jobs to their end: seconds, and megabytes of memory at a tenth, at half and at the end of them."""
    settings = Settings(home=home, router_model="bench:router", worker_model="bench:worker", concurrency=concurrency)
    looks, ended, children = {jobs // 10: 0.0, jobs // 2: 0.0, jobs: 0.0}, 0, 0
    room = asyncio.Semaphore(AHEAD)

    def heard(stored: Stored) -> None:
        nonlocal ended, children
        children += isinstance(stored.event, SubjobStarted)
        if isinstance(stored.event, TurnEnded) and stored.event.message_ids[0].startswith("m-"):
            assert stored.event.result == "success", stored.event.reason
            ended += 1
            if ended in looks:
                looks[ended] = bench.rss_mb()
            room.release()

    async with Fleet(APP, settings, models={"bench:router": Router(), "bench:worker": Worker()}) as fleet:
        fleet.on(heard)
        before = bench.rss_mb()
        began, busy = time.perf_counter(), time.process_time()
        for number in range(jobs):
            await room.acquire()
            await fleet.accept(Message(f"u{number % USERS}", f"Task {number}", f"m-{number}"))
        await fleet.idle()
        took, used = time.perf_counter() - began, time.process_time() - busy
    assert ended == jobs
    return {
        "jobs": jobs, "children": children, "concurrency": concurrency, "seconds": round(took, 1),
        "cpu_ms_a_job": round(1000 * used / (jobs + children), 2), "rss_mb_before": round(before),
        "rss_mb": {str(each): round(found) for each, found in looks.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[1, 50])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.home:
        print(json.dumps(asyncio.run(run(given.home, given.jobs, given.concurrency[0]))))
        return
    for concurrency in given.concurrency:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--jobs", str(given.jobs), "--concurrency", str(concurrency), "--home",
                       f"{folder}/home"]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        memory = " | ".join(str(each) for each in found["rss_mb"].values())
        print(json.dumps(found) if given.json else f"| {found['jobs']:,} | {found['children']:,} | {concurrency} | "
              f"{found['seconds']:g} | {found['cpu_ms_a_job']} | {memory} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

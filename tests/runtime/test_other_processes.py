"""Another process adds to the inbox while the worker runs: it is woken, quickly, without polling."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from support.fleets import check_exactly_once, decisions, events_of, open_fleet

from fleet.ledger.events import MessageDecided

ROOT = Path(__file__).parents[2]
SEND = """
import sys
from pathlib import Path
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now
ledger = Home(Path(sys.argv[1])).open_ledger()
for line in sys.stdin:
    user, text = line.rstrip("\\n").split(" ", 1)
    print(accept_now(ledger, Message(user, text), 1000).message_id, flush=True)
ledger.close()
"""


def sender(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SEND, str(home)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


async def say(process: subprocess.Popen[str], line: str) -> str:
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_a_message_of_another_process_is_answered_soon(tmp_path):
    async with open_fleet(tmp_path / "home") as fleet:
        with sender(tmp_path / "home") as other:
            waits = []
            for n in range(10):
                message_id = await say(other, f"ana message {n}")
                began = time.perf_counter()
                assert await fleet.reply_to(message_id) == f"You said: message {n}"
                waits.append(time.perf_counter() - began)
            other.stdin.close()
        assert sorted(waits)[5] < 0.5  # routed, answered, all durable; a poll of once a second would show
        check_exactly_once(events_of(fleet))


async def test_two_processes_and_the_worker_write_at_once(tmp_path):
    async with open_fleet(tmp_path / "home") as fleet:
        with sender(tmp_path / "home") as one, sender(tmp_path / "home") as two:

            async def send(process, user):
                for n in range(15):
                    await say(process, f"{user} message {n}")
                process.stdin.close()

            async def own():
                for n in range(15):
                    await fleet.accept({"user": "chi", "text": f"message {n}"})

            await asyncio.gather(send(one, "ana"), send(two, "bo"), own())
            while len(decisions(fleet)) < 45:
                await next_decision(fleet)
        await fleet.idle()
        check_exactly_once(events_of(fleet))
        assert fleet.ledger.verify().ok


async def next_decision(fleet):
    done = asyncio.Event()

    def listen(stored):
        if isinstance(stored.event, MessageDecided):
            done.set()

    fleet.on(listen)
    if len(decisions(fleet)) < 45:
        await done.wait()

"""What is counted after kills: messages lost, doubled, reordered; and loopback models that answer as offline ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fleet.ledger.base import Ledger
from fleet.ledger.events import (
    CallResolved,
    ConfirmationSettled,
    MessageAccepted,
    MessageDecided,
    PersonReplied,
    ReplyDelivered,
    ReplyFailed,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.llm.base import Request
from fleet.llm.offline.router import OfflineRouter
from fleet.llm.offline.worker import OfflineWorker
from support.messages_server import MessagesServer, Reply, text, tool_use

QUEUES = ("inbox", "turns", "outbox")
ANNOUNCE = "Announce to everybody:"


@dataclass
class Tally:
    """What a run of kills came to. The lists name what was found, and are empty if the promise holds."""

    kills: int = 0
    messages: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    unrecoverable: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.kills += other.kills
        self.messages += other.messages
        for name in ("lost", "doubled", "reordered", "unrecoverable"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.reordered or self.unrecoverable)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.messages} messages: {len(self.lost)} lost, {len(self.doubled)} doubled, "
            f"{len(self.reordered)} reordered, {len(self.unrecoverable)} unrecoverable"
        )


def look(ledger: Ledger, said: Mapping[str, Sequence[str]], *, over: bool) -> Tally:
    """Look at every message of a home on which no worker runs; `said` maps a user to the ids that were taken in order.

    What has not come to its end must be in a queue, and with `over` there must be no such thing.
    """
    accepted: dict[str, list[str]] = {}
    decided: dict[str, list[str]] = {}
    routed: dict[str, list[str]] = {}
    answered: dict[str, list[str]] = {}
    said_so: list[str] = []
    heard: list[str] = []
    started: list[str] = []
    ended: list[str] = []
    replies: list[str] = []
    settled: list[str] = []
    calls: list[str] = []
    for stored in ledger.read():
        event = stored.event
        if isinstance(event, MessageAccepted):
            accepted.setdefault(event.user, []).append(event.message_id)
        elif isinstance(event, MessageDecided):
            decided.setdefault(event.user, []).append(event.message_id)
            if event.decision.thread_id:
                routed.setdefault(event.decision.thread_id, []).append(event.message_id)
        elif isinstance(event, ConfirmationSettled):
            said_so.append(event.confirm_id)
        elif isinstance(event, (CallResolved, PersonReplied)):
            said_so.append(event.key)
        elif isinstance(event, TurnStarted):
            started.append(f"{event.job_id} turn {event.turn}")
        elif isinstance(event, TurnEnded):
            answered.setdefault(event.thread_id, []).extend(event.message_ids)
            heard.extend(event.settled)
            ended.append(f"{event.job_id} turn {event.turn}")
            if event.reply_id and event.deliver:
                replies.append(event.reply_id)
        elif isinstance(event, (ReplyDelivered, ReplyFailed)):
            settled.append(event.reply_id)
        elif isinstance(event, ToolReturned):
            calls.append(f"{event.job_id} turn {event.turn} call {event.call_id}")
    waiting = {queue: {each.key for each in ledger.pending(queue)} for queue in QUEUES}
    tally = Tally(messages=sum(map(len, accepted.values())))
    tally.lost += [f"{each} is taken and not accepted" for each in _without(_all(said), _all(accepted))]
    steps = (
        ("inbox", _all(accepted), _all(decided)),
        ("turns", _all(routed) + said_so, _all(answered) + heard),
        ("outbox", replies, settled),
    )
    for queue, begun, done in steps:
        undone = _without(begun, done)
        tally.lost += [f"{each} is out of {queue} and not done" for each in _without(undone, waiting[queue])]
        tally.doubled += [f"{each} is done and still in {queue}" for each in waiting[queue] if each not in undone]
        if over:
            tally.lost += [f"{each} is left in {queue}" for each in sorted(waiting[queue])]
    for name, happened in (
        ("accepted", _all(accepted)), ("decided", _all(decided)), ("answered", _all(answered)), ("settled", said_so),
        ("heard", heard), ("begun", started),
        ("ended", ended), ("out", settled), ("returned", calls),
    ):  # fmt: skip
        tally.doubled += [f"{each} is {name} {count} times" for each, count in Counter(happened).items() if count > 1]
    for before, after in ((said, accepted), (accepted, decided), (routed, answered)):
        for key, order in after.items():
            known = set(order)
            if [each for each in before.get(key, ()) if each in known] != order:
                tally.reordered.append(f"of {key}: {order}")
    return tally


def _all(lists: Mapping[str, Iterable[str]]) -> list[str]:
    return [each for some in lists.values() for each in some]


def _without(some: Iterable[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [each for each in some if each not in known]


async def offline_answer(asked: Mapping[str, Any]) -> Reply:
    """What the offline models would say, over the wire; who says ANNOUNCE has the tool `announce` called."""
    messages = tuple(asked["messages"])
    request = Request(_words(asked.get("system", "")), messages, tuple(asked.get("tools", ())))
    if not request.tools:
        return Reply(content=(await OfflineRouter().complete(request)).content)
    last = messages[-1]["content"]
    if isinstance(last, str):
        told = [words for line in last.splitlines() if (words := _decoded(line)).startswith(ANNOUNCE)]
        if told:
            seed = json.dumps(messages, sort_keys=True).encode()
            return tool_use("announce", {"text": told[0]}, f"toolu_{hashlib.sha256(seed).hexdigest()[:20]}")
    elif any(block.get("name") == "announce" for block in messages[-2]["content"]):
        return text("Everybody knows.")
    return Reply(content=(await OfflineWorker().complete(request)).content)


def _words(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)


def _decoded(line: str) -> str:
    try:
        words = json.loads(line)
    except ValueError:
        return ""
    return words if isinstance(words, str) else ""


@contextmanager
def served_models():
    """The URL of a Messages API server that answers as `offline_answer` does, on a thread of its own."""
    ready: list[str] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        async with MessagesServer(offline_answer, keep=1) as server:
            ready.append(server.url)
            up.set()
            await asyncio.to_thread(down.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert up.wait(60)
    try:
        yield ready[0]
    finally:
        down.set()
        thread.join()

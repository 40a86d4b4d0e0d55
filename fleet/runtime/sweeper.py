"""The sweeper: finds what is past its deadline in any queue, and sees to it that it comes to an end.

It runs on a thread of its own, beside the event loop that does the work, and compares the ledger's queues with what the
loop says that it is doing:

* what is worked on and has made no progress for too long (a model, tool or channel that hangs) is cut off: that counts
  as a failed attempt, and is tried again or set aside like any other;
* what is in the ledger's queue and the loop knows nothing of is set going;
* what merely waits for its turn, its time or its next attempt is left alone.

Each thing done is on record (`stuck.found`). If the event loop itself does not answer, because code of the application
holds it up, the log says where that code is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from fleet.agents.app import App
from fleet.errors import LedgerError
from fleet.ledger.base import Draft, Ledger, Pending
from fleet.ledger.event import Queue
from fleet.ledger.events import (
    CallResolved,
    ConfirmationSettled,
    MessageDecided,
    MessageRetried,
    PersonReplied,
    ReminderFired,
    StuckFound,
    SubjobStarted,
)
from fleet.log import log
from fleet.runtime.loop import Loop
from fleet.settings import Settings

__all__ = ["Sweeper"]

_STREAM = "sweeper"
_QUEUES: tuple[Queue, ...] = ("inbox", "turns", "outbox")
_OF_A_JOB = (MessageRetried, ConfirmationSettled, CallResolved, PersonReplied, SubjobStarted, ReminderFired)
_MOST = 1000  # entries of a queue looked at in one sweep, the oldest first
_ANSWER_S = 5.0  # the loop answers in milliseconds; code that holds it up so long holds up everybody


@dataclass(frozen=True)
class _Late:
    """An entry past its deadline. `work` is what the loop knows it by: for a turn the job's id."""

    queue: Queue
    entry: Pending
    work: str


class Sweeper:
    """Sweeps every `sweep_s` seconds until closed; `write` appends a draft. Made on the event loop that it watches.

    The deadline is `stuck_s`, or twice what the application's slowest tool may take, if that is longer.
    """

    def __init__(
        self,
        ledger: Ledger,
        loop: Loop,
        write: Callable[[Draft], Awaitable[Any]],
        settings: Settings,
        app: App,
    ) -> None:
        self._ledger, self._work, self._write = ledger, loop, write
        slowest_s = max((tool.timeout_s or 0.0 for agent in app.agents.values() for tool in agent.tools), default=0.0)
        self._every_s, self._late_s = settings.sweep_s, max(settings.stuck_s, 2 * slowest_s)
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        self._marks: deque[tuple[float, int]] = deque()  # when the ledger ended where
        self._turn_jobs: dict[int, str] = {}  # seq of an entry of the turns → its job
        self._version = ledger.version(_STREAM)
        self._recording = asyncio.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet-sweeper", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Sweep no more."""
        self._closed.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._closed.wait(self._every_s):
            with suppress(LedgerError):  # out of reach for now; the next sweep looks again
                late = self._late()
                answered = threading.Event()
                with suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._settle, late, answered)
                    self._wait_for(answered)

    def _wait_for(self, answered: threading.Event) -> None:
        """Wait for the event loop; if it does not come round, say what holds it up."""
        began = time.monotonic()
        told = False
        while not answered.wait(0.1) and not self._closed.is_set():
            if not told and time.monotonic() - began >= _ANSWER_S:
                told = True
                frame = sys._current_frames().get(self._loop_thread)
                where = traceback.extract_stack(frame)[-1] if frame is not None else None
                at = f"{where.filename}:{where.lineno} in {where.name}" if where is not None else "unknown"
                log("loop.blocked", level=logging.ERROR, seconds=f"{_ANSWER_S:.0f}", at=at)

    def _late(self) -> list[_Late]:
        """The entries that have been in their queue for longer than the deadline."""
        now = time.monotonic()
        if self._marks and now - self._marks[-1][0] > 2 * self._every_s + _ANSWER_S:
            self._marks.clear()  # this process stood still, and so did everything that it waits for
        self._marks.append((now, self._ledger.head()[0]))
        while len(self._marks) > 1 and self._marks[1][0] <= now - self._late_s:
            self._marks.popleft()
        at, upto = self._marks[0]
        if at > now - self._late_s:
            return []
        late: list[_Late] = []
        jobs: dict[int, str] = {}
        for queue in _QUEUES:
            for entry in self._ledger.pending(queue, limit=_MOST):
                if entry.seq > upto:
                    break
                work = entry.key
                if queue == "turns":
                    work = jobs[entry.seq] = self._turn_jobs.get(entry.seq) or self._job_of(entry)
                late.append(_Late(queue, entry, work))
        self._turn_jobs = jobs
        return late

    def _job_of(self, entry: Pending) -> str:
        event = next(self._ledger.read(after=entry.seq - 1, upto=entry.seq)).event
        if isinstance(event, MessageDecided):
            return event.decision.job_id
        return event.job_id if isinstance(event, _OF_A_JOB) else ""

    def _settle(self, late: list[_Late], answered: threading.Event) -> None:
        """On the event loop: see what is done about each, and do what is not."""
        answered.set()
        done: set[tuple[Queue, str]] = set()
        waiting = 0
        for each in late:
            if (each.queue, each.work) in done:
                continue
            done.add((each.queue, each.work))
            stretch = self._work.stretches.find(each.queue, each.work)
            if stretch is not None:
                waited = time.monotonic() - stretch.since
                if waited >= self._late_s and not stretch.writing and not stretch.cut:
                    stretch.end(waited)
                    self._found(each, waited, "cut off")
            elif self._work.knows(each.queue, each.work):
                waiting += each.queue != "inbox" or not self._work.inbox.delays(each.work)
            elif self._is_left(each):
                self._work.set_going(each.entry.seq)
                self._found(each, self._late_s, "set going")
        if waiting:
            log("queues.slow", level=logging.WARNING, waiting=waiting, seconds=f"{self._late_s:.0f}")

    def _is_left(self, late: _Late) -> bool:
        """Whether the ledger still holds an entry that the loop knows nothing of: it may have ended meanwhile."""
        try:
            entry = self._ledger.pending_entry(late.queue, late.entry.key)
        except LedgerError:
            return False
        return entry is not None and entry.seq == late.entry.seq

    def _found(self, late: _Late, waited_s: float, did: Literal["cut off", "set going"]) -> None:
        log("stuck.found", level=logging.ERROR, queue=late.queue, key=late.entry.key, did=did)
        event = StuckFound(queue=late.queue, key=late.entry.key, waited_us=round(waited_s * 1e6), did=did)
        self._work.spawn(self._record(event, late.entry.user))

    async def _record(self, event: StuckFound, user: str) -> None:
        async with self._recording:
            await self._write(Draft(_STREAM, self._version, (event,), user))
            self._version += 1

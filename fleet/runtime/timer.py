"""The timer of reminders: one heap by the time they are due, one timer of the event loop for the first of them.

A reminder is due by the clock of the machine. What came due while no worker ran is due at its start. The timer looks at
the clock at least once a minute while there is something to wait for, so a clock that was set forward is noticed then;
one that was set back makes what is not due yet wait until it shows that time. What has fired has fired.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from fleet.clock import now_us
from fleet.errors import StaleWriteError
from fleet.ledger.base import Draft
from fleet.ledger.events import ReminderFired, ReminderSet

__all__ = ["Timer"]

_LONGEST_S = 60.0  # so that a clock that was set right is noticed
_TOGETHER = 100  # written at a time, so that they share a commit


class Timer:
    """Fires reminders. `write` appends a draft and returns once it is applied; `spawn` keeps a task."""

    def __init__(
        self, write: Callable[[Draft], Awaitable[Any]], spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._write, self._spawn = write, spawn
        self._heap: list[tuple[int, str]] = []
        self._set: dict[str, ReminderSet] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._draining = False

    def put(self, reminder: ReminderSet) -> None:
        """Let a reminder wait for its time."""
        if reminder.reminder_id not in self._set:
            self._set[reminder.reminder_id] = reminder
            heapq.heappush(self._heap, (reminder.due_at, reminder.reminder_id))
            if self._heap[0][1] == reminder.reminder_id:
                self._wait_for_the_next()

    def drop(self, reminder_id: str) -> None:
        """A reminder has fired, or was taken back."""
        self._set.pop(reminder_id, None)

    def look(self) -> None:
        """Fire what is due by now; it is fired, by itself, when its time comes."""
        due: list[ReminderSet] = []
        while self._heap and not self._draining and (self._heap[0][1] not in self._set or self._heap[0][0] <= now_us()):
            reminder = self._set.pop(heapq.heappop(self._heap)[1], None)
            if reminder is not None:
                due.append(reminder)
        if due:
            self._spawn(self._fire(due))
        self._wait_for_the_next()

    def drain(self) -> None:
        """Fire no more; what comes due from here on does so at the next start."""
        self._draining = True
        if self._handle is not None:
            self._handle.cancel()

    def _wait_for_the_next(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._heap and not self._draining:
            seconds = min(max(0.0, (self._heap[0][0] - now_us()) / 1e6), _LONGEST_S)
            self._handle = asyncio.get_running_loop().call_later(seconds, self.look)

    async def _fire(self, due: list[ReminderSet]) -> None:
        for first in range(0, len(due), _TOGETHER):
            await asyncio.gather(*map(self._fire_one, due[first : first + _TOGETHER]))

    async def _fire_one(self, reminder: ReminderSet) -> None:
        fired = ReminderFired(**reminder.model_dump(include=set(ReminderFired.model_fields)))
        with suppress(StaleWriteError):  # taken back at this moment, or fired before a crash
            await self._write(Draft(f"reminder:{reminder.reminder_id}", 0, (fired,), reminder.user))

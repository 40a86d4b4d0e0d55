"""Stretches: what is being worked on just now, for which entry of a queue, and since when without any progress.

A stretch that makes none for too long can be cut off: whatever it waits for is given up, and ends as a TimeoutError. It
is never cut off in the middle of a write, since what is on its way to the disk cannot be called back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from fleet.ledger.base import Draft
from fleet.ledger.event import Queue

__all__ = ["Stretch", "Stretches"]


class Stretch:
    """Work of the running task for one entry of a queue; a context manager."""

    __slots__ = ("_all", "_key", "_task", "cut", "since", "writing")

    def __init__(self, running: dict[tuple[Queue, str], Stretch], key: tuple[Queue, str]) -> None:
        self._all, self._key = running, key
        self._task: asyncio.Task[Any] | None = None
        self.since = 0.0
        self.writing = False
        self.cut = 0.0

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self.since = time.monotonic()
        self._all[self._key] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._all[self._key]
        cut = self.cut and isinstance(error, asyncio.CancelledError)
        if cut and self._task is not None and self._task.uncancel() == 0:  # else the fleet drains, and cancels too
            raise TimeoutError(f"no progress for {self.cut:.0f} s") from None

    def end(self, waited_s: float) -> None:
        """Give up what the task waits for."""
        if self._task is not None:
            self.cut = waited_s
            self._task.cancel()


class Stretches:
    """All that run just now, by queue and key."""

    def __init__(self) -> None:
        self._running: dict[tuple[Queue, str], Stretch] = {}

    def of(self, queue: Queue, key: str) -> Stretch:
        """A stretch for this entry, to be entered by the task that does the work."""
        return Stretch(self._running, (queue, key))

    def find(self, queue: Queue, key: str) -> Stretch | None:
        """The stretch that runs for an entry."""
        return self._running.get((queue, key))

    def recording(self, write: Callable[[Draft], Awaitable[Any]]) -> Callable[[Draft], Awaitable[Any]]:
        """`write` for the steps of turns: each one on record is progress of its job."""

        async def record(draft: Draft) -> Any:
            stretch = self._running.get(("turns", draft.stream.removeprefix("job:")))
            if stretch is None:
                return await write(draft)
            stretch.writing = True
            try:
                return await write(draft)
            finally:
                stretch.writing = False
                stretch.since = time.monotonic()

        return record

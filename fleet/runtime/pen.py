"""Writing for a whole fleet while the ledger may be out of reach: a full disk, a lock that somebody holds.

A write that fails for such a reason is tried again until it succeeds; meanwhile every other write waits, and whoever
waits keeps what it wants to write. So nothing runs ahead of the ledger, and everything goes on when the fault goes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from fleet.errors import LedgerUnavailableError
from fleet.ledger.base import Draft, Stored
from fleet.log import log

__all__ = ["Pen"]

_FIRST_S, _LONGEST_S = 0.1, 2.0  # pauses between two tries: doubled from one to the other


class Pen:
    """`write` appends a draft, however long it takes. `append` raises LedgerUnavailableError for what may pass."""

    def __init__(self, append: Callable[[Draft], Awaitable[Sequence[Stored]]]) -> None:
        self._append = append
        self._well = asyncio.Event()
        self._well.set()

    @property
    def paused(self) -> bool:
        """Whether the ledger is out of reach just now."""
        return not self._well.is_set()

    async def write(self, draft: Draft) -> Sequence[Stored]:
        """Append the draft, now or as soon as the ledger can be written again.

        Raises: StaleWriteError, and LedgerError for what does not pass by itself.
        """
        while True:
            if self.paused:
                await self._well.wait()
            try:
                return await self._append(draft)
            except LedgerUnavailableError as error:
                if not self.paused:  # the first to find out tries for all
                    return await self._again(draft, error)

    async def _again(self, draft: Draft, error: LedgerUnavailableError) -> Sequence[Stored]:
        self._well.clear()
        began, pause = time.monotonic(), _FIRST_S
        log("ledger.paused", level=logging.ERROR, reason=error)
        try:
            while True:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_S)
                try:
                    stored = await self._append(draft)
                except LedgerUnavailableError:
                    continue
                log("ledger.resumed", level=logging.WARNING, seconds=f"{time.monotonic() - began:.1f}")
                return stored
        finally:
            self._well.set()  # however it ends: the next one finds out for itself

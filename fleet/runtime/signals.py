"""What SIGTERM and SIGINT do to a process that serves: the first asks it to stop, the second ends it at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from fleet.log import log

__all__ = ["stop_on_signals"]


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first signal calls `stop` on the running loop, the second ends the process.

    Its exit code is then 128 and the signal's number. The second one does not need the loop, so it also ends a process
    that is stuck in a tool or a long replay; what was not committed is in the ledger. Signals reach the main thread
    alone; elsewhere the block changes nothing.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        again, asked = asked, True  # at once: the next signal may come in the middle of the next line
        if not again:  # before it is said: who reads the line may count on it
            loop.call_soon_threadsafe(stop)
        with contextlib.suppress(RuntimeError):  # it fell into the middle of another log line
            log("worker.signal", signal=signal.Signals(number).name, again=again)
        if again:
            os._exit(128 + number)

    before: dict[int, Any] = {}
    try:
        for each in (signal.SIGTERM, signal.SIGINT):
            before[each] = signal.signal(each, on_signal)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

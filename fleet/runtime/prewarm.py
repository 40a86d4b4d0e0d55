"""Prewarming: what an agent has to load or reach before its first turn; tried again until it is there.

Until then the agent's turns wait, and hold nobody else up. What fails is on record, and so is its coming right.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from fleet.agents.app import App
from fleet.agents.aside import run_aside
from fleet.agents.context import ToolContext
from fleet.clock import now
from fleet.errors import StaleWriteError
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import AgentPrewarmed
from fleet.ledger.storable import storable
from fleet.log import log
from fleet.runtime.attempts import UNFORESEEN
from fleet.settings import Settings

__all__ = ["Prewarm"]

_SAID = 300  # characters of what an error says


class Prewarm:
    """Runs the agents' `prewarm` functions; `ready` is told the role of each that is there.

    `write` appends a draft; `spawn` keeps the task of an attempt. One that takes longer than `stuck_s` has failed.
    """

    def __init__(
        self,
        app: App,
        ledger: Ledger,
        write: Callable[[Draft], Awaitable[Any]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        ready: Callable[[str], None],
        settings: Settings,
    ) -> None:
        self._hooks = {role: agent.prewarm for role, agent in app.agents.items() if agent.prewarm is not None}
        self._ledger, self._write, self._spawn, self._ready, self._settings = ledger, write, spawn, ready, settings
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def begin(self) -> None:
        """Begin with every agent that has something to prewarm."""
        for role in self._hooks:
            self._spawn(self._try(role, 1))

    def close(self) -> None:
        """Try no more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()

    async def _try(self, role: str, attempt: int) -> None:
        try:
            async with asyncio.timeout(self._settings.stuck_s):
                await _call(self._hooks[role])
        except UNFORESEEN as error:  # the application's own code
            said = storable(" ".join(f"{type(error).__name__}: {error}".split()))[:_SAID].rstrip(": ")
            log("prewarm.failed", level=logging.WARNING, agent=role, attempt=attempt, error=type(error).__name__)
            await self._record(AgentPrewarmed(role=role, attempt=attempt, error=said))
            self._again(role, attempt + 1)
            return
        if self._fails(role):
            await self._record(AgentPrewarmed(role=role, attempt=attempt))
        self._ready(role)

    def _again(self, role: str, attempt: int) -> None:
        if not self._closed:
            longest = self._settings.delivery_backoff_max_s
            pause = min(self._settings.retry_backoff_s * 2.0 ** min(attempt - 2, 30), longest)
            then = partial(self._later, role, attempt)
            self._timers[role] = asyncio.get_running_loop().call_later(pause, then)

    def _later(self, role: str, attempt: int) -> None:
        if not self._closed:
            self._spawn(self._try(role, attempt))

    def _fails(self, role: str) -> bool:
        """Whether the last thing on record is that it failed."""
        tried = [each.event for each in self._ledger.read_stream(f"agent:{role}")]
        last = next((each for each in reversed(tried) if isinstance(each, AgentPrewarmed)), None)
        return last is not None and bool(last.error)

    async def _record(self, event: AgentPrewarmed) -> None:
        stream = f"agent:{event.role}"
        while True:
            try:
                await self._write(Draft(stream, self._ledger.version(stream), (event,)))
            except StaleWriteError:  # somebody has paused it at this very moment
                continue
            return


async def _call(fn: Callable[[], Any]) -> None:
    """Call a function, in a thread of its own if it is no async one."""
    if inspect.iscoroutinefunction(fn):
        await fn()
        return
    nobody = ToolContext(user="", thread_id="", job_id="", call_id="", idempotency_key="", now=now(), state=None)
    await run_aside(fn, {}, "", nobody)

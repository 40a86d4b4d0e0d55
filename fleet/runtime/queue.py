"""A push queue: any thread hands messages in, before or while the fleet runs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from fleet.runtime.fleet import Fleet

__all__ = ["PushQueue"]

_TOGETHER = 100  # messages handed in at once, in order, so that they share a commit


class PushQueue:
    """Hands messages to a running fleet. Until one is attached they wait in memory, in order: not accepted yet."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[tuple[Any, Future[str]]] = []
        self._fleet: Fleet | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None

    def push_to_agent_queue(self, dispatcher: Any, message: Any) -> Future[str]:
        """Hand a message to the dispatcher; from any thread. `message`: see `as_message`.

        The future gives the message's id once it is durable, or the InputError that refused it; cancelled before its
        turn comes, the message is not sent.
        """
        future: Future[str] = Future()
        with self._guard:
            self._waiting.append((message, future))
            if self._loop is not None and self._wake is not None:
                self._loop.call_soon_threadsafe(self._wake.set)
        return future

    async def serve(self, fleet: Fleet) -> None:
        """Feed what is pushed into `fleet`, in order, until cancelled; what is left then waits for the next fleet."""
        wake = asyncio.Event()
        with self._guard:
            self._fleet, self._loop, self._wake = fleet, asyncio.get_running_loop(), wake
        try:
            while True:
                with self._guard:
                    batch, self._waiting = self._waiting, []
                    wake.clear()
                if not batch:
                    await wake.wait()
                while batch:
                    part, batch = batch[:_TOGETHER], batch[_TOGETHER:]
                    handing = asyncio.gather(*(_hand(fleet, message, future) for message, future in part))
                    try:
                        await asyncio.shield(handing)
                    except asyncio.CancelledError:
                        with self._guard:
                            self._waiting[:0] = batch
                        await handing  # on their way to the disk: let go of now, they would be accepted twice
                        raise
        finally:
            with self._guard:
                self._fleet = self._loop = self._wake = None


async def _hand(fleet: Fleet, message: Any, future: Future[str]) -> None:
    """One message into the fleet; its future is told what came of it."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        accepted = await fleet.accept(message)
    except Exception as error:  # told to whoever pushed it; the queue goes on
        future.set_exception(error)
    else:
        future.set_result(accepted.message_id)

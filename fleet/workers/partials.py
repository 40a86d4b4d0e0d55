"""Partial replies: what a worker's model has written so far, for channels that can show it.

They are never on record and promise nothing: the reply is what the ledger holds, and leaves by the outbox. What was
told of a reply that then becomes another one (the model fails, refuses or calls a tool, a person takes the thread over,
the worker stops) is taken back. Where nobody listens, the model is asked as if there were no such thing.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from fleet.agents.agent import DialogAgent
from fleet.agents.app import App
from fleet.graph.records import JobRecord, ThreadRecord
from fleet.graph.steps import next_step
from fleet.ledger.storable import storable
from fleet.llm.base import Tell
from fleet.log import log
from fleet.workers.ending import reply_id_of

__all__ = ["Partial", "Partials", "Telling"]

Listener = Callable[["Partial"], None]


@dataclass(frozen=True)
class Partial:
    """A piece of a reply that is being written. `reply_id` is the one that the reply will have.

    `text` follows the first `at` characters that were told of this reply. With `at` 0 the reply begins, or begins anew:
    what was told of it before is void, and an empty text says no more than that. `message_ids` are those that the
    reply answers, none where it follows a person's word on a tool call.
    """

    reply_id: str
    user: str
    thread_id: str
    agent: str
    message_ids: tuple[str, ...]
    at: int
    text: str


class Partials:
    """Who listens to one application's replies, and the way to them."""

    def __init__(self, app: App) -> None:
        ways = {role: each.send_partial for role, each in app.agents.items() if isinstance(each, DialogAgent)}
        self._roles = ways.keys()
        self._channels = {role: _Channel(role, fn) for role, fn in ways.items() if fn is not None}
        self._listeners: list[tuple[str, Listener]] = []
        self._open: list[Telling] = []

    def listen(self, fn: Listener, user: str = "") -> Callable[[], None]:
        """Call `fn` with every piece of a reply to `user` ("": to anybody); returns the end of it.

        Of a reply that others listen to by now it is told what there is so far. It must not wait; what it raises is
        logged.
        """
        entry = (user, fn)
        self._listeners.append(entry)
        for telling in self._open:
            if telling.so_far.text and user in ("", telling.so_far.user):
                self._call(fn, telling.so_far)
        return lambda: self._listeners.remove(entry)

    def telling(self, job: JobRecord, thread: ThreadRecord) -> Telling:
        """One answer of a job's model, for whoever wants to hear it. What is no reply to the user is told to nobody."""
        role = job.agent
        wanted = role in self._channels or any(user in ("", thread.user) for user, _ in self._listeners)
        to_user = role in self._roles and not job.parent and not next_step(job)
        first = Partial(reply_id_of(job, job.turn), thread.user, thread.id, role, tuple(job.turn_ids), 0, "")
        return Telling(first, self._tell if wanted and to_user else None, self._hush, self._open)

    def close(self) -> None:
        """Call no channel any more."""
        for channel in self._channels.values():
            channel.close()

    def _tell(self, partial: Partial) -> None:
        for user, fn in tuple(self._listeners):
            if user in ("", partial.user):
                self._call(fn, partial)
        if partial.agent in self._channels:
            self._channels[partial.agent].put(partial)

    def _call(self, fn: Listener, partial: Partial) -> None:
        try:
            fn(partial)
        except Exception as error:  # a listener's own fault; the reply goes on
            log("partial.refused", level=logging.WARNING, reply=partial.reply_id, error=type(error).__name__)

    def _hush(self, partial: Partial) -> None:
        if partial.agent in self._channels:
            self._channels[partial.agent].forget(partial.reply_id)


class Telling:
    """One answer while it is written; a context manager. Unless it `stands` at the end, what was told is taken back.

    `tell` is for the model; None if nobody listens. `so_far` is all that was told, as one piece.
    """

    def __init__(self, first: Partial, tell: Listener | None, hush: Listener, among: list[Telling]) -> None:
        self.so_far, self._tell, self._hush, self._among = first, tell, hush, among
        self.tell: Tell | None = None if tell is None else self._piece

    def _piece(self, text: str) -> None:
        if self._tell is not None and text:
            told, more = self.so_far.text, storable(text)
            self.so_far = replace(self.so_far, text=told + more)
            self._tell(replace(self.so_far, at=len(told), text=more))

    def hush(self) -> None:
        """The reply itself comes next: what a channel has not taken yet is not handed over any more."""
        self._hush(self.so_far)

    def stands(self) -> None:
        """What was told is the reply, which is on record now."""
        self.so_far = replace(self.so_far, text="")

    def __enter__(self) -> Self:
        if self._tell is not None:
            self._among.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tell is not None:
            self._among.remove(self)
            if self.so_far.text:
                self._tell(replace(self.so_far, text=""))


class _Channel:
    """An application's channel: called for one piece of a reply after the other, with what came meanwhile as one."""

    def __init__(self, role: str, fn: Callable[..., Any]) -> None:
        self._role, self._fn = role, fn
        self._waiting: dict[str, Partial] = {}  # by reply: what has not been handed over
        self._calls: dict[str, asyncio.Task[None]] = {}

    def put(self, partial: Partial) -> None:
        before = self._waiting.get(partial.reply_id) if partial.at else None
        joined = partial if before is None else replace(before, text=before.text + partial.text)
        self._waiting[partial.reply_id] = joined
        if partial.reply_id not in self._calls:
            task = self._calls[partial.reply_id] = asyncio.create_task(self._hand_over(partial.reply_id))
            task.add_done_callback(lambda _: self._calls.pop(partial.reply_id, None))

    def forget(self, reply_id: str) -> None:
        """The reply itself is on its way: hand over no more of it."""
        self._waiting.pop(reply_id, None)
        if call := self._calls.get(reply_id):
            call.cancel()

    def close(self) -> None:
        for reply_id in list(self._calls):
            self.forget(reply_id)

    async def _hand_over(self, reply_id: str) -> None:
        while (partial := self._waiting.pop(reply_id, None)) is not None:
            try:
                taken = self._fn(partial)
                if inspect.isawaitable(taken):
                    await taken
            except Exception as error:  # the application's channel may raise anything; the reply itself will come
                log("partial.refused", level=logging.WARNING, reply=reply_id, agent=self._role,
                    error=type(error).__name__)  # fmt: skip

"""The outbox: replies leave in each user's order, until the channel takes them or the attempts run out.

A reply may reach the channel twice, if a crash falls between its taking it and the record of that; `reply_id` is the
same both times. In the ledger it is there once.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.agents.agent import DialogAgent
from fleet.agents.app import App
from fleet.errors import ConfigError
from fleet.ledger.base import Draft
from fleet.ledger.events import Event, QuestionAsked, ReplyDelivered, ReplyFailed, TurnEnded, TurnResult
from fleet.ledger.question_events import question_id
from fleet.log import log
from fleet.runtime.stretch import Stretches
from fleet.settings import Settings

__all__ = ["Outbox", "Reply", "check_channels"]


@dataclass(frozen=True)
class Reply:
    """What an agent tells a user, or with `agent` "dispatcher" what the user is asked about a message of theirs.

    `reply_id` is the same for every try to deliver it; a question has no thread and no job.
    """

    reply_id: str
    user: str
    thread_id: str
    job_id: str
    agent: str
    text: str
    result: TurnResult


Channel = Callable[[Reply], Any]
_TEXT = frozenset({"text", "body", "message", "content", "reply_text"})
_FIELDS = frozenset({"reply_id", "thread_id", "job_id", "agent", "result"})


class Outbox:
    """Delivers replies, one after another for each user. `write` appends a draft; `spawn` keeps the task.

    `kinds` maps each role on record to its kind: what a retired agent has to say leaves by another agent's way.

    A try that hangs can be cut off in `stretches`; it counts as refused. `rest` waits for so many seconds, and says
    False when the fleet drains: what is not delivered by then waits in the ledger's outbox for the next start.
    """

    def __init__(
        self,
        app: App,
        kinds: Mapping[str, str],
        settings: Settings,
        write: Callable[[Draft], Awaitable[Any]],
        spawn: Callable[[Any], Any],
        rest: Callable[[float], Awaitable[bool]],
        stretches: Stretches,
    ) -> None:
        self._channels = check_channels(app) | _of_others(app, kinds)
        self._settings, self._write, self._spawn = settings, write, spawn
        self._rest, self._stretches = rest, stretches
        self._waiting: dict[str, deque[tuple[Reply, int]]] = {}
        self._known: set[str] = set()
        self._withdrawn: set[str] = set()

    def put(self, ended: TurnEnded, agent: str, version: int) -> None:
        """Queue the reply of a turn for delivery; `version` is that of the reply's stream."""
        reply = Reply(ended.reply_id, ended.user, ended.thread_id, ended.job_id, agent, ended.reply, ended.result)
        self._queue(reply, version)

    def ask(self, asked: QuestionAsked, version: int) -> None:
        """Queue a question to a user."""
        self._queue(Reply(asked.question_id, asked.user, "", "", "dispatcher", asked.text, "need_input"), version)

    def withdraw(self, message_id: str) -> None:
        """The question about a message is settled: if it is not delivered yet, it need not be."""
        if (name := question_id(message_id)) in self._known:
            self._withdrawn.add(name)

    def _queue(self, reply: Reply, version: int) -> None:
        self._known.add(reply.reply_id)
        line = self._waiting.get(reply.user)
        if line is not None:
            line.append((reply, version))
            return
        self._waiting[reply.user] = deque([(reply, version)])
        self._spawn(self._deliver_all(reply.user))

    async def _deliver_all(self, user: str) -> None:
        line = self._waiting[user]
        while line:
            if not await self._deliver(*line[0]):
                return
            done = line.popleft()[0].reply_id
            self._known.discard(done)
            self._withdrawn.discard(done)
        del self._waiting[user]

    def knows(self, reply_id: str) -> bool:
        """Whether a reply waits here, or is being delivered."""
        return reply_id in self._known

    async def _deliver(self, reply: Reply, version: int) -> bool:
        """Try until the channel takes the reply or the attempts run out, and record it; False if the fleet drains."""
        channel = self._channels.get(reply.agent)
        outcome: Event = ReplyDelivered(reply_id=reply.reply_id, thread_id=reply.thread_id)
        pause = self._settings.delivery_backoff_s
        for attempt in range(1, self._settings.delivery_attempts + 1):
            if reply.reply_id in self._withdrawn:
                return True
            try:
                taken = channel(reply) if channel else None
                if inspect.isawaitable(taken):
                    with self._stretches.of("outbox", reply.reply_id):
                        await taken
                outcome = ReplyDelivered(reply_id=reply.reply_id, thread_id=reply.thread_id, attempts=attempt)
                break
            except Exception as error:  # the application's channel may raise anything; the reply is not lost
                if attempt & (attempt - 1) == 0:  # the 1st, 2nd, 4th, 8th…: a channel may be down for hours
                    log("reply.refused", level=logging.WARNING, reply=reply.reply_id, attempt=attempt,
                        error=type(error).__name__)  # fmt: skip
                outcome = ReplyFailed(
                    reply_id=reply.reply_id, thread_id=reply.thread_id, attempts=attempt, error=type(error).__name__
                )
            if attempt < self._settings.delivery_attempts:
                if not await self._rest(pause):
                    return False
                pause = min(2 * pause, self._settings.delivery_backoff_max_s)
        await self._write(Draft(f"reply:{reply.reply_id}", version, (outcome,), reply.user))
        return True


def check_channels(app: App) -> dict[str, Channel]:
    """Each role's way out: its send_message, or the application's on_result for supervised agents.

    Raises: ConfigError if a function asks for something that a reply does not have.
    """
    channels: dict[str, Channel] = {}
    for role, agent in app.agents.items():
        fn = agent.send_message if isinstance(agent, DialogAgent) else app.on_result
        if fn is not None:
            channels[role] = _adapt(fn, role)
    return channels


def _of_others(app: App, kinds: Mapping[str, str]) -> dict[str, Channel]:
    """The way out of whoever has none of their own: the dispatcher with its questions, roles declared no more.

    It is the default agent's, else that of the first that has one.
    """
    roles = sorted(app.agents, key=lambda role: role != app.default_agent)
    talks = (each for each in map(app.agents.__getitem__, roles) if isinstance(each, DialogAgent))
    ways = {
        "dialog": next((each.send_message for each in talks if each.send_message), None),
        "supervised": app.on_result,
    }
    others = {role: ways[kind] for role, kind in kinds.items() if role not in app.agents}
    others["dispatcher"] = ways["dialog"]
    return {role: _adapt(fn, role) for role, fn in others.items() if fn is not None}


def _adapt(fn: Callable[..., Any], role: str) -> Channel:
    """A function of one reply, out of one that names what it wants by its parameters."""
    wanted: list[tuple[str, str, bool]] = []  # parameter, what it gets, by keyword
    first = True
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            taken = {what for _, what, _ in wanted}
            wanted += [(each, each, True) for each in ("text", "user", *sorted(_FIELDS)) if each not in taken]
            continue
        name, annotation = parameter.name, parameter.annotation
        keyword = parameter.kind is parameter.KEYWORD_ONLY
        if annotation in (Reply, "Reply") or name == "reply":
            what = "reply" if annotation in (Reply, "Reply", parameter.empty) else "text"
        elif name in ("user", "sender", "user_id", "to"):
            what = "user"
        elif name in _FIELDS:
            what = name
        elif name in ("thread", "job"):
            what = f"{name}_id"
        elif name in _TEXT or (first and not keyword):
            what = "text"
        elif parameter.default is not parameter.empty or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        else:
            raise ConfigError(f"agent {role}: send_message asks for {name!r}, which a reply does not have")
        first = False
        wanted.append((name, what, keyword))

    def channel(reply: Reply) -> Any:
        values = [(name, reply if what == "reply" else getattr(reply, what), keyword) for name, what, keyword in wanted]
        return fn(
            *(value for _, value, keyword in values if not keyword),
            **{name: value for name, value, keyword in values if keyword},
        )

    return channel

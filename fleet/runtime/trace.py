"""What happens to a message as transitions with names, told from the ledger's events: the same live and afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fleet.clock import iso
from fleet.errors import ConfigError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    DispatchRequested,
    MessageAccepted,
    MessageDead,
    MessageDecided,
    MessageDropped,
    SubjobStarted,
    TurnEnded,
    TurnSetAside,
)
from fleet.log import log

__all__ = ["TRACED", "TRACES", "Trace", "told", "traces", "traces_of"]

TRACES = {
    "dispatch.request.created": "a message or an explicit dispatch is durable",
    "dispatch.decision.made": "where it goes is decided",
    "dispatch.scheduled": "it is in the line of its thread's agent",
    "dispatch.completed": "it came to its end: answered, or dropped or called off before it was assigned",
    "dispatch.failed": "its turn failed or is blocked, or it ended as an error",
    "dispatch.taken_over": "a person must decide, or answers, or another agent has the thread from here on",
}
TRACED = (
    MessageAccepted.TYPE, DispatchRequested.TYPE, MessageDecided.TYPE, TurnEnded.TYPE, MessageDead.TYPE,
    MessageDropped.TYPE, TurnSetAside.TYPE, SubjobStarted.TYPE,
)  # fmt: skip
_SETTLED = {"drop": "dispatch.completed", "cancelled": "dispatch.completed", "error": "dispatch.failed",
            "human": "dispatch.taken_over", "answer": "dispatch.completed"}  # fmt: skip


@dataclass(frozen=True)
class Trace:
    """One transition of one message. `detail` says which way it went; `seq` is the event of the ledger that tells it.

    `at` is in microseconds since 1970 UTC.
    """

    name: str
    message_id: str
    user: str
    at: int
    seq: int
    detail: str = ""
    agent: str = ""
    thread_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """One JSON object; the time in ISO 8601 UTC."""
        return {
            "trace": self.name, "message_id": self.message_id, "user": self.user, "at": iso(self.at), "seq": self.seq,
            "detail": self.detail, "agent": self.agent, "thread_id": self.thread_id,
        }  # fmt: skip


def traces_of(stored: Stored) -> tuple[Trace, ...]:
    """The transitions that an event tells of, in order; most events tell of none."""
    event = stored.event
    if isinstance(event, MessageAccepted):
        what = "dispatch" if isinstance(event, DispatchRequested) else "message"
        return (_trace("dispatch.request.created", event.message_id, stored, what),)
    if isinstance(event, MessageDecided):
        decision = event.decision
        where = {"agent": decision.agent, "thread_id": decision.thread_id}
        made = _trace(
            "dispatch.decision.made", event.message_id, stored, f"{decision.outcome} by {decision.by}", **where
        )
        if decision.thread_id:
            scheduled = _trace("dispatch.scheduled", event.message_id, stored, decision.job_id, **where)
            over = f"from {decision.handed_from}"
            taken = _trace("dispatch.taken_over", event.message_id, stored, over, **where)
            return (made, taken, scheduled) if decision.handed_from else (made, scheduled)
        why = decision.gate_reason or decision.fallback_reason
        if decision.answer_to:
            why = f"it answers what the user was asked about {decision.answer_to}"
        return made, _trace(_SETTLED[decision.outcome], event.message_id, stored, why)
    if isinstance(event, SubjobStarted):
        where = {"agent": event.agent, "thread_id": event.thread_id}
        created = _trace("dispatch.request.created", event.message_id, stored, f"subjob of {event.parent}", **where)
        return created, _trace("dispatch.scheduled", event.message_id, stored, event.job_id, **where)
    if isinstance(event, TurnEnded):
        name = "dispatch.completed" if event.result in ("success", "need_input") else "dispatch.failed"
        detail = f"{event.result}: {event.reason}" if event.reason else event.result
        ways = [("dispatch.taken_over", f"{event.by} answers in the agent's place")] if event.by else []
        ways.append((name, detail))
        return tuple(
            _trace(each, message_id, stored, said, thread_id=event.thread_id)
            for message_id in event.message_ids
            for each, said in ways
        )
    if isinstance(event, TurnSetAside):
        why = f"{event.by} answers in the agent's place"
        return tuple(
            _trace("dispatch.taken_over", each, stored, why, thread_id=event.thread_id) for each in event.message_ids
        )
    if isinstance(event, MessageDead) and event.stage == "routing":
        return (_trace("dispatch.failed", event.message_id, stored, f"dead letter: {event.error}"),)
    if isinstance(event, MessageDropped):
        return (_trace("dispatch.completed", event.message_id, stored, f"dropped by {event.by}"),)
    return ()


def traces(
    ledger: Ledger, *, message: str = "", user: str = "", after: int = 0, newest_first: bool = False
) -> Iterator[Trace]:
    """The transitions on record, in order or the newest first: of one message, of one user's, or of all ("").

    `after` is a seq. One message's are found by its own history.
    """
    if message:
        user = user or next((each.user for each in ledger.read_stream(f"message:{message}")), "")
        if not user:
            return
    for stored in ledger.read(types=TRACED, user=user, after=after, newest_first=newest_first):
        found = traces_of(stored)
        for each in reversed(found) if newest_first else found:
            if not message or each.message_id == message:
                yield each


def told(name: str, fn: Callable[[Trace], Any] | None) -> Callable[[Stored], None]:
    """A listener for applied events that tells `fn` of the transitions of this name. What `fn` raises is logged.

    Raises: ConfigError for a name that no transition has, or without a function.
    """
    if fn is None:
        raise ConfigError(f"on({name!r}) needs a function to call")
    if name not in TRACES:
        raise ConfigError(f"there is no trace event {name!r}; there are {', '.join(TRACES)}")

    def listen(stored: Stored) -> None:
        if stored.event.TYPE in TRACED:
            for trace in traces_of(stored):
                if trace.name == name:
                    try:
                        fn(trace)
                    except Exception as error:  # the application's own; the fleet goes on
                        log("trace.listener_failed", level=logging.WARNING, trace=name, error=type(error).__name__)

    return listen


def _trace(name: str, message_id: str, stored: Stored, detail: str, **where: str) -> Trace:
    return Trace(name, message_id, stored.user, stored.at, stored.seq, detail, **where)

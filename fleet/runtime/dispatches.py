"""Explicit dispatches: asked for, looked at, called off, tried again. From the ledger alone, by any process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fleet.clock import iso
from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger, Stored
from fleet.ledger.events import (
    Decision,
    DispatchCancelled,
    DispatchRequested,
    Erased,
    MessageDead,
    MessageDecided,
    MessageDropped,
    MessageRetried,
    TurnEnded,
    TurnStarted,
)
from fleet.runtime.intake import Message

__all__ = ["Dispatch", "DispatchState", "again", "cancel_now", "dispatches", "find_dispatch"]

DispatchState = Literal[
    "requested", "scheduled", "running", "success", "blocked", "need_input", "failed", "cancelled", "error"
]
_OPEN = ("requested", "scheduled", "running")
_TRY_AGAIN = ("blocked", "failed", "cancelled", "error")


@dataclass(frozen=True)
class Dispatch:
    """One dispatch and how far it has come. Times are microseconds since 1970 UTC, 0 for what has not happened.

    `state` is requested (nothing decided yet), scheduled (in its thread's line), running, or one of the ends: a turn's
    result, cancelled, or error (it could not be assigned). `reason` says why it ended so.
    """

    id: str
    user: str
    state: DispatchState
    reason: str = ""
    agent: str = ""
    thread_id: str = ""
    job_id: str = ""
    name: str = ""
    text: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    retry_of: str = ""
    requested_at: int = 0
    decided_at: int = 0
    ended_at: int = 0
    reply: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in _OPEN

    def as_dict(self) -> dict[str, Any]:
        """One JSON object; times in ISO 8601 UTC, None for what has not happened."""
        at = {name: getattr(self, name) for name in ("requested_at", "decided_at", "ended_at")}
        return {
            "id": self.id,
            "user": self.user,
            "state": self.state,
            "reason": self.reason,
            "agent": self.agent,
            "thread_id": self.thread_id,
            "job_id": self.job_id,
            "name": self.name,
            "text": self.text,
            "metadata": dict(self.metadata),
            "by": self.by,
            "retry_of": self.retry_of,
            **{name: iso(value) if value else None for name, value in at.items()},
            "reply": self.reply,
        }


def find_dispatch(ledger: Ledger, dispatch_id: str) -> Dispatch:
    """The dispatch of this id as it stands. Raises: InputError if there is none."""
    return _read(ledger, _stream(ledger, dispatch_id))


def dispatches(
    ledger: Ledger, *, user: str = "", agent: str = "", state: str = "", limit: int | None = None
) -> Iterator[Dispatch]:
    """Dispatches, the newest first; of this user, agent and state ("": any), at most `limit`."""
    left = limit
    for stored in ledger.read(types=(DispatchRequested.TYPE,), user=user, newest_first=True):
        if left is not None and left <= 0:
            return
        found = _read(ledger, ledger.read_stream(stored.stream))
        if (not agent or found.agent == agent) and (not state or found.state == state):
            yield found
            left = None if left is None else left - 1


def cancel_now(ledger: Ledger, dispatch_id: str, *, by: str, reason: str = "") -> Dispatch:
    """Call a dispatch off: at once where nothing is decided about it, else its job ends it, a running turn included.

    Returns it as it then stands, on record before this returns. A tool that runs is not interrupted; its result counts.
    Raises: InputError if there is no such dispatch, or it has ended.
    """
    words = f"called off by {by}" + (f": {reason}" if reason else "")
    while True:
        stream = _stream(ledger, dispatch_id)
        found = _read(ledger, stream)
        if found.ended:
            raise InputError(f"dispatch {dispatch_id} has ended as {found.state}; there is nothing to call off")
        if any(isinstance(each.event, DispatchCancelled) for each in stream):
            return found
        last = stream[-1]
        event: MessageDecided | DispatchCancelled = DispatchCancelled(
            message_id=found.id, user=found.user, job_id=found.job_id, by=by, reason=words
        )
        if not found.decided_at:
            decision = Decision(by="dispatch", outcome="cancelled", gate=by, gate_reason=words)
            event = MessageDecided(message_id=found.id, user=found.user, text=found.text, decision=decision)
        try:
            ledger.append_now(Draft(last.stream, last.version, (event,), found.user))
        except StaleWriteError:  # it was decided, or called off, at this very moment
            continue
        return find_dispatch(ledger, dispatch_id)


def again(ledger: Ledger, dispatch_id: str, *, by: str) -> Message:
    """The message that dispatches again what ended badly; its id is the first try's with the number of the try.

    It goes to the same thread, where there is one. Raises: InputError if there is no such dispatch, it has not ended,
    or it ended well.
    """
    stream = _stream(ledger, dispatch_id)
    found, asked = _read(ledger, stream), _requested(stream)
    if found.state not in _TRY_AGAIN:
        so = f"ended as {found.state}" if found.ended else f"is {found.state} and has not ended"
        raise InputError(f"dispatch {dispatch_id} {so}; there is nothing to try again")
    root = asked.assignment.retry_of or dispatch_id
    number = 1 + len(ledger.find_streams(f"message:{root}.r", 10_000))
    thread = {"thread_id": found.thread_id, "new_thread": False, "key": ""} if found.thread_id else {}
    return Message(
        asked.user,
        asked.text,
        f"{root}.r{number}",
        asked.channel,
        asked.session_id,
        asked.language,
        asked.metadata,
        asked.assignment.model_copy(update={"by": by, "retry_of": root, **thread}),
    )


def _stream(ledger: Ledger, dispatch_id: str) -> list[Stored]:
    stream = ledger.read_stream(f"message:{dispatch_id}")
    if stream and isinstance(stream[0].event, Erased):
        raise InputError(f"dispatch {dispatch_id} was erased: its user was forgotten, and nothing but its id is left")
    if not stream or not isinstance(stream[0].event, DispatchRequested):
        raise InputError(f"there is no dispatch {dispatch_id}; `fleet dispatch list` shows those there are")
    return stream


def _requested(stream: list[Stored]) -> DispatchRequested:
    event = stream[0].event
    if not isinstance(event, DispatchRequested):
        raise TypeError(f"{stream[0].stream} begins with a {event.TYPE}, no dispatch")
    return event


def _read(ledger: Ledger, stream: list[Stored]) -> Dispatch:
    asked = _requested(stream)
    fields: dict[str, Any] = {
        "id": asked.message_id, "user": asked.user, "state": "requested", "agent": asked.assignment.agent,
        "thread_id": asked.assignment.thread_id, "name": asked.assignment.name, "text": asked.text,
        "metadata": asked.metadata, "by": asked.assignment.by, "retry_of": asked.assignment.retry_of,
        "requested_at": stream[0].at,
    }  # fmt: skip
    off = next((each.event.reason for each in stream if isinstance(each.event, DispatchCancelled)), "")
    for stored in stream:
        event = stored.event
        if isinstance(event, MessageDecided):
            fields |= _decided(ledger, stored, event, off)
        elif isinstance(event, MessageDead):
            fields |= {"state": "failed", "reason": event.error, "ended_at": stored.at}
        elif isinstance(event, MessageDropped):
            fields |= {"state": "cancelled", "reason": f"dropped by {event.by}", "ended_at": stored.at}
        elif isinstance(event, MessageRetried):
            fields |= {"state": "scheduled" if event.job_id else "requested", "reason": "", "ended_at": 0}
            fields |= _answered(ledger, stored, event.message_id, off) if event.job_id else {}
    return Dispatch(**fields)


def _decided(ledger: Ledger, stored: Stored, event: MessageDecided, off: str) -> dict[str, Any]:
    """What the decision, and the turn that followed it, make of a dispatch."""
    decision = event.decision
    fields: dict[str, Any] = {"decided_at": stored.at}
    if not decision.thread_id:
        state = decision.outcome if decision.outcome in ("cancelled", "error") else "error"
        return fields | {"state": state, "reason": decision.gate_reason, "ended_at": stored.at}
    fields |= {
        "state": "scheduled", "agent": decision.agent, "thread_id": decision.thread_id, "job_id": decision.job_id,
        "name": decision.name,
    }  # fmt: skip
    return fields | _answered(ledger, stored, event.message_id, off)


def _answered(ledger: Ledger, since: Stored, message_id: str, off: str) -> dict[str, Any]:
    """What the first turn that took the message up since then makes of its dispatch."""
    fields: dict[str, Any] = {}
    for each in ledger.read(after=since.seq, types=(TurnStarted.TYPE, TurnEnded.TYPE), user=since.user):
        turn = each.event
        if not isinstance(turn, (TurnStarted, TurnEnded)) or message_id not in turn.message_ids:
            continue
        if isinstance(turn, TurnStarted):
            fields["state"] = "running"
            continue
        called_off = off and turn.result == "failed" and turn.reason == off
        reason = turn.reason or ("the turn asks for an answer" if turn.result == "need_input" else "the turn ended")
        return fields | {
            "state": "cancelled" if called_off else turn.result, "reason": reason, "ended_at": each.at,
            "reply": turn.reply,
        }  # fmt: skip
    return fields

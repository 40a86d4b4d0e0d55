"""Explicit dispatches: asked for, looked at, called off, tried again. From the ledger alone, by any process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fleet.clock import iso
from fleet.errors import InputError
from fleet.ledger.assignment import STEP
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    DispatchCancelled,
    DispatchRequested,
    Erased,
    MessageDead,
    MessageDecided,
    MessageDropped,
    MessageRetried,
    QuestionAsked,
    TurnEnded,
    TurnStarted,
)
from fleet.runtime.intake import Message
from fleet.runtime.steps import call_off

__all__ = ["Dispatch", "DispatchState", "again", "cancel_now", "dispatches", "find_dispatch"]

DispatchState = Literal[
    "requested", "asked", "scheduled", "running", "success", "blocked", "need_input", "failed", "cancelled", "error"
]
_OPEN = ("requested", "asked", "scheduled", "running")
_TRY_AGAIN = ("blocked", "failed", "cancelled", "error")


@dataclass(frozen=True)
class Dispatch:
    """One dispatch and how far it has come. Times are microseconds since 1970 UTC, 0 for what has not happened.

    `state` is requested (nothing decided yet), asked (its user says where it goes), scheduled (in its thread's line),
    running, or one of the ends: a turn's result, cancelled, or error (it could not be assigned). `reason` says why it
    ended so.
    A turn that is blocked until an operator says something has what it `waits_for`, approval or resolution.
    With a `workflow` (its roles) `steps` are its steps so far, each the dispatch that it is, and state, reason, agent,
    thread, job and reply are the newest one's.
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
    waits_for: str = ""
    workflow: tuple[str, ...] = ()
    steps: tuple[Dispatch, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it. A workflow whose step asks something waits for the answer."""
        waits = (self.state == "need_input" or self.waits_for) and len(self.steps) < len(self.workflow)
        return self.state not in _OPEN and not waits

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
            "waits_for": self.waits_for,
            "workflow": list(self.workflow),
            "steps": [
                {name: getattr(each, name) for name in ("agent", "state", "id", "thread_id", "reason", "reply")}
                for each in self.steps
            ],
        }


def find_dispatch(ledger: Ledger, dispatch_id: str) -> Dispatch:
    """The dispatch of this id as it stands. Raises: InputError if there is none."""
    return _read(ledger, _stream(ledger, dispatch_id))


def dispatches(
    ledger: Ledger, *, user: str = "", agent: str = "", state: str = "", limit: int | None = None
) -> Iterator[Dispatch]:
    """Dispatches, the newest first; of this user, agent and state ("": any), at most `limit`; a workflow is one."""
    left = limit
    for stored in ledger.read(types=(DispatchRequested.TYPE,), user=user, newest_first=True):
        if left is not None and left <= 0:
            return
        if isinstance(stored.event, DispatchRequested) and stored.event.assignment.step_of:
            continue
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
    found = _open(ledger, dispatch_id)
    if found.ended:
        raise InputError(f"dispatch {dispatch_id} has ended as {found.state}; there is nothing to call off")
    off = DispatchCancelled(message_id=found.id, user=found.user, job_id="", by=by, reason=words)
    call_off(ledger, found.id, off)
    steps = find_dispatch(ledger, dispatch_id).steps  # read after that is durable: a step that begins later knows of it
    if steps:
        call_off(ledger, steps[-1].id, off)
    return find_dispatch(ledger, dispatch_id)


def again(ledger: Ledger, dispatch_id: str, *, by: str) -> Message:
    """The message that dispatches again what ended badly; its id is the first try's with the number of the try.

    It goes to the same thread, where there is one. Raises: InputError if there is no such dispatch, it has not ended,
    or it ended well.
    """
    found = _open(ledger, dispatch_id)
    if found.state not in _TRY_AGAIN or not found.ended:
        so = f"ended as {found.state}" if found.ended else f"is {found.state} and has not ended"
        raise InputError(f"dispatch {dispatch_id} {so}; there is nothing to try again")
    asked = _requested(_stream(ledger, dispatch_id))
    root = asked.assignment.retry_of or dispatch_id
    number = 1 + sum(STEP not in each[len(root) :] for each in ledger.find_streams(f"message:{root}.r", 10_000))
    where: dict[str, Any] = {}
    if found.workflow:
        left = found.workflow[len(found.steps) - 1 :]
        where = {"agent": left[0], "workflow": left}
    elif found.thread_id:
        where = {"thread_id": found.thread_id, "new_thread": False, "key": "", "ask": False, "among": ()}
    return Message(
        asked.user,
        found.steps[-1].text if found.steps else asked.text,
        f"{root}.r{number}",
        asked.channel,
        asked.session_id,
        asked.language,
        asked.metadata,
        asked.assignment.model_copy(update={"by": by, "retry_of": root, **where}),
    )


def _open(ledger: Ledger, dispatch_id: str) -> Dispatch:
    """The dispatch, for who would change how it stands. Raises: InputError if it is but a step of another."""
    whole = _requested(_stream(ledger, dispatch_id)).assignment.step_of
    if whole:
        raise InputError(f"{dispatch_id} is a step of the workflow {whole}; name that one")
    return find_dispatch(ledger, dispatch_id)


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
    """A dispatch as it stands: a workflow's first step tells of the whole."""
    asked, first = _requested(stream), _one(ledger, stream)
    roles = asked.assignment.workflow
    if not roles or asked.assignment.step_of:
        return first
    steps = [first]
    while len(steps) < len(roles):
        stream = ledger.read_stream(f"message:{_requested(stream).assignment.then(steps[-1].id)}")
        if not stream:
            break
        steps.append(_one(ledger, stream))
    last = steps[-1]
    place = f"step {len(steps)} of {len(roles)}, {last.agent}"
    told = f"{place}: {last.reason}" if last.reason else place
    state, ended_at = last.state, last.ended_at
    if state == "success" and len(steps) < len(roles):
        state, ended_at = "running", 0
    return replace(
        first, state=state, reason=told, agent=last.agent, thread_id=last.thread_id, job_id=last.job_id,
        ended_at=ended_at, reply=last.reply, waits_for=last.waits_for, workflow=roles, steps=tuple(steps),
    )  # fmt: skip


def _one(ledger: Ledger, stream: list[Stored]) -> Dispatch:
    asked = _requested(stream)
    fields: dict[str, Any] = {
        "id": asked.message_id, "user": asked.user, "state": "requested", "agent": asked.assignment.agent,
        "thread_id": asked.assignment.thread_id, "name": asked.assignment.name, "text": asked.text,
        "metadata": asked.metadata, "by": asked.assignment.by, "retry_of": asked.assignment.retry_of,
        "requested_at": stream[0].at,
    }  # fmt: skip
    then = asked.assignment.then(asked.message_id)
    off = next((each.event.reason for each in stream if isinstance(each.event, DispatchCancelled)), "")
    for stored in stream:
        event = stored.event
        if isinstance(event, MessageDecided):
            fields |= _decided(ledger, stored, event, off, then)
        elif isinstance(event, QuestionAsked):
            fields |= {"state": "asked", "reason": "its user is asked where it belongs"}
        elif isinstance(event, MessageDead):
            fields |= {"state": "failed", "reason": event.error, "ended_at": stored.at}
        elif isinstance(event, MessageDropped):
            fields |= {"state": "cancelled", "reason": f"dropped by {event.by}", "ended_at": stored.at}
        elif isinstance(event, MessageRetried):
            fields |= {"state": "scheduled" if event.job_id else "requested", "reason": "", "ended_at": 0}
            fields |= _answered(ledger, stored, event.message_id, off, then) if event.job_id else {}
    return Dispatch(**fields)


def _decided(ledger: Ledger, stored: Stored, event: MessageDecided, off: str, then: str) -> dict[str, Any]:
    """What the decision, and the turn that followed it, make of a dispatch."""
    decision = event.decision
    fields: dict[str, Any] = {"decided_at": stored.at, "reason": ""}
    if not decision.thread_id:
        state = decision.outcome if decision.outcome in ("cancelled", "error") else "error"
        why = decision.gate_reason or decision.fallback_reason
        if decision.asked == "none":
            why = "its user meant none of the choices, and there is no other agent for it"
        return fields | {"state": state, "reason": why, "ended_at": stored.at}
    fields |= {
        "state": "scheduled", "agent": decision.agent, "thread_id": decision.thread_id, "job_id": decision.job_id,
        "name": decision.name,
    }  # fmt: skip
    return fields | _answered(ledger, stored, event.message_id, off, then)


def _answered(ledger: Ledger, since: Stored, message_id: str, off: str, then: str) -> dict[str, Any]:
    """What the first turn that took the message up since then makes of its dispatch.

    With `then` it is a step that others follow: after a turn that asks something or waits for an operator, or in which
    a person spoke before all was answered, the next turn of its job counts.
    """
    fields: dict[str, Any] = {}
    asks = ""  # the job that has asked something
    taken: tuple[str, ...] = ()  # what its next turn took up
    for each in ledger.read(after=since.seq, types=(TurnStarted.TYPE, TurnEnded.TYPE), user=since.user):
        turn = each.event
        if not isinstance(turn, (TurnStarted, TurnEnded)):
            continue
        if message_id not in turn.message_ids and turn.job_id != asks:
            continue
        if isinstance(turn, TurnStarted):
            fields |= {"state": "running", "reason": "", "ended_at": 0, "waits_for": ""}
            taken = turn.message_ids
            continue
        if message_id not in turn.message_ids and (fields["state"] != "running" or turn.message_ids != taken):
            continue  # another message of the thread was called off before a turn took it up
        goes_on = then and (turn.result == "need_input" or turn.waits_for or (turn.by and not turn.then))
        called_off = off and (turn.reason == off if turn.result == "failed" else then and turn.then != then)
        reason = turn.reason or ("the turn asks for an answer" if turn.result == "need_input" else "the turn ended")
        fields |= {
            "state": "cancelled" if called_off else turn.result, "reason": off if called_off else reason,
            "ended_at": each.at, "reply": turn.reply, "waits_for": "" if called_off else turn.waits_for,
        }  # fmt: skip
        if called_off or not goes_on:
            return fields
        fields["state"] = "blocked" if turn.waits_for else "need_input"
        asks = turn.job_id
    return fields

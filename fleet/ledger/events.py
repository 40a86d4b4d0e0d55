"""The vocabulary of the ledger: every event type there is, as a typed, versioned record.

An event's `TYPE` and its fields are for ever: adding a field with a default is free, anything else is a new
`VERSION` and an upcast in `_UPCASTS`. A test pins types, versions and fields in a snapshot.

`opens` and `closes` tell the ledger which queue entries an event begins and ends (inbox: accepted and not yet
decided; turns: routed and not yet answered; outbox: replies not yet delivered; dead: messages that failed too often;
undelivered: replies that did; steps: those of workflows that are to begin; reminders: set and not due yet), so that
"what is left to do" is one small table, kept in the same transaction, however long the history is.

Times are integer microseconds since 1970 UTC, durations integer microseconds, money is US dollars.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from fleet.errors import LedgerError
from fleet.ledger.assignment import Assignment
from fleet.ledger.decision import Attempt, Candidate, Choice, Decision, Record
from fleet.ledger.event import Event, Queue
from fleet.ledger.letter_events import (
    MessageDead,
    MessageDropped,
    MessageFailed,
    MessageRetried,
    ReplyRetried,
    StuckFound,
    TurnFailed,
)
from fleet.ledger.message_events import (
    DecisionLabelled,
    DispatchCancelled,
    DispatchRequested,
    MessageAccepted,
    MessageDecided,
)
from fleet.ledger.person_events import JobCancelled, PersonReplied, ThreadReleased, ThreadTakenOver, TurnSetAside
from fleet.ledger.question_events import QuestionAsked
from fleet.ledger.reminder_events import ReminderCancelled, ReminderFired, ReminderSet
from fleet.ledger.thread_events import HistoryCompacted, LocaleSet
from fleet.ledger.turn_events import (
    AppEventRecorded,
    CallResolved,
    ConfirmationAsked,
    ConfirmationSettled,
    JobHandedOver,
    ModelAnswered,
    SubjobStarted,
    ToolIntended,
    ToolReturned,
    TurnEnded,
    TurnResult,
    TurnStarted,
)
from fleet.ledger.user_events import Erased, UserForgotten

__all__ = [
    "EVENT_TYPES", "AgentDeclared", "AgentPaused", "AgentPrewarmed", "AgentRetired", "AppEventRecorded",
    "Assignment", "Attempt", "CallResolved", "Candidate", "Choice", "ConfirmationAsked", "ConfirmationSettled",
    "Decision", "DecisionLabelled", "DispatchCancelled", "DispatchRequested", "Erased", "Event", "FleetStarted",
    "HistoryCompacted", "JobCancelled", "JobHandedOver", "LocaleSet", "MessageAccepted", "MessageDead",
    "MessageDecided", "MessageDropped", "MessageFailed", "MessageRetried", "ModelAnswered", "PersonReplied",
    "QuestionAsked", "ReminderCancelled", "ReminderFired", "ReminderSet", "ReplyDelivered", "ReplyFailed",
    "ReplyRetried", "RulesChanged", "StuckFound", "SubjobStarted", "ThreadReleased", "ThreadTakenOver",
    "ToolIntended", "ToolReturned", "TurnEnded", "TurnFailed", "TurnResult", "TurnSetAside", "TurnStarted",
    "UserForgotten", "build_events", "read_event",
]  # fmt: skip


class FleetStarted(Event):
    """A worker opened the home. `path` is the application's MODULE:ATTR, "" if it has none.

    `graph` says how the graph came to be current, a sentence a step. Stream: fleet.
    """

    TYPE = "fleet.started"
    app: str
    code_version: str
    pid: int
    host: str
    path: str = ""
    graph: tuple[str, ...] = ()


class AgentDeclared(Event):
    """The code declares this agent, new or changed; `definition` is a blob's hash. Stream: agent:ROLE."""

    TYPE = "agent.declared"
    role: str
    kind: Literal["dialog", "supervised", "dispatcher"]
    description: str
    definition: str

    def blobs(self) -> tuple[str, ...]:
        return (self.definition,)


class AgentPaused(Event):
    """Somebody has an agent rest, or (`paused` false) go on: it is given no new threads, and runs no turns meanwhile.

    Stream: agent:ROLE.
    """

    TYPE = "agent.paused"
    role: str
    paused: bool
    by: str = ""
    reason: str = ""


class AgentPrewarmed(Event):
    """An agent's prewarming failed, with `error`, and is tried again; or it came right then. Stream: agent:ROLE."""

    TYPE = "agent.prewarmed"
    role: str
    attempt: int
    error: str = ""


class RulesChanged(Event):
    """The channel rules are others from here on, or with `error` a changed file was refused and they are as before.

    `source` is the file's name, `file` the hash of its bytes, a blob; `rules` are their names. Stream: rules.
    """

    TYPE = "rules.changed"
    source: str
    rules: tuple[str, ...] = ()
    file: str = ""
    error: str = ""

    def blobs(self) -> tuple[str, ...]:
        return (self.file,) if self.file else ()


class AgentRetired(Event):
    """The code no longer declares this agent; its open threads are named. Stream: agent:ROLE."""

    TYPE = "agent.retired"
    role: str
    open_threads: int = 0


class ReplyDelivered(Event):
    """The channel took the reply. Stream: reply:ID."""

    TYPE = "reply.delivered"
    reply_id: str
    thread_id: str
    attempts: int = 1

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("outbox", self.reply_id),)


class ReplyFailed(Event):
    """The channel refused the reply until the attempts ran out: it is set aside. Stream: reply:ID."""

    TYPE = "reply.failed"
    reply_id: str
    thread_id: str
    attempts: int
    error: str

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("undelivered", self.reply_id),)

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("outbox", self.reply_id),)


EVENT_TYPES: Mapping[str, type[Event]] = {
    kind.TYPE: kind
    for kind in (
        FleetStarted,
        AgentDeclared,
        AgentRetired,
        AgentPaused,
        AgentPrewarmed,
        RulesChanged,
        MessageAccepted,
        DispatchRequested,
        MessageDecided,
        QuestionAsked,
        DispatchCancelled,
        TurnStarted,
        JobHandedOver,
        ModelAnswered,
        ConfirmationAsked,
        ConfirmationSettled,
        CallResolved,
        SubjobStarted,
        ToolIntended,
        ToolReturned,
        AppEventRecorded,
        TurnEnded,
        ReplyDelivered,
        ReplyFailed,
        DecisionLabelled,
        UserForgotten,
        MessageFailed,
        MessageDead,
        MessageRetried,
        MessageDropped,
        TurnFailed,
        ReplyRetried,
        StuckFound,
        ThreadTakenOver,
        PersonReplied,
        ThreadReleased,
        TurnSetAside,
        JobCancelled,
        ReminderSet,
        ReminderFired,
        ReminderCancelled,
        LocaleSet,
        HistoryCompacted,
    )
}

# (type, version) → a function from that version's payload to the next version's.
_UPCASTS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


def build_events() -> None:
    """Have pydantic build every class's code now, for a process in which several threads would need it at once."""
    kinds: tuple[type[Record], ...] = (Candidate, Choice, Attempt, Decision, Assignment, *EVENT_TYPES.values())
    for kind in kinds:
        kind.model_rebuild()


def read_event(kind: str, version: int, body: bytes) -> Event:
    """The event that `body` holds, brought up to today's version of its type.

    Raises: LedgerError for a type or version that this code does not know: the ledger is newer than the code.
    """
    known = EVENT_TYPES.get(kind)
    if known is not None and version < 1:
        raise LedgerError(f"event {kind} v{version} is of no version that was ever released")
    if known is None or version > known.VERSION:
        raise LedgerError(f"event {kind} v{version} was written by a newer fleet; update fleet to read this ledger")
    if version == known.VERSION:
        return known.model_validate_json(body)
    data: dict[str, Any] = json.loads(body)
    for old in range(version, known.VERSION):
        step = _UPCASTS.get((kind, old))
        if step is None:
            raise LedgerError(f"event {kind} v{version} is of no version that was ever released")
        data = step(data)
    return known.model_validate(data)

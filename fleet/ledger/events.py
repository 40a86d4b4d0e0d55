"""The vocabulary of the ledger: every event type there is, as a typed, versioned record.

An event's `TYPE` and its fields are for ever: adding a field with a default is free, anything else is a new
`VERSION` and an upcast in `_UPCASTS`. A test pins types, versions and fields in a snapshot.

`opens` and `closes` tell the ledger which queue entries an event begins and ends (inbox: accepted and not yet
decided; turns: routed and not yet answered; outbox: replies not yet delivered; dead: messages that failed too often;
undelivered: replies that did), so that "what is left to do" is one small table, kept in the same transaction, however
long the history is.

Times are integer microseconds since 1970 UTC, durations integer microseconds, money is US dollars.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from fleet.errors import LedgerError
from fleet.ledger.assignment import Assignment
from fleet.ledger.decision import Attempt, Candidate, Decision, Record
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
from fleet.ledger.user_events import Erased, UserForgotten

__all__ = [
    "EVENT_TYPES", "AgentDeclared", "AgentRetired", "AppEventRecorded", "Assignment", "Attempt", "Candidate",
    "Decision", "DecisionLabelled", "DispatchCancelled", "DispatchRequested", "Erased", "Event", "FleetStarted",
    "MessageAccepted", "MessageDead", "MessageDecided", "MessageDropped", "MessageFailed", "MessageRetried",
    "ModelAnswered", "ReplyDelivered", "ReplyFailed", "ReplyRetried", "StuckFound", "ToolIntended", "ToolReturned",
    "TurnEnded", "TurnFailed", "TurnResult", "TurnStarted", "UserForgotten", "build_events", "read_event",
]  # fmt: skip

TurnResult = Literal["success", "blocked", "need_input", "failed"]


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


class AgentRetired(Event):
    """The code no longer declares this agent; its open threads are named. Stream: agent:ROLE."""

    TYPE = "agent.retired"
    role: str
    open_threads: int = 0


class TurnStarted(Event):
    """A job woke up to answer these messages. Stream: job:ID.

    `transcript` and `prompt` are blob hashes of what the model is shown, with at most `history` entries of the
    conversation; `trouble` says why the warmup that ran was the default one.
    """

    TYPE = "turn.started"
    job_id: str
    thread_id: str
    turn: int
    message_ids: tuple[str, ...]
    transcript: str = ""
    prompt: str = ""
    prompt_name: str = ""
    trouble: str = ""
    history: int = 0

    def blobs(self) -> tuple[str, ...]:
        return (self.transcript, self.prompt)


class ModelAnswered(Event):
    """One model call of a turn; `content` holds the blocks as the Messages API spells them. Stream: job:ID."""

    TYPE = "step.model"
    job_id: str
    turn: int
    content: tuple[dict[str, Any], ...]
    stop_reason: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    latency_us: int = 0


class ToolIntended(Event):
    """A tool with effects is about to run: recorded before it does. Stream: job:ID."""

    TYPE = "tool.intended"
    job_id: str
    turn: int
    call_id: str
    tool: str
    arguments: dict[str, Any]
    idempotency_key: str


class ToolReturned(Event):
    """A tool call ended, well or not; `content` is what the model is told. Stream: job:ID."""

    TYPE = "tool.returned"
    job_id: str
    turn: int
    call_id: str
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    content: str
    error: bool = False
    latency_us: int = 0


class AppEventRecorded(Event):
    """An application event that a tool emitted, appended together with that tool's result. Stream: job:ID."""

    TYPE = "app.event"
    name: str
    version: int = 1
    job_id: str
    user: str
    data: dict[str, Any]


class TurnEnded(Event):
    """A turn came to its uniform result. `reply` is what the user is told (a supervised agent tells nobody).

    `summary` is the thread's, for the dispatcher; `reason` says why a turn was blocked or failed. Stream: job:ID.
    """

    TYPE = "turn.ended"
    job_id: str
    thread_id: str
    user: str
    turn: int
    message_ids: tuple[str, ...]
    result: TurnResult
    reply_id: str = ""
    reply: str = ""
    deliver: bool = True
    summary: str = ""
    reason: str = ""

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("outbox", self.reply_id),) if self.reply_id and self.deliver else ()

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return tuple(("turns", message_id) for message_id in self.message_ids)


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
        MessageAccepted,
        DispatchRequested,
        MessageDecided,
        DispatchCancelled,
        TurnStarted,
        ModelAnswered,
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
    )
}

# (type, version) → a function from that version's payload to the next version's.
_UPCASTS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


def build_events() -> None:
    """Have pydantic build every class's code now, for a process in which several threads would need it at once."""
    kinds: tuple[type[Record], ...] = (Candidate, Attempt, Decision, Assignment, *EVENT_TYPES.values())
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

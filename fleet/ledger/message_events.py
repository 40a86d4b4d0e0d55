"""The events of one message's stream, message:ID, and what is said of its decision afterwards."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fleet.ledger.assignment import Assignment
from fleet.ledger.decision import Decision
from fleet.ledger.event import Event, Queue
from fleet.ledger.question_events import question_queues

__all__ = ["DecisionLabelled", "DispatchCancelled", "DispatchRequested", "MessageAccepted", "MessageDecided"]


class MessageAccepted(Event):
    """A message is durable and will reach a terminal state. Stream: message:ID, version 1.

    It is not routed before `not_before` (0: at once); `priority` is between users, higher first.
    `roles` are those that it may go to; none: all.
    """

    TYPE = "message.accepted"
    message_id: str
    user: str
    text: str
    channel: str = ""
    session_id: str = ""
    language: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    priority: int = 0
    not_before: int = 0
    roles: tuple[str, ...] = ()

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("inbox", self.message_id),)


class DispatchRequested(MessageAccepted):
    """An explicit dispatch is durable and will reach a terminal state: a message that says where it goes.

    Its `text` may be ""; its `metadata` is the job's. Stream: message:ID, version 1.
    """

    TYPE = "dispatch.requested"
    assignment: Assignment

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("steps", self.message_id),) if self.assignment.step_of else ()


class MessageDecided(Event):
    """The one decision about a message; what it amounts to is applied with it. Stream: message:ID.

    `priority` is the message's: the turn that answers it has it too.
    """

    TYPE = "message.decided"
    message_id: str
    user: str
    text: str
    decision: Decision
    priority: int = 0

    def blobs(self) -> tuple[str, ...]:
        return (self.decision.transcript, self.decision.prompt)

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns", self.message_id),) if self.decision.thread_id else ()

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        settled: tuple[tuple[Queue, str], ...] = (("inbox", self.message_id),)
        asked = self.decision.asked or self.decision.outcome == "cancelled"
        return (*settled, *question_queues(self.message_id)) if asked else settled


class DispatchCancelled(Event):
    """Somebody calls off a dispatch that was routed and is not answered; its job ends it. Stream: message:ID."""

    TYPE = "dispatch.cancelled"
    message_id: str
    user: str
    job_id: str
    by: str = ""
    reason: str = ""


class DecisionLabelled(Event):
    """Somebody says what would have been right for a message: a thread of then, or a new one with `agent`.

    The last one about a message counts. `user` is the message's, `by` who says so. Stream: label:MESSAGE.
    """

    TYPE = "decision.labelled"
    message_id: str
    user: str
    thread_id: str = ""
    agent: str = ""
    note: str = ""
    by: str = ""

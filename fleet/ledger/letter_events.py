"""The events of what does not go the usual way: failed attempts, dead letters, what operators did about them."""

from __future__ import annotations

from typing import Literal

from fleet.ledger.event import Event, Queue
from fleet.ledger.question_events import question_queues

__all__ = [
    "MessageDead",
    "MessageDropped",
    "MessageFailed",
    "MessageRetried",
    "ReplyRetried",
    "StuckFound",
    "TurnFailed",
]


class MessageFailed(Event):
    """Routing a message ended in an error that nobody foresaw, and is tried again. Stream: message:ID.

    `attempt` counts since the message was accepted or retried; `error` is one line, `trace` where it came from.
    """

    TYPE = "message.failed"
    message_id: str
    attempt: int
    error: str
    trace: str = ""


class TurnFailed(Event):
    """A turn ended in an error that nobody foresaw, and is tried again from its last step. Stream: job:ID."""

    TYPE = "turn.failed"
    job_id: str
    thread_id: str
    turn: int
    message_ids: tuple[str, ...]
    attempt: int
    error: str
    trace: str = ""


class MessageDead(Event):
    """A message goes to the dead letters: routing it, or its turn, failed in `attempts` attempts.

    Stream: message:ID for routing; for a turn job:ID, with the turn's end.
    """

    TYPE = "message.dead"
    message_id: str
    stage: Literal["routing", "turn"]
    attempts: int
    error: str
    trace: str = ""
    thread_id: str = ""
    job_id: str = ""

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("dead", self.message_id),)

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("inbox", self.message_id), *question_queues(self.message_id))


class MessageRetried(Event):
    """Somebody put a dead letter back: to be routed, or with `job_id` to be answered in its thread. Stream: message:ID.

    `by` says who; `text` is the message's, for the turn.
    """

    TYPE = "message.retried"
    message_id: str
    by: str
    thread_id: str = ""
    job_id: str = ""
    text: str = ""

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns" if self.job_id else "inbox", self.message_id),)

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("dead", self.message_id),)


class MessageDropped(Event):
    """Somebody took a message out of the inbox, or out of the dead letters, for good. Stream: message:ID."""

    TYPE = "message.dropped"
    message_id: str
    by: str
    reason: str = ""

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("inbox", self.message_id), ("dead", self.message_id), *question_queues(self.message_id))


class ReplyRetried(Event):
    """Somebody put a reply that its channel had refused back into the outbox. Stream: reply:ID."""

    TYPE = "reply.retried"
    reply_id: str
    thread_id: str
    job_id: str
    by: str

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("outbox", self.reply_id),)

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("undelivered", self.reply_id),)


class StuckFound(Event):
    """The sweeper found an entry of a queue past its deadline, and did something about it. Stream: sweeper.

    `waited_us` is how long it made no progress; `did` is `cut off` (what ran for it was ended, which counts as a failed
    attempt) or `set going` (nothing ran for it).
    """

    TYPE = "stuck.found"
    queue: Queue
    key: str
    waited_us: int
    did: Literal["cut off", "set going"]

"""What users are asked about a message of theirs: which of several threads or agents it is meant for."""

from __future__ import annotations

from fleet.ledger.decision import Choice, Decision
from fleet.ledger.event import Event, Queue

__all__ = ["QuestionAsked", "asked_about", "question_id", "question_queues"]

_QUESTION = "ask_"


class QuestionAsked(Event):
    """The dispatcher is unsure where a message belongs and asks its user. Stream: message:ID, at most one there.

    `covers` are the messages of one burst with it that go where it goes. `choices` are numbered from 1 as they stand;
    `otherwise` is the agent that gets the message in a new thread if it is none of them ("": a person). `text` is the
    question word for word, `question_id` what it is called in the outbox. `decision` holds if nobody answers before
    `expires_at`, or something else is said next; `thread_key` as there.
    """

    TYPE = "question.asked"
    message_id: str
    user: str
    question_id: str
    text: str
    choices: tuple[Choice, ...]
    otherwise: str = ""
    expires_at: int
    decision: Decision
    covers: tuple[str, ...] = ()
    thread_key: str = ""

    def blobs(self) -> tuple[str, ...]:
        return (self.decision.transcript, self.decision.prompt)

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("outbox", self.question_id),)


def question_id(message_id: str) -> str:
    """What the question about a message is called in the outbox."""
    return f"{_QUESTION}{message_id}"


def asked_about(reply_id: str) -> str:
    """The message that something in the outbox asks about; "" if it is no such question."""
    return reply_id.removeprefix(_QUESTION) if reply_id.startswith(_QUESTION) else ""


def question_queues(message_id: str) -> tuple[tuple[Queue, str], ...]:
    """Where the question about a message may still be: once that is settled, nobody need be asked."""
    name = question_id(message_id)
    return ("outbox", name), ("undelivered", name)

"""What came of deciding about one message: the record to be, and the bulky texts that it names."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.ledger.base import Blob
from fleet.ledger.events import Assignment, Choice, Decision

__all__ = ["Decided", "Question"]


@dataclass(frozen=True)
class Question:
    """What the user is asked: `text` word for word, with the `choices` numbered from 1; `otherwise`: none of them."""

    text: str
    choices: tuple[Choice, ...]
    otherwise: str = ""


@dataclass(frozen=True)
class Decided:
    """A decision as it will be recorded, and the bulky texts that it names by hash.

    `decision.thread_id` is set where an existing thread is continued; a new thread's ids are given when the decision
    is written, after `thread_key` if it is not "" (the same key is the same thread), else after the message's id.
    `covers` is how many messages of one burst with the message are decided by this too, the next ones after it.
    `also` are dispatches that come of the message beside its own decision. With a `question` the user is to be asked,
    and the decision is what counts if nobody answers.
    """

    decision: Decision
    blobs: tuple[Blob, ...] = ()
    thread_key: str = ""
    also: tuple[Assignment, ...] = ()
    covers: int = 0
    question: Question | None = None

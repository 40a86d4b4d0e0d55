"""What a turn answers, read from the ledger: a user's messages, or the task that a parent job gave."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.errors import GraphError
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.ledger.base import Ledger
from fleet.ledger.events import (
    ConfirmationSettled,
    DispatchRequested,
    MessageAccepted,
    MessageDecided,
    SubjobStarted,
    TurnStarted,
)
from fleet.workers.confirm import open_questions, verdicts

__all__ = ["answers_to_questions", "last_ids", "messages_of"]

_APPLICATION = "application"  # who a dispatch is by that the application makes and names nobody for
_ADDRESSED = ("gate", "dispatch", "user")  # who decides on a message of which it is said where it belongs


def messages_of(ledger: Ledger, job: JobRecord, ids: Iterable[str]) -> list[MessageAccepted]:
    """The job's messages of these ids, in order; a child's is its task. Raises: GraphError for one never accepted."""
    return [_task(ledger, job) if job.parent else _accepted(ledger, message_id) for message_id in ids]


def last_ids(ledger: Ledger, job: JobRecord) -> tuple[str, ...]:
    """The messages of the job's last turn that had any: what a turn is about that no message began."""
    for stored in reversed(ledger.read_stream(f"job:{job.id}")):
        if isinstance(stored.event, TurnStarted) and stored.event.message_ids:
            return stored.event.message_ids
    raise GraphError(f"job {job.id} was woken and never had a message")


def answers_to_questions(ledger: Ledger, root: LivingRoot, job: JobRecord, now_us: int) -> list[ConfirmationSettled]:
    """What the open turn's messages make of the questions that the turn before ended with.

    Only what the user wrote after a question was put to them is an answer to it; and if another thread has asked them
    something since, a router's guess that they mean this one is not enough.
    """
    questions = [each for each in open_questions(job, job.turn - 1) if "put" in each]
    if not questions or not len(job.turn_ids):
        return []
    user, since = root.threads[job.thread].user, max(each["put"] for each in questions)
    guesses = not _asked_since(root, job, user, since, now_us)
    answers = [each for each in map(str, job.turn_ids) if _is_answer(ledger, each, since, guesses=guesses)]
    texts = [each.text for each in messages_of(ledger, job, answers)]
    return [
        ConfirmationSettled(
            confirm_id=question["key"], job_id=job.id, thread_id=job.thread, user=user, verdict=verdict, by="user",
            message_id=answers[0] if answers else job.turn_ids[0],
        )
        for question, verdict in verdicts(questions, texts, now_us)
    ]  # fmt: skip


def _is_answer(ledger: Ledger, message_id: str, since: int, *, guesses: bool) -> bool:
    """Whether a message came after event `since`, and holds the user's own words.

    What an operator, or a workflow's step before, puts into a thread by a dispatch is not the user's word. Without
    `guesses` it counts only if it was addressed to the thread: by a gate, such as its session's, by a dispatch, or by
    the user who was asked.
    """
    stream = ledger.read_stream(f"message:{message_id}")
    accepted = stream[0].event
    if isinstance(accepted, DispatchRequested):
        asked = accepted.assignment
        if asked.step_of or not (asked.by_user or asked.by == _APPLICATION):
            return False
    addressed = any(isinstance(each.event, MessageDecided) and each.event.decision.by in _ADDRESSED for each in stream)
    return stream[0].seq > since and (guesses or addressed)


def _asked_since(root: LivingRoot, job: JobRecord, user: str, since: int, now_us: int) -> bool:
    """Whether another thread has put a question to the user after event `since` that can still be answered."""
    for thread_id in dict.fromkeys(map(str, root.users[user].recent)):
        other = root.jobs[root.threads[thread_id].job]
        if other.id == job.id or other.pending == "[]":
            continue
        if any(
            each.get("put", 0) > since and each["expires_at"] > now_us for each in open_questions(other, other.turn)
        ):
            return True
    return False


def _task(ledger: Ledger, job: JobRecord) -> MessageAccepted:
    event = ledger.read_stream(f"job:{job.id}")[0].event
    if not isinstance(event, SubjobStarted):
        raise GraphError(f"job {job.id} is a child and its stream does not begin with its task")
    return MessageAccepted(message_id=event.message_id, user=event.user, text=event.text)


def _accepted(ledger: Ledger, message_id: str) -> MessageAccepted:
    event = ledger.read_stream(f"message:{message_id}")[0].event
    if not isinstance(event, MessageAccepted):
        raise GraphError(f"message {message_id} was routed and never accepted")
    return event

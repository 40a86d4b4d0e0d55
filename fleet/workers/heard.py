"""What a turn answers, read from the ledger: a user's messages, or the task that a parent job gave."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.errors import GraphError
from fleet.graph.records import JobRecord
from fleet.ledger.base import Ledger
from fleet.ledger.events import ConfirmationSettled, DispatchRequested, MessageAccepted, SubjobStarted, TurnStarted
from fleet.workers.confirm import open_questions, verdicts

__all__ = ["answers_to_questions", "last_ids", "messages_of"]

_APPLICATION = "application"  # who a dispatch is by that the application makes and names nobody for


def messages_of(ledger: Ledger, job: JobRecord, ids: Iterable[str]) -> list[MessageAccepted]:
    """The job's messages of these ids, in order; a child's is its task. Raises: GraphError for one never accepted."""
    return [_task(ledger, job) if job.parent else _accepted(ledger, message_id) for message_id in ids]


def last_ids(ledger: Ledger, job: JobRecord) -> tuple[str, ...]:
    """The messages of the job's last turn that had any: what a turn is about that no message began."""
    for stored in reversed(ledger.read_stream(f"job:{job.id}")):
        if isinstance(stored.event, TurnStarted) and stored.event.message_ids:
            return stored.event.message_ids
    raise GraphError(f"job {job.id} was woken and never had a message")


def answers_to_questions(ledger: Ledger, job: JobRecord, user: str, now_us: int) -> list[ConfirmationSettled]:
    """What the open turn's messages make of the questions that the turn before ended with.

    Only what the user wrote after a question was put to them is an answer to it.
    """
    questions = [each for each in open_questions(job, job.turn - 1) if "put" in each]
    if not questions or not len(job.turn_ids):
        return []
    since = max(each["put"] for each in questions)
    answers = [each for each in map(str, job.turn_ids) if _is_answer(ledger, each, since)]
    texts = [each.text for each in messages_of(ledger, job, answers)]
    return [
        ConfirmationSettled(
            confirm_id=question["key"], job_id=job.id, thread_id=job.thread, user=user, verdict=verdict, by="user",
            message_id=answers[0] if answers else job.turn_ids[0],
        )
        for question, verdict in verdicts(questions, texts, now_us)
    ]  # fmt: skip


def _is_answer(ledger: Ledger, message_id: str, since: int) -> bool:
    """Whether a message came after event `since`, and holds the user's own words.

    What an operator, or a workflow's step before, puts into a thread by a dispatch is not the user's word.
    """
    stored = ledger.read_stream(f"message:{message_id}")[0]
    if isinstance(stored.event, DispatchRequested):
        asked = stored.event.assignment
        return stored.seq > since and not asked.step_of and (asked.by_user or asked.by == _APPLICATION)
    return stored.seq > since


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

"""What a turn answers, read from the ledger: a user's messages, or the task that a parent job gave."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.errors import GraphError
from fleet.graph.records import JobRecord
from fleet.ledger.base import Ledger
from fleet.ledger.events import MessageAccepted, SubjobStarted, TurnStarted

__all__ = ["last_ids", "messages_of"]


def messages_of(ledger: Ledger, job: JobRecord, ids: Iterable[str]) -> list[MessageAccepted]:
    """The job's messages of these ids, in order; a child's is its task. Raises: GraphError for one never accepted."""
    return [_task(ledger, job) if job.parent else _accepted(ledger, message_id) for message_id in ids]


def last_ids(ledger: Ledger, job: JobRecord) -> tuple[str, ...]:
    """The messages of the job's last turn that had any: what a turn is about that no message began."""
    for stored in reversed(ledger.read_stream(f"job:{job.id}")):
        if isinstance(stored.event, TurnStarted) and stored.event.message_ids:
            return stored.event.message_ids
    raise GraphError(f"job {job.id} was woken and never had a message")


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

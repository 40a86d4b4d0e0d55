"""Archiving: the payloads of threads in which nothing happens any more leave the ledger's file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from fleet.ledger.archive import Archive, Archived, changing_history
from fleet.ledger.base import Ledger
from fleet.ledger.event import Queue
from fleet.ledger.events import (
    CallResolved,
    ConfirmationAsked,
    ConfirmationSettled,
    MessageDecided,
    PersonReplied,
    ReminderFired,
    ReminderSet,
    ThreadReleased,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.ledger.question_events import question_id
from fleet.ledger.sqlite import BUSY_S
from fleet.runtime.home import Home

__all__ = ["ArchivedThreads", "archive"]

_SETTLED = ("drop", "error", "answer")
_BY_JOB = (ConfirmationSettled, CallResolved, PersonReplied, ReminderSet, ReminderFired)


@dataclass(frozen=True)
class ArchivedThreads:
    """What a run came to: threads, messages that went to none, and what was moved of both."""

    threads: int
    messages: int
    moved: Archived


def archive(home: Home, before: int) -> ArchivedThreads:
    """Move the payloads of every thread that is closed since `before` (microseconds since 1970 UTC).

    Closed is a thread in which nothing happened since, of which nothing is left to do, and which is not blocked until
    a person sees to it. Messages that a gate settled by then without a thread go too. A worker may run; what is
    archived is read as before. Raises: HomeError, LedgerError; LedgerUnavailableError if another process is at it.
    """
    with home.read_ledger() as ledger:
        path = ledger.path
    # Who reads lets go before who writes: the last one to close folds the log into the file.
    with changing_history(path), Archive(path, BUSY_S) as into, home.read_ledger() as ledger:
        left = _left_to_do(ledger)
        threads = messages = 0

        def closed() -> Iterator[str]:
            nonlocal threads, messages
            for job in into.quiet("job:", before):
                streams = _closed(ledger, job, left)
                threads += bool(streams)
                yield from streams
            for message in into.quiet("message:", before):
                if _settled(ledger, message):
                    messages += 1
                    yield message

        into.move(closed())
        return ArchivedThreads(threads, messages, into.moved)


def _left_to_do(ledger: Ledger) -> set[str]:
    """What is in a queue, by its key, and the ids of jobs that have to take it up."""
    left: set[str] = set()
    for entry in (each for queue in get_args(Queue) for each in ledger.pending(queue)):
        left.add(entry.key)
        for stored in ledger.read(after=entry.seq - 1, upto=entry.seq):
            if isinstance(stored.event, MessageDecided):
                left.add(stored.event.decision.job_id)
            elif isinstance(stored.event, _BY_JOB):
                left.add(stored.event.job_id)
    return left


def _settled(ledger: Ledger, message: str) -> bool:
    """Whether a message came to its end without a thread."""
    decided = (each.event for each in ledger.read_stream(message) if isinstance(each.event, MessageDecided))
    return any(each.decision.outcome in _SETTLED for each in decided)


def _closed(ledger: Ledger, job: str, left: set[str]) -> list[str]:
    """The streams of a job's thread, if it is closed; else none."""
    ids = {job.removeprefix("job:")}
    name = job.removeprefix("job:job_")
    takeover, orders = f"takeover:thr_{name}", f"cancel:job_{name}"
    persons = ledger.read_stream(takeover)
    if persons and not isinstance(persons[-1].event, ThreadReleased):
        return []
    streams = [job, *(each for each in (takeover, orders) if ledger.version(each))]
    result = ""
    for stored in ledger.read_stream(job):
        event = stored.event
        if isinstance(event, TurnStarted):
            ids.update(event.message_ids)
            streams += [f"message:{each}" for each in event.message_ids]
            questions = (f"reply:{question_id(each)}" for each in event.message_ids)
            streams += [each for each in questions if ledger.version(each)]
        elif isinstance(event, ConfirmationAsked):
            streams.append(f"confirm:{event.confirm_id}")
        elif isinstance(event, ReminderSet):
            streams.append(f"reminder:{event.reminder_id}")
        elif isinstance(event, ToolReturned) and event.unknown:
            streams.append(f"call:{event.job_id}:{event.call_id}")
        elif isinstance(event, TurnEnded):
            result = event.result
            if event.reply_id:
                ids.add(event.reply_id)
                streams.append(f"reply:{event.reply_id}")
    return streams if result not in ("", "blocked") and left.isdisjoint(ids) else []

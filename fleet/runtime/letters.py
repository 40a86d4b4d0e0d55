"""The queues as operators see them: what waits, what is dead, what could not be delivered; put back, or dropped.

From the ledger alone, by any process, beside a running worker. What is done is one event, appended at the version that
the message's or reply's stream had when it was looked at: so two people, or a person and the worker, never both act on
the same standing, and whoever comes second is told how it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fleet.clock import iso
from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger, Pending, Stored
from fleet.ledger.event import Queue
from fleet.ledger.events import (
    MessageAccepted,
    MessageDead,
    MessageDecided,
    MessageDropped,
    MessageFailed,
    MessageRetried,
    QuestionAsked,
    ReplyFailed,
    ReplyRetried,
    TurnEnded,
)
from fleet.ledger.question_events import asked_about

__all__ = [
    "InboxEntry", "OutboxEntry", "dead_letters", "drop_message", "dropped_since", "inbox_entries", "outbox_entries",
    "retry_message", "retry_reply",
]  # fmt: skip

E = TypeVar("E", MessageDropped, MessageRetried)
_PAGE = 500  # entries of a queue read at a time


@dataclass(frozen=True)
class InboxEntry:
    """A message that waits to be routed, or a dead letter. Times are microseconds since 1970 UTC.

    `since` is when it came into this state; `state` is waiting, delayed (not before `not_before`), asked (its user says
    where it goes), failing (tried `attempts` times in vain, and tried again) or dead; `stage` is where a dead letter
    failed, routing or turn.
    """

    message_id: str
    user: str
    state: Literal["waiting", "delayed", "asked", "failing", "dead"]
    since: int
    text: str
    priority: int = 0
    not_before: int = 0
    stage: str = ""
    attempts: int = 0
    error: str = ""
    thread_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """One JSON object; times in ISO 8601 UTC."""
        return {
            "message_id": self.message_id,
            "user": self.user,
            "state": self.state,
            "since": iso(self.since),
            "priority": self.priority,
            "not_before": iso(self.not_before) if self.not_before else None,
            "stage": self.stage,
            "attempts": self.attempts,
            "error": self.error,
            "thread_id": self.thread_id,
            "text": self.text,
        }


@dataclass(frozen=True)
class OutboxEntry:
    """A reply that waits for its delivery, or that its channel refused too often (`state` failed)."""

    reply_id: str
    user: str
    state: Literal["waiting", "failed"]
    since: int
    thread_id: str
    attempts: int = 0
    error: str = ""
    text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """One JSON object; times in ISO 8601 UTC."""
        return {
            "reply_id": self.reply_id,
            "user": self.user,
            "state": self.state,
            "since": iso(self.since),
            "thread_id": self.thread_id,
            "attempts": self.attempts,
            "error": self.error,
            "text": self.text,
        }


def inbox_entries(ledger: Ledger, now_us: int, *, user: str = "") -> Iterator[InboxEntry]:
    """The messages that wait to be routed, the oldest first; of one user, or of all ("")."""
    for entry in _entries(ledger, "inbox", user):
        stream = ledger.read_stream(f"message:{entry.key}")
        accepted = _accepted(stream)
        if accepted is None:
            continue
        last = stream[-1].event
        delayed = accepted.not_before > now_us
        failing = isinstance(last, MessageFailed)
        asked = isinstance(last, QuestionAsked)
        since = stream[-1].at if asked else next(each.at for each in reversed(stream) if each.seq <= entry.seq)
        yield InboxEntry(
            entry.key, entry.user, "failing" if failing else "asked" if asked else "delayed" if delayed else "waiting",
            since, accepted.text, accepted.priority, accepted.not_before, "routing" if failing else "",
            last.attempt if isinstance(last, MessageFailed) else 0,
            last.error if isinstance(last, MessageFailed) else "",
        )  # fmt: skip


def dead_letters(ledger: Ledger, *, user: str = "", stage: str = "") -> Iterator[InboxEntry]:
    """The dead letters, the oldest first; of one user, and of one stage ("": any)."""
    for entry in _entries(ledger, "dead", user):
        died = _at(ledger, entry.seq)
        accepted = _accepted(ledger.read_stream(f"message:{entry.key}"))
        dead = died.event
        if accepted is None or not isinstance(dead, MessageDead) or stage not in ("", dead.stage):
            continue
        yield InboxEntry(
            entry.key, entry.user, "dead", died.at, accepted.text, accepted.priority, accepted.not_before, dead.stage,
            dead.attempts, dead.error, dead.thread_id,
        )  # fmt: skip


def outbox_entries(ledger: Ledger, *, user: str = "", state: str = "") -> Iterator[OutboxEntry]:
    """The replies that are not delivered: those that wait, then those that failed, each the oldest first."""
    for entry in _entries(ledger, "outbox", user) if state in ("", "waiting") else ():
        since = _at(ledger, entry.seq)
        said = _said(ledger, entry)
        if said is not None:
            yield OutboxEntry(entry.key, entry.user, "waiting", since.at, said.thread_id, text=said.text)
    for entry in _entries(ledger, "undelivered", user) if state in ("", "failed") else ():
        failed = _at(ledger, entry.seq)
        event, said = failed.event, _said(ledger, entry)
        if isinstance(event, ReplyFailed) and said is not None:
            yield OutboxEntry(
                entry.key, entry.user, "failed", failed.at, event.thread_id, event.attempts, event.error, said.text
            )


def retry_message(ledger: Ledger, message_id: str, *, by: str) -> MessageRetried:
    """Put a dead letter back: to be routed, or to be answered in its thread. On record before this returns.

    Raises: InputError if it is no dead letter; nothing is written then.
    """

    def put_back(entry: Pending, accepted: MessageAccepted) -> MessageRetried:
        dead = _at(ledger, entry.seq).event
        if not isinstance(dead, MessageDead) or not dead.job_id:
            return MessageRetried(message_id=message_id, by=by)
        return MessageRetried(
            message_id=message_id, by=by, thread_id=dead.thread_id, job_id=dead.job_id, text=accepted.text
        )

    return _act(ledger, message_id, ("dead",), put_back, "is no dead letter", "nothing was put back")


def drop_message(ledger: Ledger, message_id: str, *, by: str, reason: str = "") -> MessageDropped:
    """Take a message that is not routed yet, or a dead letter, out for good. On record before this returns.

    Raises: InputError if it is neither; nothing is written then.
    """

    def drop(entry: Pending, accepted: MessageAccepted) -> MessageDropped:
        return MessageDropped(message_id=message_id, by=by, reason=reason)

    what = "neither waits in the inbox nor is a dead letter"
    return _act(ledger, message_id, ("inbox", "dead"), drop, what, "nothing was dropped")


def dropped_since(ledger: Ledger, message_id: str, version: int) -> bool:
    """Whether somebody dropped a message, or called the dispatch off, after its history had this version."""
    return any(
        isinstance(each.event, MessageDropped)
        or (isinstance(each.event, MessageDecided) and each.event.decision.outcome == "cancelled")
        for each in ledger.read_stream(f"message:{message_id}", after=version)
    )


def retry_reply(ledger: Ledger, reply_id: str, *, by: str) -> ReplyRetried:
    """Put a reply that its channel refused too often back into the outbox. On record before this returns.

    Raises: InputError if it is none; nothing is written then.
    """
    while True:
        version = ledger.version(f"reply:{reply_id}")
        entry = ledger.pending_entry("undelivered", reply_id)
        said = _said(ledger, entry) if entry is not None else None
        if entry is None or said is None:
            how = "there is no such reply"
            if ledger.pending_entry("outbox", reply_id) is not None:
                how = "it waits in the outbox"
            elif asked_about(reply_id):
                how = "the question is settled"
            elif version:
                how = "it was delivered"
            raise InputError(f"reply {reply_id} is none that failed: {how}; nothing was put back")
        event = ReplyRetried(reply_id=reply_id, thread_id=said.thread_id, job_id=said.job_id, by=by)
        try:
            ledger.append_now(Draft(f"reply:{reply_id}", version, (event,), entry.user))
        except StaleWriteError:  # somebody else was quicker; look again
            continue
        return event


def _act(
    ledger: Ledger,
    message_id: str,
    queues: tuple[Queue, ...],
    event_for: Callable[[Pending, MessageAccepted], E],
    otherwise: str,
    nothing: str,
) -> E:
    """Append what is done about a message that one of the queues holds."""
    while True:
        stream = ledger.read_stream(f"message:{message_id}")
        accepted = _accepted(stream)
        entry = next(filter(None, (ledger.pending_entry(queue, message_id) for queue in queues)), None)
        if accepted is None or entry is None:
            raise InputError(f"message {message_id} {otherwise}: {_standing(stream)}; {nothing}")
        event = event_for(entry, accepted)
        try:
            ledger.append_now(Draft(stream[-1].stream, stream[-1].version, (event,), accepted.user))
        except StaleWriteError:  # the worker, or somebody else, was quicker; look again
            continue
        return event


def _standing(stream: list[Stored]) -> str:
    """How a message stands, in words."""
    if _accepted(stream) is None:
        return "there is no such message"
    last = stream[-1].event
    if isinstance(last, MessageDropped):
        return f"{last.by} has dropped it"
    if isinstance(last, MessageRetried):
        return f"{last.by} has put it back"
    if any(isinstance(each.event, MessageDecided) for each in stream):
        return "it has been routed"
    return "it waits in the inbox"


def _accepted(stream: list[Stored]) -> MessageAccepted | None:
    first = stream[0].event if stream else None
    return first if isinstance(first, MessageAccepted) else None


def _entries(ledger: Ledger, queue: Queue, user: str) -> Iterator[Pending]:
    """A queue's entries in order, page by page."""
    after = 0
    while page := ledger.pending(queue, after_seq=after, limit=_PAGE):
        yield from (entry for entry in page if not user or entry.user == user)
        after = page[-1].seq


def _at(ledger: Ledger, seq: int) -> Stored:
    return next(ledger.read(after=seq - 1, upto=seq))


@dataclass(frozen=True)
class _Said:
    """A reply's words and where they come from; a question to a user has neither thread nor job."""

    text: str
    thread_id: str = ""
    job_id: str = ""


def _said(ledger: Ledger, entry: Pending) -> _Said | None:
    """What the reply says: a question, or what the turn came to that ended with it."""
    if asked := asked_about(entry.key):
        stream = (each.event for each in ledger.read_stream(f"message:{asked}"))
        return next((_Said(each.text) for each in stream if isinstance(each, QuestionAsked)), None)
    for stored in ledger.read(types=(TurnEnded.TYPE,), user=entry.user, before=entry.seq + 1, newest_first=True):
        event = stored.event
        if isinstance(event, TurnEnded) and event.reply_id == entry.key:
            return _Said(event.reply, event.thread_id, event.job_id)
    return None

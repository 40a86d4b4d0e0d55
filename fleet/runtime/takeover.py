"""A person in the place of a thread's agent: taking over, telling the user, giving it back. From the ledger alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fleet.clock import iso
from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger, Stored
from fleet.ledger.events import (
    Erased,
    Event,
    MessageDecided,
    PersonReplied,
    SubjobStarted,
    ThreadReleased,
    ThreadTakenOver,
    TurnEnded,
    TurnStarted,
)

__all__ = ["Takeover", "release", "reply", "takeover", "takeover_of"]

_MOST = 100_000  # characters of a reply


@dataclass(frozen=True)
class Takeover:
    """Where a thread stands: `by` is who answers in its agent's place, "" for nobody; `since` is UTC."""

    thread_id: str
    job_id: str
    user: str
    by: str = ""
    since: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return asdict(self)


def takeover_of(ledger: Ledger, thread_id: str) -> Takeover:
    """Who has the thread. Raises: InputError if there is no such thread, or its user was forgotten."""
    return _stand(_owner(ledger, thread_id), ledger.read_stream(_stream(thread_id)))


def takeover(ledger: Ledger, thread_id: str, *, by: str) -> Takeover:
    """Let `by` answer in a thread in its agent's place; a turn that runs ends between two steps, without a reply.

    Raises: InputError for an unknown thread, one that somebody has taken over, or a name that cannot be shown.
    """
    if not by or not by.isprintable():
        raise InputError("a takeover needs a printable name, who it is by; nothing was changed")

    task = next((each.event for each in ledger.read_stream(f"job:job_{thread_id.removeprefix('thr_')}")), None)
    if isinstance(task, SubjobStarted):
        raise InputError(f"thread {thread_id} is a task of {task.parent}, which no user reads; take over its thread")

    def event(stands: Takeover, version: int) -> Event:
        if stands.by:
            raise InputError(f"thread {thread_id} was taken over by {stands.by}; nothing was changed")
        return ThreadTakenOver(thread_id=thread_id, job_id=stands.job_id, user=stands.user, by=by)

    return _write(ledger, thread_id, event)


def reply(ledger: Ledger, thread_id: str, text: str, *, by: str = "") -> Takeover:
    """Tell the thread's user this, in the place of its agent; it answers the messages that wait in the thread.

    A worker delivers it, now or at its start. `by` is whoever has taken the thread over, unless somebody else is named.
    Raises: InputError for an unknown thread, one that nobody has taken over, or a text that is empty or cannot be sent.
    """
    if not text.strip():
        raise InputError("a reply needs a text; nothing was sent")
    if len(text) > _MOST:
        raise InputError(f"a reply has at most {_MOST} characters, this one has {len(text)}; nothing was sent")
    if any(each not in "\n\t" and unicodedata.category(each) in ("Cc", "Cs") for each in text):
        raise InputError("a reply holds no control characters but line breaks and tabs; nothing was sent")

    def event(stands: Takeover, version: int) -> Event:
        if not stands.by:
            raise InputError(_not_taken(thread_id, "sent"))
        return PersonReplied(
            key=f"{thread_id}:{version + 1}", thread_id=thread_id, job_id=stands.job_id, user=stands.user,
            by=by or stands.by, text=text,
        )  # fmt: skip

    return _write(ledger, thread_id, event)


def release(ledger: Ledger, thread_id: str, *, by: str = "") -> Takeover:
    """Give a thread back to its agent, which answers what nobody has. Returns who had it.

    Raises: InputError for an unknown thread, or one that nobody has taken over.
    """
    had: list[Takeover] = []

    def event(stands: Takeover, version: int) -> Event:
        if not stands.by:
            raise InputError(_not_taken(thread_id, "changed"))
        had[:] = [stands]
        return ThreadReleased(thread_id=thread_id, job_id=stands.job_id, user=stands.user, by=by or stands.by)

    _write(ledger, thread_id, event)
    return had[0]


def _not_taken(thread_id: str, what: str) -> str:
    return f"thread {thread_id} is not taken over; `fleet takeover {thread_id}` does that; nothing was {what}"


def _stream(thread_id: str) -> str:
    return f"takeover:{thread_id}"


def _write(ledger: Ledger, thread_id: str, event: Callable[[Takeover, int], Event]) -> Takeover:
    """Append what `event` makes of how the thread stands, and once more if that changed in this moment."""
    owner = _owner(ledger, thread_id)
    while True:
        stream = ledger.read_stream(_stream(thread_id))
        made = event(_stand(owner, stream), len(stream))
        try:
            ledger.append_now(Draft(_stream(thread_id), len(stream), (made,), owner.user))
        except StaleWriteError:
            continue
        return takeover_of(ledger, thread_id)


def _stand(owner: Takeover, stream: list[Stored]) -> Takeover:
    for stored in reversed(stream):
        if isinstance(stored.event, ThreadTakenOver):
            return Takeover(owner.thread_id, owner.job_id, owner.user, stored.event.by, iso(stored.at))
        if isinstance(stored.event, ThreadReleased):
            break
    return owner


def _owner(ledger: Ledger, thread_id: str) -> Takeover:
    """The thread's user and job: by its first turn, or by the message that waits for that."""
    job_id = f"job_{thread_id.removeprefix('thr_')}"
    for stored in ledger.read_stream(f"job:{job_id}"):
        if isinstance(stored.event, Erased):
            raise InputError(f"thread {thread_id} was erased: its user was forgotten, and nothing but its id is left")
        if isinstance(stored.event, SubjobStarted):
            return Takeover(thread_id, job_id, stored.user)
        if isinstance(stored.event, (TurnStarted, TurnEnded)) and stored.event.thread_id == thread_id:
            return Takeover(thread_id, job_id, stored.user)
    for entry in ledger.pending("turns"):
        for stored in ledger.read(after=entry.seq - 1, upto=entry.seq):
            if isinstance(stored.event, MessageDecided) and stored.event.decision.thread_id == thread_id:
                return Takeover(thread_id, job_id, stored.user)
    raise InputError(f"there is no thread {thread_id!r}; `fleet threads list` shows them")

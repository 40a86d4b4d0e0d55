"""Reminders as the ledger tells them: which there are, and taking one back. From the ledger alone, by any process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fleet.clock import iso, now_us
from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger, Stored
from fleet.ledger.events import ReminderCancelled, ReminderFired, ReminderSet

__all__ = ["KnownReminder", "cancel_reminder", "due_of_job", "find_reminder", "reminders", "reminders_of"]


@dataclass(frozen=True)
class KnownReminder:
    """One reminder. `state` is open, late (its time has come and no worker has fired it), fired or cancelled.

    Times are UTC; `by` is who cancelled it.
    """

    id: str
    state: str
    due_at: str
    user: str
    thread_id: str
    job_id: str
    note: str
    verbatim: bool
    set_at: str
    by: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return asdict(self)


def reminders(ledger: Ledger, *, user: str = "", thread: str = "", every: bool = False) -> list[KnownReminder]:
    """The open reminders by the time they are due; with `every` those that fired or were cancelled too."""
    stored = ledger.read(types=(ReminderSet.TYPE,), user=user) if every else _open(ledger, user)
    found = [_known(ledger, each, each.event) for each in stored if isinstance(each.event, ReminderSet)]
    return sorted(
        (each for each in found if thread in ("", each.thread_id) and (every or each.state in ("open", "late"))),
        key=lambda each: (each.due_at, each.id),
    )


def reminders_of(ledger: Ledger, job_id: str) -> list[KnownReminder]:
    """The open reminders of one job, by the time they are due."""
    stream = ledger.read_stream(f"job:{job_id}")
    found = [_known(ledger, each, each.event) for each in stream if isinstance(each.event, ReminderSet)]
    return sorted((each for each in found if each.state in ("open", "late")), key=lambda each: (each.due_at, each.id))


def due_of_job(ledger: Ledger, job_id: str) -> tuple[str, ...]:
    """The ids of a job's reminders that have fired and whose turn has not ended."""
    waiting = (
        stored.event for entry in ledger.pending("turns") for stored in ledger.read(after=entry.seq - 1, upto=entry.seq)
    )
    return tuple(each.reminder_id for each in waiting if isinstance(each, ReminderFired) and each.job_id == job_id)


def find_reminder(ledger: Ledger, given: str) -> KnownReminder:
    """The reminder that `given` names: an id, or the beginning of exactly one. Raises: InputError."""
    every = [each for each in reminders(ledger, every=True) if each.id.startswith(given)] if given else []
    found = next((each for each in every if each.id == given), every[0] if len(every) == 1 else None)
    if found is None:
        wrong = f"names {len(every)} reminders; give more of it" if every else "is no reminder"
        raise InputError(f"{given!r} {wrong}; see `fleet reminders list`")
    return found


def cancel_reminder(ledger: Ledger, given: str, *, by: str, reason: str = "") -> KnownReminder:
    """Take a reminder back, on record before this returns; it does not fire any more.

    Raises: InputError for an id that names none or several, or one that has fired or is cancelled; nothing is written.
    """
    found = find_reminder(ledger, given)
    if found.state not in ("open", "late"):
        was = f"was cancelled by {found.by}" if found.by else "has fired"
        raise InputError(f"reminder {found.id} {was}; nothing was changed")
    off = ReminderCancelled(
        reminder_id=found.id, job_id=found.job_id, thread_id=found.thread_id, user=found.user, by=by, reason=reason
    )
    try:
        ledger.append_now(Draft(f"reminder:{found.id}", 0, (off,), found.user))
    except StaleWriteError:
        raise InputError(f"reminder {found.id} fired in this moment; nothing was changed") from None
    return find_reminder(ledger, found.id)


def _open(ledger: Ledger, user: str) -> Iterator[Stored]:
    for entry in ledger.pending("reminders"):
        if user in ("", entry.user):
            yield from ledger.read(after=entry.seq - 1, upto=entry.seq)


def _known(ledger: Ledger, stored: Stored, event: ReminderSet) -> KnownReminder:
    state, by = ("late" if event.due_at <= now_us() else "open"), ""
    for each in ledger.read_stream(f"reminder:{event.reminder_id}"):
        if isinstance(each.event, ReminderFired):
            state = "fired"
        elif isinstance(each.event, ReminderCancelled):
            state, by = "cancelled", each.event.by
    return KnownReminder(
        event.reminder_id, state, iso(event.due_at), event.user, event.thread_id, event.job_id, event.note,
        event.verbatim, iso(stored.at), by,
    )  # fmt: skip

"""What the events of reminders do to a job: those that are set, those that are due, those that the open turn took up.

Each is a JSON object with `id`, `note`, `due_at`, `set_at` (microseconds UTC) and `verbatim`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.graph.tail import job_of
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["REMINDERS", "drop", "due_reminders", "only_reminded", "open_reminders", "put_back", "take_up",
           "taken_up"]  # fmt: skip


def open_reminders(job: JobRecord) -> list[dict[str, Any]]:
    """The reminders whose time has not come, in the order they were set."""
    return json.loads(job.reminders) if job.reminders != "[]" else []


def due_reminders(job: JobRecord) -> list[dict[str, Any]]:
    """Those that are due and that no turn has taken up, in the order they fired."""
    return json.loads(job.due) if job.due != "[]" else []


def taken_up(job: JobRecord) -> list[dict[str, Any]]:
    """Those that the open turn took up."""
    return json.loads(job.turn_due) if job.turn_due != "[]" else []


def only_reminded(job: JobRecord) -> bool:
    """Whether the open turn answers nobody: a reminder began it, and nothing else."""
    return job.turn_due != "[]" and not len(job.turn_ids) and job.turn_settled == "[]"


def take_up(job: JobRecord, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Have the turn that begins take up these reminders; what they say."""
    if not ids:
        return []
    taken = [each for each in due_reminders(job) if each["id"] in ids]
    drop(job, ids)
    job.turn_due = _kept(taken)
    return taken


def put_back(job: JobRecord) -> None:
    """Let what the open turn took up wait for another one."""
    if job.turn_due != "[]":
        job.due = _kept([*taken_up(job), *due_reminders(job)])
        job.turn_due = "[]"


def drop(job: JobRecord, ids: Collection[str]) -> None:
    """Take these out of those that are due."""
    if job.due != "[]":
        job.due = _kept([each for each in due_reminders(job) if each["id"] not in ids])


def _set(root: LivingRoot, stored: Stored, event: ev.ReminderSet) -> None:
    job = job_of(root, event.job_id)
    known = {
        "id": event.reminder_id, "note": event.note, "due_at": event.due_at, "set_at": stored.at,
        "verbatim": event.verbatim,
    }  # fmt: skip
    job.reminders = _kept([*open_reminders(job), known])


def _fired(root: LivingRoot, stored: Stored, event: ev.ReminderFired) -> None:
    job = job_of(root, event.job_id)
    fired = [each for each in open_reminders(job) if each["id"] == event.reminder_id]
    _forget(job, event.reminder_id)
    job.due = _kept([*due_reminders(job), *fired])


def _cancelled(root: LivingRoot, stored: Stored, event: ev.ReminderCancelled) -> None:
    _forget(job_of(root, event.job_id), event.reminder_id)


def _forget(job: JobRecord, reminder_id: str) -> None:
    job.reminders = _kept([each for each in open_reminders(job) if each["id"] != reminder_id])


def _kept(reminders: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(reminders, ensure_ascii=False)


REMINDERS: Mapping[type[ev.Event], Callable[[LivingRoot, Stored, Any], None]] = {
    ev.ReminderSet: _set,
    ev.ReminderFired: _fired,
    ev.ReminderCancelled: _cancelled,
}

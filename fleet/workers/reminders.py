"""Reminders in the turns of a worker: what a call may set and take back, and the turn that gives the user a note."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from fleet.agents.policy import Policy
from fleet.agents.reminders import Reminder, ThreadReminders
from fleet.clock import from_us, to_us
from fleet.errors import StaleWriteError
from fleet.graph.records import JobRecord, ThreadRecord
from fleet.graph.reminders import due_reminders, open_reminders
from fleet.ledger.base import Draft
from fleet.ledger.events import Event, ReminderCancelled, ReminderSet, TurnEnded, TurnStarted
from fleet.workers.ending import reply_id_of

__all__ = ["ReminderBook", "noted", "to_take_up"]

_A_TASK = "a task that another agent handed out has no user to remind; whoever handed it out can set a reminder"


class ReminderBook:
    """The reminders of every job's calls. `write` appends a draft and returns once it is applied."""

    def __init__(self, write: Callable[[Draft], Awaitable[Any]], policies: Mapping[str, Policy]) -> None:
        self._write, self._policies = write, policies

    def of(self, job: JobRecord, seed: str, now: datetime) -> ThreadReminders:
        """What a call sees of its thread's reminders; `seed` is the same for every try of the call."""
        known = [
            Reminder(each["id"], from_us(each["due_at"]), each["note"], each["verbatim"])
            for each in open_reminders(job)
        ]
        most = self._policies[job.agent].thread_reminders or 0
        return ThreadReminders(now, known, most, _A_TASK if job.parent else "", seed)

    def events(self, job: JobRecord, user: str, call_id: str, planned: ThreadReminders) -> tuple[Event, ...]:
        """The reminders that a call has set, to be on record with its result."""
        return tuple(
            ReminderSet(
                reminder_id=each.id, job_id=job.id, thread_id=job.thread, user=user, turn=job.turn, call_id=call_id,
                due_at=to_us(each.at), note=each.note, verbatim=each.verbatim,
            )
            for each in planned.new
        )  # fmt: skip

    async def cancel(self, job: JobRecord, user: str, planned: ThreadReminders) -> None:
        """Take back what a call has asked for, before its result is on record; what has fired by then has fired."""
        for reminder_id in planned.cancelled:
            off = ReminderCancelled(
                reminder_id=reminder_id, job_id=job.id, thread_id=job.thread, user=user, by=f"agent {job.agent}"
            )
            with suppress(StaleWriteError):
                await self._write(Draft(f"reminder:{reminder_id}", 0, (off,), user))


def to_take_up(job: JobRecord) -> tuple[str, ...]:
    """The ids of the reminders that the job's next turn tells its model, with the messages that wait."""
    return tuple(each["id"] for each in due_reminders(job) if not each["verbatim"])


def noted(job: JobRecord, thread: ThreadRecord, *, deliver: bool) -> tuple[Event, ...]:
    """A turn without a model that gives the user the first due note that is theirs word for word; none: no events.

    What they have written by then is answered first: it may be the answer to what was asked last.
    """
    if len(job.waiting):
        return ()
    note = next((each for each in due_reminders(job) if each["verbatim"]), None)
    if note is None:
        return ()
    turn = job.turn + 1
    started = TurnStarted(job_id=job.id, thread_id=thread.id, turn=turn, message_ids=(), reminders=(note["id"],))
    ended = TurnEnded(
        job_id=job.id, thread_id=thread.id, user=thread.user, turn=turn, message_ids=(), result="success",
        reply_id=reply_id_of(job, turn), reply=note["note"], deliver=deliver, settled=(note["id"],),
    )  # fmt: skip
    return (started, ended)

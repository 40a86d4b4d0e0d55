"""The events of a reminder: set with the step of a turn, then fired or cancelled, whichever is on record first."""

from __future__ import annotations

from fleet.ledger.event import Event, Queue

__all__ = ["ReminderCancelled", "ReminderFired", "ReminderSet"]


class ReminderSet(Event):
    """A tool call set a reminder, on record together with the call's result. Stream: job:ID.

    At `due_at` the job's next turn is told the `note`; with `verbatim` the user is told it word for word, and no model
    is asked.
    """

    TYPE = "reminder.set"
    reminder_id: str
    job_id: str
    thread_id: str
    user: str
    turn: int
    call_id: str
    due_at: int
    note: str
    verbatim: bool = False

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("reminders", self.reminder_id),)


class ReminderFired(Event):
    """A reminder's time has come: its job has a turn to run. Stream: reminder:ID, version 1, so that it fires once."""

    TYPE = "reminder.fired"
    reminder_id: str
    job_id: str
    thread_id: str
    user: str
    due_at: int

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns", self.reminder_id),)

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("reminders", self.reminder_id),)


class ReminderCancelled(Event):
    """A reminder was taken back before its time. Stream: reminder:ID, version 1, so that it does not fire any more."""

    TYPE = "reminder.cancelled"
    reminder_id: str
    job_id: str
    thread_id: str
    user: str
    by: str
    reason: str = ""

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return (("reminders", self.reminder_id),)

"""Reminders as a tool call sees and sets them; what it asks for is on record with its result, or not at all."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fleet.errors import ToolError
from fleet.ledger.storable import storable

__all__ = ["Reminder", "ThreadReminders"]

_MOST_NOTE = 2000  # characters
_LEAST = timedelta(seconds=1)


@dataclass(frozen=True)
class Reminder:
    """One reminder of a thread: due `at` a time, aware, in UTC. `verbatim`: the user is told its note word for word."""

    id: str
    at: datetime
    note: str
    verbatim: bool = False


@dataclass
class ThreadReminders:
    """The reminders of one thread during one tool call.

    `open` are those that are not due; `most` is how many there may be; `refusal` says why none may be set, "" if they
    may; `seed` makes the ids of new ones, the same for every try of the call. `new` and `cancelled` are what the call
    has asked for.
    """

    now: datetime
    open: list[Reminder] = field(default_factory=list)
    most: int = 0
    refusal: str = "no reminder can be set here"
    seed: str = ""
    new: list[Reminder] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def at(self, when: datetime, note: str, *, verbatim: bool) -> str:
        """Ask for a reminder; its id. Raises: ToolError with what is wrong, in one line."""
        if self.refusal:
            raise ToolError(self.refusal)
        if not isinstance(when, datetime):
            raise ToolError(f"a reminder's time is a datetime, not {type(when).__name__}")
        if when.utcoffset() is None:
            raise ToolError(f"a reminder's time needs a time zone; {when.isoformat()} has none")
        if when <= self.now:
            raise ToolError(f"{when.isoformat()} is past: it is {self.now.isoformat(timespec='seconds')} now")
        if not note.strip():
            raise ToolError("a reminder needs a note, what it is about")
        if len(note) > _MOST_NOTE:
            raise ToolError(f"a reminder's note has at most {_MOST_NOTE} characters, this one has {len(note)}")
        if len(self.open) >= self.most:
            raise ToolError(
                f"this thread has {len(self.open)} open reminders, the most that it may; cancel one before you set one"
            )
        seed = f"{self.seed}\n{len(self.new)}"
        reminder = Reminder(
            f"rem_{hashlib.sha256(seed.encode()).hexdigest()[:16]}", when.astimezone(UTC), storable(note), verbatim
        )
        self.new.append(reminder)
        self.open.append(reminder)
        return reminder.id

    def after(self, wait: float | timedelta, note: str, *, verbatim: bool) -> str:
        """The same so many seconds from now. Raises: ToolError."""
        if isinstance(wait, bool) or not isinstance(wait, (int, float, timedelta)):
            raise ToolError(f"a reminder comes after seconds or a timedelta, not {type(wait).__name__}")
        if not isinstance(wait, timedelta):
            if not math.isfinite(wait):
                raise ToolError(f"a reminder comes after so many seconds, not {wait}")
            try:
                wait = timedelta(seconds=wait)
            except OverflowError:
                raise ToolError(f"a reminder cannot come after {wait} seconds: no calendar goes so far") from None
        if wait < _LEAST:
            raise ToolError("a reminder comes after a second or more")
        try:
            when = self.now + wait
        except OverflowError:
            raise ToolError(f"a reminder cannot come after {wait}: no calendar goes so far") from None
        return self.at(when, note, verbatim=verbatim)

    def cancel(self, reminder_id: str) -> bool:
        """Ask for a reminder of this thread to be taken back; False if it is not open."""
        if not any(each.id == reminder_id for each in self.open):
            return False
        self.open[:] = [each for each in self.open if each.id != reminder_id]
        if any(each.id == reminder_id for each in self.new):
            self.new[:] = [each for each in self.new if each.id != reminder_id]
        else:
            self.cancelled.append(reminder_id)
        return True

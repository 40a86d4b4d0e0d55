"""Shifts at the support desk, worked out from a person's id, the moves on record and the day: no store, no clock.

Everybody works three weekdays, each early or late, the same every week; which ones follows from the id, so that
any user has a calendar at first sight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from fleet import ToolError

__all__ = ["Move", "Shift", "check_move", "day_of", "free_days", "shift_on", "spoken", "week_of"]

_HOURS = {"early": "08:00–12:30", "late": "12:30–17:00"}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_REACH = 7  # days that a shift may be moved by, as the handbook's page on swaps says


@dataclass(frozen=True)
class Move:
    """A shift that was moved from one day to another; days as YYYY-MM-DD."""

    day: str
    new_day: str


@dataclass(frozen=True)
class Shift:
    """One shift: its day and its kind, `early` or `late`."""

    day: date
    kind: str

    @property
    def hours(self) -> str:
        """From when to when, in local time."""
        return _HOURS[self.kind]

    def __str__(self) -> str:
        return f"{spoken(self.day)}, {self.hours}"


def day_of(text: str, today: date) -> date:
    """The day that a tool argument means: YYYY-MM-DD, a weekday's next occurrence after today, today or tomorrow.

    Raises: ToolError for anything else.
    """
    said = text.strip().lower()
    if said in ("today", "tomorrow"):
        return today + timedelta(days=said == "tomorrow")
    for number, name in enumerate(_WEEKDAYS):
        if said in (name, name[:3]):
            return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise ToolError("I need the day as YYYY-MM-DD or as a weekday.") from None


def shift_on(user: str, day: date, moves: Iterable[Move]) -> Shift | None:
    """The person's shift on a day, moves counted in their order; None for a free day."""
    kinds = {day: _usual(user, day)}
    for move in moves:
        source, target = date.fromisoformat(move.day), date.fromisoformat(move.new_day)
        kinds[target] = kinds.get(source, _usual(user, source)) or kinds.get(target, _usual(user, target))
        kinds[source] = ""
    return Shift(day, kinds[day]) if kinds[day] else None


def week_of(user: str, monday: date, moves: Iterable[Move]) -> list[Shift]:
    """The shifts of the week that begins on `monday`, in order."""
    known = tuple(moves)
    shifts = (shift_on(user, monday + timedelta(days=n), known) for n in range(7))
    return [shift for shift in shifts if shift]


def free_days(user: str, day: date, today: date, moves: Iterable[Move]) -> list[date]:
    """The working days in `day`'s week, later than today, on which the person has no shift."""
    known = tuple(moves)
    monday = day - timedelta(days=day.weekday())
    week = (monday + timedelta(days=n) for n in range(5))
    return [each for each in week if each > today and shift_on(user, each, known) is None]


def check_move(user: str, day: date, new_day: date, today: date, moves: Iterable[Move]) -> Shift:
    """The shift that would be moved, if the rules allow the move.

    Raises: ToolError that names the rule in the way, and what is possible instead.
    """
    known = tuple(moves)
    shift = shift_on(user, day, known)
    if shift is None:
        monday = day - timedelta(days=day.weekday())
        theirs = "; ".join(map(str, week_of(user, monday, known))) or "none"
        raise ToolError(f"You have no shift on {spoken(day)}. Your shifts that week: {theirs}.")
    if day <= today:
        raise ToolError(f"The shift on {spoken(day)} is too close; a shift can be moved until the day before.")
    if new_day <= today:
        raise ToolError(f"{spoken(new_day)} is too soon; a shift can be moved to tomorrow at the earliest.")
    if new_day.weekday() > 4:
        raise ToolError(f"The desk is closed on {spoken(new_day)}; pick a day from Monday to Friday.")
    if abs((new_day - day).days) > _REACH:
        raise ToolError(f"{spoken(new_day)} is more than {_REACH} days from {spoken(day)}; a move stays within that.")
    if shift_on(user, new_day, known):
        open_days = ", ".join(spoken(each) for each in free_days(user, day, today, known) if each != day) or "none"
        raise ToolError(f"You already work on {spoken(new_day)}. Days still open that week: {open_days}.")
    return shift


def spoken(day: date) -> str:
    """A day as people write it: Fri 27 Nov."""
    return f"{_WEEKDAYS[day.weekday()][:3].title()} {day.day} {_MONTHS[day.month - 1]}"


def _usual(user: str, day: date) -> str:
    """`early`, `late`, or "" for a day on which the person usually does not work."""
    if day.weekday() > 4:
        return ""
    digest = hashlib.sha256(f"desk/{user}".encode()).digest()
    days = sorted(range(5), key=lambda n: (digest[n], n))[:3]
    if day.weekday() not in days:
        return ""
    return "early" if digest[8 + day.weekday()] % 2 else "late"

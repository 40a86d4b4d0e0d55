"""Find values in a person's words: dates, times, numbers, quoted texts, addresses, references, names.

Each value comes with the words around it, since those tell what it is for ("from Monday", "to Tuesday", "not Friday").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

__all__ = ["Value", "find_values", "resolve_date", "spoken_date"]

_DAYS = {
    "en": "monday tuesday wednesday thursday friday saturday sunday",
    "de": "montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "pt": "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
    "nl": "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
}
_WEEKDAY = {name: number for names in _DAYS.values() for number, name in enumerate(names.split())}
_WEEKDAY |= {"mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4}
_SOON = {"today": 0, "tomorrow": 1, "heute": 0, "morgen": 1, "hoy": 0, "mañana": 1, "demain": 1, "hoje": 0, "amanhã": 1}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NUMBERS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10,
}  # fmt: skip

_READ, _NEAR, _MOST = 4000, 60, 40  # characters read, characters around a value, values
_SHORT = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_PATTERNS = (
    ("quoted", re.compile(r"\"([^\"]{1,200})\"|“([^”]{1,200})”|«([^»]{1,200})»|(?<!\w)'([^']{2,200})'(?!\w)")),
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")),
    ("date", re.compile(r"\b\d{4}-\d{2}-\d{2}\b")),
    ("date", re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th|\.)? (?:of )?{_MONTH}\b(?: \d{{4}})?", re.I)),
    ("date", re.compile(rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? \d{{4}})?", re.I)),
    ("date", re.compile(r"\b(?<=the )\d{1,2}(?:st|nd|rd|th)\b", re.I)),
    ("date", re.compile(rf"\b(?:next )?(?:{'|'.join(sorted(_WEEKDAY, key=len, reverse=True))})\b", re.I)),
    ("date", re.compile(rf"\b(?:{'|'.join(_SOON)})\b", re.I)),
    ("time", re.compile(r"\b(\d{1,2}):(\d{2})\b(?: ?([ap])\.?m\.?)?", re.I)),
    ("time", re.compile(r"\b(\d{1,2}) ?([ap])\.?m\b\.?", re.I)),
    ("time", re.compile(r"\b(\d{1,2}) ?(?:o'clock|uhr|h)\b", re.I)),
    ("time", re.compile(r"\b(?:noon|midnight)\b", re.I)),
    ("reference", re.compile(r"#\d+\b|\b[A-Z]{1,6}-?\d[\w-]*\b|\b\d[\w]*-[\w-]+\b")),
    ("number", re.compile(r"(?<![\w.])\d+(?:[.,]\d+)?(?![\w-])")),
    ("number", re.compile(rf"\b(?:{'|'.join(_NUMBERS)})\b", re.I)),
    ("name", re.compile(r"(?<=[\w,] )(?:[A-ZÀ-Ý][\w'’-]+)(?: [A-ZÀ-Ý][\w'’-]+)*")),
)
_NEGATED = re.compile(
    r"(?:\binstead of|\brather than|\bnot(?: on| by| in| at)?|\bstatt|\bno longer(?: by)?)(?: the| my)?\s*$", re.I
)
_NOT_NAMES = frozenset({"I", "I'm", "I’m", "I'd", "I’d", "OK", "Please", "Thanks"})


@dataclass(frozen=True)
class Value:
    """One value: its kind, the text, the words before and after it, and whether it was ruled out ("not Friday")."""

    kind: str
    text: str
    start: int
    end: int
    before: str
    after: str
    negated: bool = False


@lru_cache(maxsize=512)
def find_values(text: str) -> tuple[Value, ...]:
    """The first 40 values in the first 4000 characters, in order; of two that overlap, the more specific kind. Pure."""
    text = text[:_READ]
    taken: list[Value] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if len(taken) == _MOST:
                break
            if any(start < other.end and other.start < end for other in taken):
                continue
            said = next((group for group in match.groups() if group), match[0]) if kind == "quoted" else match[0]
            if kind == "name" and said in _NOT_NAMES:
                continue
            if kind == "time":
                said = _clock(match)
            elif kind == "number":
                said = str(_NUMBERS.get(said.lower(), said.replace(",", ".")))
            if said:
                before, after = text[max(0, start - _NEAR) : start].rstrip(), text[end : end + _NEAR].lstrip()
                negated = bool(_NEGATED.search(before))
                taken.append(Value(kind, said, start, end, before.lower(), after.lower(), negated))
    return tuple(sorted(taken, key=lambda value: value.start))


def resolve_date(text: str, now: datetime | None, anchor: str = "") -> str:
    """The day that `text` means as YYYY-MM-DD; "" if it needs a `now` that is not known.

    A bare weekday is its next occurrence after today, or, with an `anchor` date, the one nearest to it after today.
    """
    said = text.lower().strip()
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", said):
        return said if _valid(said) else ""
    if now is None:
        return ""
    today = now.date()
    if said in _SOON:
        return (today + timedelta(days=_SOON[said])).isoformat()
    weekday = _WEEKDAY.get(said.removeprefix("next "))
    if weekday is not None:
        return _weekday(weekday, today, said.startswith("next "), anchor).isoformat()
    if re.fullmatch(r"\d{1,2}(st|nd|rd|th)", said):
        return _day_of_month(int(said[:-2]), today)
    month = re.search(_MONTH, said)
    day = re.search(r"\d{1,2}(?!\d)", said)
    if month and day:
        year = re.search(r"\d{4}", said)
        number = _MONTHS.index(month[1]) + 1
        for candidate in [int(year[0])] if year else [today.year, today.year + 1]:
            iso = f"{candidate:04d}-{number:02d}-{int(day[0]):02d}"
            if _valid(iso) and (year or date.fromisoformat(iso) >= today):
                return iso
    return ""


def spoken_date(text: str) -> str:
    """A YYYY-MM-DD date as people say it ("Fri 27 Nov"); any other text as it is."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) or not _valid(text):
        return text
    day = date.fromisoformat(text)
    return f"{_SHORT[day.weekday()]} {day.day} {_MONTHS[day.month - 1].title()}"


def _day_of_month(number: int, today: date) -> str:
    """The next day of that number, today included; "" if there is none in a year."""
    days = (today + timedelta(days=ahead) for ahead in range(366))
    return next((day.isoformat() for day in days if day.day == number), "")


def _weekday(weekday: int, today: date, following: bool, anchor: str) -> date:
    first = today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)
    if following and first.isocalendar()[1] == today.isocalendar()[1]:
        return first + timedelta(days=7)
    if anchor and not following and _valid(anchor):
        near = date.fromisoformat(anchor)
        return min((first + timedelta(days=7 * week) for week in range(54)), key=lambda day: abs((day - near).days))
    return first


def _valid(iso: str) -> bool:
    try:
        date.fromisoformat(iso)
    except ValueError:
        return False
    return True


def _clock(match: re.Match[str]) -> str:
    said = match[0].lower()
    if said in ("noon", "midnight"):
        return "12:00" if said == "noon" else "00:00"
    hour = int(match[1])
    minute = int(match[2]) if match.re.groups >= 3 and match[2] else 0
    half = re.search(r"([ap])\.?m", said)
    if half:
        hour = hour % 12 + (12 if half[1] == "p" else 0)
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else ""

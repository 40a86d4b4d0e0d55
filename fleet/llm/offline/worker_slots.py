"""Fill a tool's arguments from a person's words, by the parameter's schema, name and description.

What a parameter is called and described as says what may go in: `day: str` described as YYYY-MM-DD takes a date,
`topic` with an enum takes the choice whose words were said. A description may list the words that mean a choice:
`leave (days off, holiday); pay (payday, salary)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet.llm.offline.worker_values import Value, find_values, resolve_date

__all__ = ["Slot", "fill", "option_values", "words"]

_READ = 2000  # characters of a text whose words count
_WORD = re.compile(r"\w+", re.UNICODE)
_STOP = frozenset(
    _WORD.findall(
        "a an the i you it is are was be to of in on at for and or with my me we do does did can could would will "
        "please that this have has had what which how there any some your want like need get am as from by so if not "
        "let us one much many our they them their s m d ll t re ve into out about than then also when where who"
    )
)
_PERSONS = frozenset(_WORD.findall("i my me we our us you your have"))
_ONWARD = frozenset(_WORD.findall("new to target until till end destination after until_time"))
_BACK = frozenset(_WORD.findall("from old current start since begin before source origin"))
_TEXTS = frozenset(
    _WORD.findall(
        "query question text message content note notes reason description topic comment subject body request prompt "
        "summary search q input details words what why"
    )
)
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0}
_UNIT = re.compile(r"(second|minute|hour|day|week)s?\b", re.I)
_KINDS = (
    ("date", {"date", "day", "deadline", "birthday"}),
    ("time", {"time", "hour", "clock"}),
    ("email", {"email", "mail"}),
    ("reference", {"id", "number", "code", "ref", "reference", "order", "sku", "ticket", "invoice", "key"}),
    ("name", {"name", "person", "who", "colleague", "customer", "city", "place", "location", "recipient", "country",
              "contact", "patient", "student", "destination", "origin"}),
)  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """One thing to fill: its name, its parameter's schema and words, and the example texts it was seen in.

    `contexts` are (words before, words after) of the slot's place in demonstrations.
    """

    name: str
    schema: Mapping[str, Any]
    required: bool
    contexts: tuple[tuple[str, str], ...] = ()
    label: str = field(default="", compare=False)

    @property
    def about(self) -> str:
        """The parameter's description."""
        return str(self.schema.get("description") or "")

    @property
    def kind(self) -> str:
        """What goes in: enum, date, time, number, boolean, list, email, reference, name, or text."""
        kind, name = str(self.schema.get("type") or "string"), set(self.name.lower().split("_"))
        if self.schema.get("enum"):
            return "enum"
        if kind in ("integer", "number"):
            return "number"
        if kind in ("boolean", "array", "object"):
            return {"array": "list"}.get(kind, kind)
        form = str(self.schema.get("format") or "")
        if form in ("date", "time", "email"):
            return form
        if re.search(r"YYYY-MM-DD|\bweekday\b", self.about):
            return "date"
        if "HH:MM" in self.about:
            return "time"
        named = next((found for found, names in _KINDS if name & names), "")
        return named or ("text" if (name | set(_WORD.findall(self.about.lower()))) & _TEXTS else "name")


def words(text: str, *, keep_persons: bool = False) -> list[str]:
    """The words of a text that carry meaning, roughly stemmed, in order; `keep_persons` keeps I, my, we and have."""
    found = [each for part in _WORD.findall(text[:_READ].lower()) for each in part.split("_")]
    return [_stem(word) for word in found if word and (word not in _STOP or (keep_persons and word in _PERSONS))]


def fill(
    slots: Sequence[Slot],
    text: str,
    have: Mapping[str, Any],
    now: datetime | None,
    asked: str = "",
) -> dict[str, Any]:
    """The slots that `text` fills, new or changed; `have` holds what is filled, `asked` the slot last asked for.

    Each value goes to one slot, the likeliest: words around it, what was asked, what is still open. Pure.
    """
    found: dict[str, Any] = {}
    values = [value for value in find_values(text) if not value.negated]
    pairs = sorted(
        (-_score(slot, value, have, asked, at), order, at)
        for order, slot in enumerate(slots)
        for at, value in enumerate(values)
        if _fits(slot, value)
    )
    given: dict[int, int] = {}  # the slot's place → the value's
    for _, order, at in pairs:
        if order not in given and at not in given.values():
            given[order] = at
    for order in sorted(given):  # in the slots' order: a weekday is the one nearest to the day before it
        said = _convert(slots[order], values[given[order]], now, {**have, **found})
        if said is not None:
            found[slots[order].name] = said
    for slot in slots:
        if slot.kind == "enum" and (choice := _choice(slot, text)) is not None:
            found[slot.name] = choice
        elif slot.kind == "list" and slot.name not in have:
            parts = [part.strip(" .?!") for part in re.split(r",|;|\bor\b|\bversus\b|\bvs\b", text)]
            if len(parts) > 1:
                found[slot.name] = [part for part in parts if part]
        elif slot.kind == "text" and slot.name not in found and slot.name not in have and slot.required:
            found[slot.name] = text.strip()
    return {name: value for name, value in found.items() if have.get(name) != value}


def option_values(slot: Slot, text: str, now: datetime | None, have: Mapping[str, Any]) -> list[Any]:
    """The values of the slot's kind in an agent's words, in order: what "the second option" can mean."""
    options: list[Any] = []
    for value in find_values(text):
        if _fits(slot, value):
            said = _convert(slot, value, now, {})
            if said is not None and said not in options and said not in have.values():
                options.append(said)
    return options


def _fits(slot: Slot, value: Value) -> bool:
    if slot.kind == "text":
        return value.kind == "quoted"
    if slot.kind == "name":
        return value.kind in ("name", "quoted", "email")
    if slot.kind == "reference":
        return value.kind in ("reference", "quoted") or (value.kind == "number" and len(value.text) > 2)
    return slot.kind == value.kind


def _score(slot: Slot, value: Value, have: Mapping[str, Any], asked: str, at: int) -> float:
    """How well a value suits a slot; at least 0.5 for any that fits, so that single values find single slots."""
    name = set(slot.name.lower().split("_"))
    last = [word for word in value.before.split()[-3:] if word not in ("the", "next", "this", "a")][-1:]
    score = 0.5 + 2.0 * (slot.name == asked) + 1.0 * (slot.name not in have)
    onward = bool(set(last) & {"to", "until", "till"}) or bool(
        re.match(r"(instead|is better|works|would be|suits)", value.after)
    )
    back = bool(set(last) & {"from", "since", "my", "of"})
    if name & _ONWARD:
        score += 1.5 * onward - 1.5 * (back and not onward)
    else:
        score += 1.0 * back - 1.5 * (onward and not back) + 0.5 * bool(name & _BACK and back)
    for before, after in slot.contexts:
        if before and value.before.endswith(before):
            score += 1.0
        if after and value.after.startswith(after):
            score += 0.5
    about = set(words(f"{slot.name} {slot.about}"))
    score += 0.75 * bool(
        set(words(" ".join(value.before.split()[-4:]) + " " + " ".join(value.after.split()[:2]))) & about
    )
    return max(score, 0.1) - 0.001 * at


def _convert(slot: Slot, value: Value, now: datetime | None, have: Mapping[str, Any]) -> Any:
    if slot.kind == "date":
        if "YYYY-MM-DD" not in slot.about and slot.schema.get("format") != "date":
            return value.text
        dates = [each for each in have.values() if isinstance(each, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", each)]
        return resolve_date(value.text, now, dates[-1] if dates and slot.name not in have else "") or None
    if slot.kind == "number":
        number = float(value.text) * _scale(slot, value)
        if slot.schema.get("type") == "integer":
            return int(number) if number.is_integer() else None
        return int(number) if number.is_integer() else number
    return value.text


def _scale(slot: Slot, value: Value) -> float:
    """What turns the unit that was said ("2 hours") into the slot's own ("reminder_minutes")."""
    said = _UNIT.match(value.after)
    own = next((unit for unit in _SECONDS if re.search(rf"{unit}s?(?:_|\b)", slot.name.lower())), "")
    own = own or next((unit for unit in _SECONDS if re.search(rf"\b{unit}s?\b", slot.about.lower())), "")
    return _SECONDS[said[1].lower()] / _SECONDS[own] if said and own else 1.0


def _choice(slot: Slot, text: str) -> Any:
    """The enum choice whose own words, or words given for it in the description, were said and not ruled out."""
    best: tuple[float, Any] | None = None
    for choice in slot.schema["enum"]:
        listed = re.search(rf"(?<!\w){re.escape(str(choice))}\s*\(([^)]*)\)", slot.about)
        said = [str(choice).replace("_", " "), *(listed[1].split(",") if listed else ())]
        for weight, phrase in zip([1.5] + [1.0] * len(said), said, strict=False):
            stems = words(phrase) or phrase.lower().split()
            at = _find(stems, text) if stems else -1
            if at >= 0:
                score = weight * len(stems) + at / 10_000
                if best is None or score > best[0]:
                    best = (score, choice)
    return best[1] if best else None


def _find(stems: Sequence[str], text: str) -> int:
    """Where the words stand in a row in `text`, not ruled out ("instead of …", "not …"); -1 if nowhere."""
    spans = [(_stem(match[0].lower()), match.start()) for match in _WORD.finditer(text[:_READ])]
    for at in range(len(spans) - len(stems), -1, -1):
        if [stem for stem, _ in spans[at : at + len(stems)]] == list(stems):
            before = text[max(0, spans[at][1] - 40) : spans[at][1]].lower()
            if not re.search(r"\b(instead of|rather than|not|no longer|statt)( by| in| on| the)?\s*$", before):
                return at
    return -1


def _stem(word: str) -> str:
    for ending in ("ings", "ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word.removesuffix(ending) + ("y" if ending == "ies" else "")
    return word[:-1] if len(word) > 4 and word.endswith("e") else word

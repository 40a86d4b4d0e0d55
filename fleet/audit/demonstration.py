"""A finished job told as a demonstration: the lines of an example, made of what is on record.

    User: I need to move my Thursday shift to another day
    Call: find_availability(day={day})
    Reply: {result} Which day would suit you instead?

What was particular to that day becomes a slot: an argument `{day}`, in the words said before and after too; one that an
earlier call had found `{tool.field}`; a result within a reply `{result}`. An argument of few choices that nobody said
aloud stays as it was. Words of people and models come out as one inert line each, their braces as parentheses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fleet.agents.words import Words
from fleet.errors import InputError
from fleet.ledger.base import Stored
from fleet.ledger.events import (
    ConfirmationAsked,
    DispatchRequested,
    JobHandedOver,
    MessageAccepted,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.prompting.quote import quote
from fleet.workers.confirm import words_for

__all__ = ["demonstrate", "plain_line"]

_RAN = re.compile(r"\w+ was approved by [\w ]+ and was run\.\nArguments: [^\n]*\nResult: (?P<result>.+)\Z", re.S)
_TOLD = 4  # characters from which on a field of a result is looked for in a reply


def demonstrate(events: Iterable[Stored], schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """The lines of an example, from the events of one job and its messages in order; `schemas` by the tool's name.

    Calls that failed, or that a person refused, are left out, and so are the question by which the runtime asks for an
    approval and its answer. Raises: InputError for a job whose last turn did not end
    as success, of which a turn failed or was blocked, that went from one agent to another, or without a call.
    """
    told = [stored.event for stored in events]
    ends = [event for event in told if isinstance(event, TurnEnded)]
    bad = next((end for end in ends if end.result in ("failed", "blocked")), None)
    if bad is not None:
        raise InputError(f"turn {bad.turn} of {bad.job_id} ended as {bad.result}; an example shows what went well")
    latest = next((event for event in reversed(told) if isinstance(event, (TurnStarted, TurnEnded))), None)
    if not isinstance(latest, TurnEnded) or latest.result != "success":
        raise InputError("the job has not come to its end as success; an example shows finished work")
    if any(isinstance(event, JobHandedOver) for event in told):
        raise InputError("the job went from one agent to another; an example shows the work of one")
    words = {e.message_id: e.text for e in told if isinstance(e, (MessageAccepted, DispatchRequested))}
    asked = {event.call_id: event for event in told if isinstance(event, ConfirmationAsked)}
    approving = {event.turn for event in told if isinstance(event, ToolReturned) and event.settled}
    slots = _Slots(schemas, " ".join(words.values()))
    lines: list[tuple[str, str]] = []
    for event in told:
        if isinstance(event, TurnStarted):
            texts = [words.pop(each, "") for each in event.message_ids][event.turn in approving :]
            lines += (("User", text) for text in texts if text.strip())
        elif isinstance(event, ToolReturned) and event.call_id not in asked:
            result = _result_of(event)
            if result is not None:
                lines.append(("Call", slots.call(event.tool, event.arguments)))
                slots.results[event.tool] = slots.latest = result
        elif isinstance(event, TurnEnded):
            asking = words_for([dict(each) for each in asked.values() if each.turn == event.turn], Words(), "en")
            reply = event.reply.removesuffix(asking)
            if reply.strip():
                lines.append(("Reply", slots.reply(reply)))
            slots.latest = ""
    if not any(kind == "Call" for kind, _ in lines):
        raise InputError("the job has no call that was run; an example demonstrates calls")
    return "".join(f"{kind}: {text if kind == 'Call' else slots.filled(kind, text)}\n" for kind, text in lines)


def plain_line(text: str) -> str:
    """Somebody's words as one line in which nothing acts on a reader or is a slot; quotes stay as they are."""
    line = " ".join(text.split()).translate({ord("{"): "(", ord("}"): ")"})
    return re.sub(r'\\(["\\])', r"\1", quote(line)[1:-1])


def _result_of(event: ToolReturned) -> str | None:
    """What a call that was run gave; None for one that failed or was not run."""
    if event.error or event.unknown:
        return None
    if not event.settled:
        return event.content
    ran = _RAN.fullmatch(event.content)
    return None if ran is None else str(json.loads(ran["result"]))


class _Slots:
    """What stands for what: `names` are the slots by the value that each had, as text."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], said: str) -> None:
        self._schemas = schemas
        self._said = plain_line(said)
        self.names: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.latest = ""

    def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """A call as it is demonstrated."""
        properties = self._schemas.get(tool, {}).get("properties", {})
        given = {name: value for name, value in arguments.items() if value is not None}
        shown = (f"{name}={self._argument(name, value, properties.get(name, {}))}" for name, value in given.items())
        return f"{tool}({', '.join(shown)})"

    def reply(self, text: str) -> str:
        """What was said after calls, with the latest result and its fields as slots."""
        found = {plain_line(self.latest): "result"} if self.latest.strip() else {}
        for field, value in _fields(self.latest).items():
            if isinstance(value, str) and len(value) >= _TOLD:
                found.setdefault(plain_line(value), f"result.{field}")
        return _replaced(plain_line(text), found)

    def filled(self, kind: str, text: str) -> str:
        """What was said, with the arguments of all calls as slots.

        A person's words that are nothing but one slot stay, or nobody could tell what is asked.
        """
        line = plain_line(text) if kind == "User" else text
        shown = _replaced(line, self.names)
        return line if kind == "User" and re.fullmatch(r"\{[\w.]+\}", shown) else shown

    def _argument(self, name: str, value: Any, schema: Mapping[str, Any]) -> str:
        shown = plain_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        if shown in self.names:
            return f"{{{self.names[shown]}}}"
        said = bool(shown) and _place(shown).search(self._said) is not None
        if not said:
            for tool, result in reversed(self.results.items()):
                for field, found in _fields(result).items():
                    if type(found) is type(value) and found == value:
                        return f"{{{tool}.{field}}}"
            if _is_choice(schema):
                return json.dumps(value, ensure_ascii=False)
        slot, count = name, 1
        taken = {"result", "change", "confirm", *self._schemas, *self.names.values()}  # a script reads these otherwise
        while slot in taken:
            count += 1
            slot = f"{name}_{count}"
        self.names[shown] = slot
        return f"{{{slot}}}"


def _fields(result: str) -> dict[str, Any]:
    """The fields of a result that is a JSON object; none for any other."""
    try:
        found = json.loads(result)
    except ValueError:
        return {}
    return {key: value for key, value in found.items() if key.isidentifier()} if isinstance(found, dict) else {}


def _is_choice(schema: Mapping[str, Any]) -> bool:
    """Whether a parameter takes one of few values."""
    kinds = [schema, *schema.get("anyOf", ())]
    return any("enum" in each or "const" in each or "$ref" in each or each.get("type") == "boolean" for each in kinds)


def _replaced(line: str, slots: Mapping[str, str]) -> str:
    """The line with slots in place of these texts, the longest first; what has become a slot is left alone."""
    for text in sorted(filter(None, slots), key=len, reverse=True):
        parts = re.split(r"(\{[\w.]+\})", line)
        parts[::2] = (_place(text).sub(lambda _, text=text: f"{{{slots[text]}}}", part) for part in parts[::2])
        line = "".join(parts)
    return line


def _place(text: str) -> re.Pattern[str]:
    """Where the text stands by itself, in letters of any case."""
    return re.compile(rf"(?<![\w/-])(?<!\d[:.]){re.escape(text)}(?![\w/-]|[:.]\d)", re.I)

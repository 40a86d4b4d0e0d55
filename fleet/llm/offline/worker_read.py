"""Read a worker's request back into a conversation: turns with what was printed, said, called and found.

The worker sees exactly what a hosted model would see. A turn's opening message is the warmup transcript, then
`User message:` and the text as one quoted line; a plain text counts as the message itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["Call", "Facts", "ToolSpec", "Turn", "read_tools", "read_turns"]

_EXAMPLE = re.compile(r"\s*example_id=(\d{1,9}):\s?(.*)$")
_SHOWN = re.compile(r"(?:Selected example|Example)(?: |: ?)?(\d{1,9})?(?: \(.*\))?:?\s*$")
_STEP = re.compile(r"(User|Call|Reply|Ask(?: \w+)?): (.+)$")
_EFFECT = re.compile(r"\s*\bEffect: (read|write|external)\.( The person is asked[^.]*\.| A person on[^.]*\.)?\s*$")
# What is added to a message about a call that a person has decided on; see fleet.workers.confirm.note_of.
_RUN = re.compile(r"(\w+) was approved by [\w ]+? and was run( and failed)?\.\nArguments: (.+)\nResult: (.+)")
_NOTE = re.compile(
    r"The question about \w+ [\w ]+; it was not run\.\nArguments: .+|A person has checked \w+: .+", re.DOTALL
)
_NO_MESSAGE = "No new message: a person has decided about a call."
_REMINDED = "No new message: a reminder that was set in this conversation is due. Say or do what it is about."
_REMINDER = "Reminder, set for "


@dataclass(frozen=True)
class ToolSpec:
    """One tool as the request declares it; a tool that does not state its effect counts as external.

    `asks`: whoever must approve a call is asked when it is made, and not by the model.
    """

    name: str
    description: str
    effect: str
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]
    asks: bool = False


@dataclass
class Call:
    """One tool call in the conversation; `result` is None while it has not come back."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: bool = False
    id: str = ""


@dataclass
class Facts:
    """What a turn's warmup printed. `shown` maps an example id (-1: not numbered) to its steps."""

    now: datetime | None = None
    language: str = ""
    selected: int | None = None
    names: dict[int, str] = field(default_factory=dict)
    shown: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether a warmup was read at all."""
        return self.now is not None or bool(self.names or self.shown or self.language)


@dataclass
class Turn:
    """One turn: the user's words, the facts printed with them, the calls made, the last words said.

    `note` is what a person has decided about a call; `approved` is the call that was run for that; `due` is what a
    reminder says.
    """

    text: str
    facts: Facts
    calls: list[Call] = field(default_factory=list)
    said: str = ""
    note: str = ""
    approved: Call | None = None
    due: str = ""


def read_tools(tools: Sequence[Mapping[str, Any]]) -> dict[str, ToolSpec]:
    """The request's tools by name. What a schema leaves out counts as empty."""
    found = {}
    for tool in tools:
        schema = tool.get("input_schema") or {}
        text = str(tool.get("description") or "")
        effect = _EFFECT.search(text)
        properties = {
            name: _plain(about, schema.get("$defs") or {}) for name, about in (schema.get("properties") or {}).items()
        }
        found[str(tool["name"])] = ToolSpec(
            str(tool["name"]),
            _EFFECT.sub("", text).strip(),
            effect[1] if effect else "external",
            properties,
            tuple(schema.get("required") or ()),
            bool(effect and effect[2]),
        )
    return found


def read_turns(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """The turns, oldest first; a conversation whose beginning is cut off starts at the first user message.

    Messages that nobody answered in between are one turn. A turn whose facts are not shown any more has the newest.
    """
    turns: list[Turn] = []
    open_calls: dict[str, Call] = {}
    for message in messages:
        blocks = _blocks(message.get("content"))
        texts = [str(block.get("text") or "") for block in blocks if block.get("type") == "text"]
        notes = [text for text in texts if _RUN.fullmatch(text) or _NOTE.fullmatch(text)] if turns else []
        texts = [text for text in texts if text not in notes]
        if message.get("role") == "user":
            for block in blocks:
                if block.get("type") == "tool_result" and (call := open_calls.get(str(block.get("tool_use_id")))):
                    call.result = "".join(_texts(block.get("content")))
                    call.error = bool(block.get("is_error"))
            if any(text.strip() for text in texts):
                said, facts, due = _opening("\n".join(texts))
                if turns and not turns[-1].said and not turns[-1].calls:  # nobody answered in between: one turn
                    said, facts = f"{turns[-1].text}\n{said}", facts if facts.told else turns[-1].facts
                    turns.pop()
                turns.append(Turn(said, facts, due=due))
            for note in notes:
                _take_note(turns[-1], note)
        elif turns:
            for block in blocks:
                if block.get("type") == "tool_use":
                    call = Call(str(block.get("name")), dict(block.get("input") or {}), id=str(block.get("id")))
                    open_calls[call.id] = call
                    turns[-1].calls.append(call)
            if texts:
                turns[-1].said = "".join(texts)
    newest = next((turn.facts for turn in reversed(turns) if turn.facts.told), Facts())
    for turn in turns:
        if not turn.facts.told:
            turn.facts = newest
    return turns


def _take_note(turn: Turn, note: str) -> None:
    turn.note = note.split("\n")[0]
    match = _RUN.fullmatch(note)
    if match is not None:
        arguments = json.loads(json.loads(match[3]))
        turn.approved = Call(match[1], arguments, json.loads(match[4]), error=bool(match[2]))
        turn.calls.append(turn.approved)


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content or () if isinstance(block, Mapping)]


def _texts(content: Any) -> list[str]:
    return [str(block.get("text") or "") for block in _blocks(content) if block.get("type") == "text"]


def _opening(text: str) -> tuple[str, Facts, str]:
    """The user's words, the printed facts and what a reminder says, of a turn's opening message."""
    lines = text.split("\n")
    facts = Facts()
    words: list[str] = []
    incoming: list[str] = []
    due: list[str] = []
    shown: list[tuple[str, str]] | None = None
    for at, line in enumerate(lines):
        heading, _, value = line.partition(":")
        value = value.strip() or (lines[at + 1].strip() if at + 1 < len(lines) else "")
        if heading == "User message":
            words += _quoted(value)
            shown = None
        elif line.startswith(_REMINDER) and at + 1 < len(lines):
            due += _quoted(lines[at + 1])
        elif heading == "Incoming message":
            incoming += _quoted(value)
        elif heading == "Current UTC time":
            facts.now = _time(value)
        elif heading == "Language" and not facts.language:
            facts.language = (_quoted(value) or [value])[0]
        elif match := _EXAMPLE.match(line):
            facts.names[int(match[1])] = match[2].strip()
        elif match := _SHOWN.match(line):
            number = int(match[1]) if match[1] else -1
            shown = facts.shown.setdefault(number, [])
            if line.startswith("Selected"):
                facts.selected = number
        elif shown is not None and (step := _STEP.match(line)):
            shown.append((step[1], step[2].strip()))
    facts.shown = {number: steps for number, steps in facts.shown.items() if steps}
    said = "\n".join(words or incoming) if words or incoming else text.strip()
    if lines[-1] == _NO_MESSAGE or (due and _REMINDED in lines):
        said = ""
    # Half a surrogate pair fits into no tool or store.
    return said.encode("utf-8", "replace").decode("utf-8"), facts, "\n".join(due)


def _quoted(line: str) -> list[str]:
    try:
        said = json.loads(line)
    except ValueError:
        return []
    return [said] if isinstance(said, str) else []


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _plain(about: Any, defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """A parameter's schema with its reference resolved and its nullable wrapper taken off."""
    if not isinstance(about, Mapping):
        return {}
    said = dict(about)
    for part in said.pop("anyOf", None) or said.pop("oneOf", None) or said.pop("allOf", None) or ():
        if isinstance(part, Mapping) and part.get("type") != "null":
            said = {**_plain(part, defs), **said}
            break
    reference = str(said.pop("$ref", ""))
    if reference.startswith("#/$defs/"):
        said = {**_plain(defs.get(reference.removeprefix("#/$defs/")), {}), **said}
    if "const" in said:
        said["enum"] = [said["const"]]
    return said

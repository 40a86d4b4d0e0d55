"""What the worker can do: scripts, taken from demonstrations or made from single tools.

A script is a list of stages. A stage calls tools and says something; a stage with a call that has an effect is entered
only by a yes to what the stage before it said. Demonstrations are lines of an example:

    User: I need to move my {day} shift.
    User: Can I swap {day}?
    Call: find_availability(day={day})
    Reply: {result} Which day would suit you instead?
    Ask day: Which shift is it about?

Several `User:` lines at the top are several ways to ask. `{day}` is a slot; `{result}` and `{result.field}` are the
last call's result, `{tool_name}` is that of a named one, `{change}` the effect that is being offered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleet.llm.offline.worker_read import ToolSpec
from fleet.llm.offline.worker_slots import Slot, words

__all__ = ["CallSpec", "Script", "Stage", "read_script", "single_script"]

_CALL = re.compile(r"(\w+)\((.*)\)\s*$")
_ARGUMENT = re.compile(r"\s*(\w+)\s*=\s*(\{[\w.]+\}|\"[^\"]*\"|'[^']*'|\[[^\]]*\]|[^,]+?)\s*(?:,|$)")
_SLOT = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class CallSpec:
    """One call to make; `arguments` maps a parameter to `{slot}`, `{result.field}` or a JSON literal.

    With `asks`, the call itself is the question: it runs once it is approved.
    """

    tool: str
    arguments: Mapping[str, str]
    effect: str
    asks: bool = False

    @property
    def acts(self) -> bool:
        """Whether the call has an effect."""
        return self.effect != "read"


@dataclass(frozen=True)
class Stage:
    """Some calls and what is said after them."""

    calls: tuple[CallSpec, ...]
    reply: str

    @property
    def acts(self) -> bool:
        """Whether entering this stage needs a yes."""
        return any(call.acts for call in self.calls)


@dataclass(frozen=True)
class Script:
    """A way to handle one sort of request.

    `key` names it. A demonstration has `texts`, requests of its sort; a single tool has `words`, with their weights.
    """

    key: str
    stages: tuple[Stage, ...]
    slots: tuple[Slot, ...]
    texts: tuple[str, ...] = ()
    words: tuple[tuple[str, float], ...] = ()
    asks: Mapping[str, str] = field(default_factory=dict)

    @property
    def searches(self) -> bool:
        """Whether it takes nothing but a text and changes nothing."""
        needed = [slot.kind for slot in self.slots if slot.required]
        return needed == ["text"] and not any(stage.acts for stage in self.stages) and bool(self.stages[0].calls)

    def slots_of(self, stage: Stage) -> tuple[Slot, ...]:
        """The slots that a stage's calls take."""
        names = {match for call in stage.calls for said in call.arguments.values() for match in _SLOT.findall(said)}
        return tuple(slot for slot in self.slots if slot.name in names)


def read_script(key: str, name: str, steps: Sequence[tuple[str, str]], tools: Mapping[str, ToolSpec]) -> Script | None:
    """The script that an example demonstrates; None if it calls a tool that is not there, or nothing.

    A stage with effects whose stage before asks nothing about them gets a stage before it that does.
    """
    stages: list[Stage] = []
    calls: list[CallSpec] = []
    asks: dict[str, str] = {}
    said: list[str] = []
    opening: list[str] = []
    for kind, text in steps:
        if kind == "User":
            said.append(text)
            if not stages and not calls:
                opening.append(text)
        elif kind == "Call":
            call = _read_call(text, tools)
            if call is None:
                return None
            calls.append(call)
        elif kind == "Reply":
            stages.append(Stage(tuple(calls), text))
            calls = []
        else:
            asks[kind.removeprefix("Ask").strip()] = text
    if calls:
        stages.append(Stage(tuple(calls), "{result}"))
    if not any(stage.calls for stage in stages):
        return None
    texts = (name, *(_SLOT.sub(" ", each) for each in opening))
    return Script(key, tuple(_guarded(stages)), _slots(stages, said, tools), tuple(filter(None, texts)), asks=asks)


def single_script(tool: ToolSpec) -> Script:
    """The script that one tool makes: call it and tell; with an effect, ask first."""
    stage = Stage(
        (CallSpec(tool.name, {name: f"{{{name}}}" for name in tool.properties}, tool.effect, tool.asks),), "{result}"
    )
    slots = _slots([stage], [], {tool.name: tool})
    weighted = _weigh([(tool.name, 1.2), (tool.description, 1.0)])
    for name, about in tool.properties.items():
        weighted = _weigh([(f"{name} {about.get('description') or ''} {_enum_words(about)}", 0.6)], weighted)
    return Script(tool.name, tuple(_guarded([stage])), slots, words=tuple(weighted.items()))


def _guarded(stages: Sequence[Stage]) -> list[Stage]:
    guarded: list[Stage] = []
    for stage in stages:
        before = guarded[-1] if guarded else None
        asked = before is not None and (_asks(before) or all(call.asks for call in stage.calls if call.acts))
        if stage.acts and (before is None or before.acts or not asked or not _told(before, stage)):
            reads = tuple(call for call in stage.calls if not call.acts)
            guarded.append(Stage(reads, "{confirm}"))
        guarded.append(stage)
    return guarded


def _asks(stage: Stage) -> bool:
    return stage.reply == "{confirm}" or stage.reply.rstrip().endswith("?")


def _told(before: Stage, stage: Stage) -> bool:
    """Whether everything that the effects take was called with, or is named, in the stage that asks."""
    known = {said for call in before.calls for said in call.arguments.values()} | set(
        re.findall(r"\{\w+\}", before.reply)
    )
    wanted = {said for call in stage.calls if call.acts for said in call.arguments.values()}
    return "{change}" in known or "{confirm}" in known or wanted <= known


def _read_call(text: str, tools: Mapping[str, ToolSpec]) -> CallSpec | None:
    match = _CALL.match(text)
    tool = tools.get(match[1]) if match else None
    if match is None or tool is None:
        return None
    given = {name: said for name, said in _ARGUMENT.findall(match[2]) if name in tool.properties}
    return CallSpec(tool.name, given, tool.effect, tool.asks)


def _slots(stages: Sequence[Stage], said: Sequence[str], tools: Mapping[str, ToolSpec]) -> tuple[Slot, ...]:
    found: dict[str, Slot] = {}
    results = {"result", *tools}
    for stage in stages:
        for call in stage.calls:
            tool = tools[call.tool]
            for parameter, expression in call.arguments.items():
                match = _SLOT.fullmatch(expression)
                if match and match[1] not in results and match[1] not in found:
                    found[match[1]] = Slot(
                        match[1],
                        tool.properties.get(parameter, {}),
                        parameter in tool.required,
                        _contexts(match[1], said),
                        parameter,
                    )
    return tuple(found.values())


def _contexts(slot: str, said: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for line in said:
        before, mark, after = line.partition(f"{{{slot}}}")
        if mark:
            found.append((" ".join(before.lower().split()[-1:]), " ".join(after.lower().split()[:1]).strip(".?!,")))
    return tuple(found)


def _weigh(texts: Sequence[tuple[str, float]], into: Mapping[str, float] | None = None) -> dict[str, float]:
    weighted = dict(into or {})
    for text, weight in texts:
        for word in words(text):
            weighted[word] = max(weighted.get(word, 0.0), weight)
    return weighted


def _enum_words(about: Mapping[str, Any]) -> str:
    return " ".join(str(choice) for choice in about.get("enum") or ())


def literal(text: str) -> Any:
    """The value that a literal in a demonstration stands for; text that is no JSON is itself."""
    try:
        return json.loads(text.replace("'", '"'))
    except ValueError:
        return text.strip()

"""The `offline:worker` model: an agent's worker with no model behind it, no key and no network.

It speaks the protocol of any model: tool calls with ids, then text. It follows the shown examples as demonstrations,
fills arguments from the person's words and the tools' schemas, tells what tools found, asks for what is missing, and
calls nothing with an effect before a clear yes to exactly that. The same request gets the same answer, always.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleet.llm.base import Answer, Request
from fleet.llm.offline.worker_choice import scripts_for
from fleet.llm.offline.worker_dialog import Standing, as_called, next_move
from fleet.llm.offline.worker_phrases import phrase
from fleet.llm.offline.worker_read import Call, Facts, ToolSpec, Turn, read_tools, read_turns
from fleet.llm.offline.worker_scripts import CallSpec, Script, literal
from fleet.llm.offline.worker_slots import Slot
from fleet.llm.offline.worker_speak import parsed, speak
from fleet.llm.offline.worker_values import spoken_date

__all__ = ["OfflineWorker"]

_PLACE = re.compile(r"\{([A-Za-z_]\w*)(?:\.(\w+))?\}")
_MOST_CALLS = 6  # in one turn, whatever a demonstration asks for


class OfflineWorker:
    """A model that works in threads by demonstrations and schemas alone; standard library only."""

    name = "offline:worker"

    async def complete(self, request: Request) -> Answer:
        """Answer one request: the next tool call, or the turn's last words.

        Raises: nothing; a conversation that it cannot read gets a sentence on what it can do.
        """
        tools = read_tools(request.tools)
        turns = read_turns(request.messages)
        said = _answer(turns, tools)
        if isinstance(said, str):
            return Answer(({"type": "text", "text": said},), "end_turn", self.name)
        name, arguments, words = said
        # Each id hangs on the one before it and on the turn's transcript, time included: no two in a thread are alike.
        before = [call.id for turn in turns for call in turn.calls][-1:]
        opening = next((m["content"] for m in reversed(request.messages) if _opens(m)), "")
        seed = json.dumps([name, arguments, before, opening], sort_keys=True, ensure_ascii=False)
        block = {
            "type": "tool_use",
            "id": f"toolu_{hashlib.sha256(seed.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}",
            "name": name,
            "input": arguments,
        }
        told = ({"type": "text", "text": words},) if words else ()
        return Answer((*told, block), "tool_use", self.name)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _opens(message: Mapping[str, Any]) -> bool:
    """Whether a message is the user's own, not a tool's result."""
    content = message.get("content")
    return message.get("role") == "user" and (
        isinstance(content, str) or any(block.get("type") == "text" for block in content or ())
    )


# The last words of a turn; or the next call, and what is said with it.
_Step = str | tuple[str, dict[str, Any], str]


def _answer(turns: list[Turn], tools: Mapping[str, ToolSpec]) -> _Step:
    """The last words of the newest turn, or the call that comes before them."""
    standing = Standing()
    asked_so = False
    language = "en"
    said_before = ""
    facts: Facts | None = None
    scripts: list[Script] = []
    for number, turn in enumerate(turns):
        language = turn.facts.language or language
        if turn.facts is not facts:
            facts, scripts = turn.facts, scripts_for(turn.facts, tools)
        standing = next_move(standing, turn, asked_so, said_before, scripts)
        if number < len(turns) - 1:
            standing = as_called(standing, turn)
        step = _step(standing, turns[: number + 1], tools, language)
        asks = isinstance(step, str) and step.rstrip().endswith("?") and not any(call.error for call in turn.calls)
        proposed = isinstance(step, tuple) and any((c.name, c.arguments) == step[:2] for c in turn.calls)
        asked_so = proposed or (asks and str(step).strip() == turn.said.strip())
        if standing.move.kind == "run" and number < len(turns) - 1 and isinstance(step, str) and not asks:
            standing = replace(standing, move=replace(standing.move, kind="failed"))
        said_before = turn.said or said_before
        if number == len(turns) - 1:
            step = _decided(turn, language) or step
            return f"{turn.due}\n\n{step}" if turn.due and turn.text and isinstance(step, str) else step
    return phrase("hello", language, tools=_offer(tools))


def _decided(turn: Turn, language: str) -> str:
    """What there is to say about a call that a person has decided on, or a reminder; "" if there is more to answer."""
    if turn.due and not turn.text:
        return turn.due
    if turn.approved is not None:
        result = parsed(turn.approved.result or "")
        return phrase("failed", language, why=speak(result)) if turn.approved.error else speak(result, "", language)
    return turn.note if turn.note and not turn.text else ""


def _step(standing: Standing, turns: list[Turn], tools: Mapping[str, ToolSpec], language: str) -> _Step:
    """What `standing` amounts to in the newest of `turns`, given the calls already made in it."""
    script, move, turn = standing.script, standing.move, turns[-1]
    if move.kind == "phrase" or script is None:
        bare = move.phrase in ("help", "hello", "can") and not tools
        said = phrase("bare" if bare else move.phrase, language, tools=_offer(tools))
        asked_before = turns[-2].said if len(turns) > 1 and move.phrase == "yes_or_no" else ""
        question = re.split(r"(?<=[.!?])\s+", asked_before.strip())[-1]
        return f"{said} {question}" if question.endswith("?") else said
    if move.kind == "ask":
        slot = move.slot
        asks = script.asks.get(slot.name if slot else "", script.asks.get("", ""))
        return asks or (_question(slot, language) if slot else phrase("help", language, tools=_offer(tools)))
    made: list[Call] = []
    for number, stage in enumerate(script.stages[: move.stage + 1]):
        now = number == move.stage
        for spec in stage.calls:
            if spec.acts and not now:
                continue
            arguments = _arguments(spec, standing.slots, made, tools)
            before = turn.calls if now else [call for each in turns for call in each.calls]
            call = next((c for c in reversed(before) if c.name == spec.tool and c.arguments == arguments), None)
            if call is None:
                if len(turn.calls) >= _MOST_CALLS:
                    return phrase("failed", language, why="too many steps")
                return spec.tool, arguments, ""
            if call.error:
                why = speak(parsed(call.result or ""))
                plain = not spec.acts and why[:1].isupper() and why.endswith((".", "!", "?"))
                return why if plain else phrase("failed", language, why=why)
            made.append(call)
    said = _say(standing, made, tools, language, turn)
    offered = _effect(standing) if standing.offers else None
    if offered is None or not offered.asks or _change(standing, made, tools)[1]:
        return said
    arguments = _arguments(offered, standing.slots, made, tools)
    refused = next((c for c in turn.calls if (c.name, c.arguments) == (offered.tool, arguments) and c.error), None)
    if refused is not None:
        return phrase("failed", language, why=speak(parsed(refused.result or "")))
    return offered.tool, arguments, said


def _say(standing: Standing, made: list[Call], tools: Mapping[str, ToolSpec], language: str, turn: Turn) -> str:
    script = standing.script
    if script is None:
        return ""
    question = turn.text if not standing.slots or standing.move.stage > 0 else standing.text or turn.text
    template, change = script.stages[standing.move.stage].reply, ""
    if template == "{confirm}" or "{change}" in template:
        change, same = _change(standing, made, tools)
        if same:
            return phrase("same", language, what=change)
        if template == "{confirm}":
            spec = _effect(standing)
            if spec is not None and spec.asks:
                return ""
            return phrase("shall", language, what=_confirmation(standing, tools, change))

    def put(match: re.Match[str]) -> str:
        name, key = match[1], match[2]
        if name == "change":
            return change
        if name == "result" or name in tools:
            call = next((c for c in reversed(made) if name in ("result", c.name)), None)
            data = parsed(call.result or "") if call else None
            if key:
                data = data.get(key) if isinstance(data, dict) else None
            if data == "" and call is not None and tools[call.name].effect != "read":
                return phrase("done", language)
            return speak(data, question, language)
        value = standing.slots.get(name)
        return match[0] if value is None else _shown(value)

    return " ".join(_PLACE.sub(put, template).split(" ")).strip()


def _arguments(
    spec: CallSpec, slots: Mapping[str, Any], made: list[Call], tools: Mapping[str, ToolSpec]
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for parameter, expression in spec.arguments.items():
        match = _PLACE.fullmatch(expression)
        if match is None:
            arguments[parameter] = literal(expression)
        elif match[1] == "result" or match[1] in tools:
            call = next((c for c in reversed(made) if match[1] in ("result", c.name)), None)
            data = parsed(call.result or "") if call else None
            arguments[parameter] = data.get(match[2]) if match[2] and isinstance(data, dict) else data
        elif match[1] in slots:
            arguments[parameter] = slots[match[1]]
    return arguments


def _effect(standing: Standing) -> CallSpec | None:
    stages = standing.script.stages[standing.move.stage + 1 :][:1] if standing.script else ()
    return next((call for stage in stages for call in stage.calls if call.acts), None)


def _change(standing: Standing, made: list[Call], tools: Mapping[str, ToolSpec]) -> tuple[str, bool]:
    """What the offered effect would set, with the old values where a call before it told them; whether none is new."""
    spec = _effect(standing)
    if spec is None:
        return "", False
    known: dict[str, Any] = {}
    for call in made:
        data = parsed(call.result or "")
        known.update(data if isinstance(data, dict) else {})
    kept, changed = [], []
    for name, value in _arguments(spec, standing.slots, made, tools).items():
        label, old = name.replace("_", " "), known.get(name)
        if name in known and old == value:
            kept.append(f"{label} {_shown(value)}")
        elif old not in (None, ""):
            changed.append(f"{label} from {_shown(old)} to {_shown(value)}")
        else:
            changed.append(f"{label} {_shown(value)}")
    return ", ".join(changed or kept), bool(kept) and not changed


def _confirmation(standing: Standing, tools: Mapping[str, ToolSpec], change: str) -> str:
    spec = _effect(standing)
    if spec is None:
        return ""
    told = re.split(r"[.,;:(]", tools[spec.tool].description)[0].strip()
    act = told[:1].lower() + told[1:] if 0 < len(told) <= 80 else spec.tool.replace("_", " ")
    return f"{act} ({change})" if change else act


def _question(slot: Slot, language: str) -> str:
    """What to ask for a slot: by the first clause of its description, else by its name."""
    name = slot.name.replace("_", " ")
    clause = re.split(r"[.,;:(]", slot.about)[0].strip() or f"the {name}"
    choices = slot.schema.get("enum")
    listed = f" ({', '.join(map(str, choices))})" if choices else ""
    if re.match(r"(which|what|how|when|where|who|whose)\b", clause, re.I) and len(clause.split()) > 1:
        return f"{clause[:1].upper()}{clause[1:]}{listed}?"
    if len(clause.split()) == 1:
        clause = f"the {name}"
    what = clause[:1].lower() + clause[1:]
    if not re.match(r"(the|a|an|your|its|their|any|how|which)\b", what):
        what = f"the {what}"
    return phrase("missing", language, what=what + listed)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return spoken_date(str(value))


def _offer(tools: Mapping[str, ToolSpec]) -> str:
    """What the tools do, by their descriptions' first clauses."""
    said = [re.split(r"[.,;:(\n]", tool.description)[0].strip() for tool in tools.values()]
    return "; ".join(each[:1].lower() + each[1:] for each in said if each)

"""Where a conversation stands: replay it turn by turn, with no memory but the conversation itself.

Replaying gives what the worker is doing (a script), with what (slots), and what it last offered. An effect is entered
only if the thread holds, word for word, the question that this replay would have asked, and the answer is a clear yes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fleet.llm.offline.worker_phrases import consent
from fleet.llm.offline.worker_read import Facts, ToolSpec, Turn
from fleet.llm.offline.worker_scripts import Script, read_script, single_script
from fleet.llm.offline.worker_slots import Slot, fill, option_values, words
from fleet.llm.offline.worker_values import find_values

__all__ = ["Move", "Standing", "as_called", "next_move", "scripts_for"]

_ENOUGH = 0.22  # share of a message's words that a script must know before it is taken up
_SEARCH = 0.35  # what a script that only searches is worth for any message
_SELECTED = 0.25  # what the example that the dispatcher chose is ahead of the others in a thread's first turn
_GREETING = re.compile(r"(hi|hello|hey|good (morning|afternoon|evening)|hallo|guten tag|bonjour|hola)\b[\s!.,]*$", re.I)
_THANKS = re.compile(
    r"(ok(ay)?|great|perfect|super|all right)?[\s,.!]*(thanks|thank you|thx|danke|merci|gracias|obrigad[oa])\b", re.I
)
_ORDINAL = re.compile(
    r"\b(?:the |option )?(first|second|third|fourth|fifth|last|1st|2nd|3rd|former|latter|[1-9])(?: one| option)?\b",
    re.I,
)
_ORDER = {"first": 0, "1st": 0, "former": 0, "second": 1, "2nd": 1, "latter": -1, "third": 2, "3rd": 2, "fourth": 3,
          "fifth": 4, "last": -1}  # fmt: skip


@dataclass(frozen=True)
class Move:
    """What to do in a turn: say a fixed phrase, ask for a slot, or run the stages of a script up to `stage`."""

    kind: str  # "phrase", "ask", "run"
    phrase: str = ""
    stage: int = -1
    slot: Slot | None = None


@dataclass(frozen=True)
class Standing:
    """What a conversation has come to. `text` is the message that the script was taken up for."""

    script: Script | None = None
    slots: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    move: Move = field(default_factory=lambda: Move("phrase", "hello"))
    now: datetime | None = None

    @property
    def offers(self) -> bool:
        """Whether the next stage is an effect that waits for a yes."""
        script, stage = self.script, self.move.stage
        return (
            script is not None
            and (self.move.kind == "run" or self.move.phrase == "yes_or_no")
            and stage + 1 < len(script.stages)
            and script.stages[stage + 1].acts
        )

    @property
    def waits(self) -> bool:
        """Whether the script goes on after this and needs something for that."""
        if self.script is None:
            return False
        return self.move.kind == "ask" or self.move.stage + 1 < len(self.script.stages)


def next_move(
    before: Standing, turn: Turn, asked_so: bool, said_before: str, tools: Mapping[str, ToolSpec]
) -> Standing:
    """The standing in `turn`, after `before`. Pure.

    `asked_so`: the thread holds the very question that `before` would have asked; `said_before`: what the agent
    said last.
    """
    text, now = turn.text, turn.facts.now or before.now
    choice = consent(text)
    here = replace(before, now=now)
    if here.script is not None and here.waits:
        if choice == "no":
            return replace(here, script=None, slots={}, move=Move("phrase", "left"))
        if choice == "yes" and here.offers:
            if asked_so:
                return replace(here, move=Move("run", stage=here.move.stage + 1))
            return here
        if (went_on := _continue(here, text, said_before)) is not None:
            return went_on
        fresh, score = _pick(turn.facts, tools, text, bool(before.text))
        if fresh is not None and score >= _ENOUGH and (fresh.key != here.script.key or not here.offers):
            return _take_up(fresh, text, now)
        return (
            replace(here, move=here.move)
            if not here.offers
            else replace(here, move=Move("phrase", "yes_or_no", here.move.stage))
        )
    if _THANKS.match(text.strip()) and len(text.split()) <= 8:
        return replace(here, move=Move("phrase", "welcome"))
    if _GREETING.match(text.strip()):
        return replace(here, move=Move("phrase", "hello"))
    if choice:
        return replace(here, move=Move("phrase", "left" if choice == "no" and here.script is None else "nothing_waits"))
    fresh, score = _pick(turn.facts, tools, text, bool(before.text))
    if here.script is not None and len(text.split()) <= 7 and score < 2 * _ENOUGH and find_values(text):
        found = fill(here.script.slots, text, here.slots, now)
        if found:
            return _advance(replace(here, slots={**here.slots, **found}))
    if fresh is None or score < _ENOUGH:
        return replace(here, move=Move("phrase", "help"))
    return _take_up(fresh, text, now)


def as_called(standing: Standing, turn: Turn) -> Standing:
    """`standing` with what was really called in a turn of the past: "Friday" stays the Friday that it was then."""
    if standing.script is None:
        return standing
    called: dict[str, Any] = {}
    for stage in standing.script.stages:
        for spec in stage.calls:
            for call in turn.calls:
                for parameter, said in spec.arguments.items() if call.name == spec.tool else ():
                    name = said.strip("{}")
                    if name in standing.slots and parameter in call.arguments:
                        called[name] = call.arguments[parameter]
    return replace(standing, slots={**standing.slots, **called})


def scripts_for(facts: Facts, tools: Mapping[str, ToolSpec]) -> list[Script]:
    """Every script that can be taken up: the shown examples', then one for each tool."""
    found = []
    for number, steps in sorted(facts.shown.items()):
        script = read_script(f"example {number}", facts.names.get(number, ""), steps, tools)
        if script is not None:
            found.append(script)
    return found + [single_script(tool) for tool in tools.values()]


def _pick(facts: Facts, tools: Mapping[str, ToolSpec], text: str, later: bool) -> tuple[Script | None, float]:
    """The script that was made for requests like this one; one that only searches serves whatever no other is for."""
    scripts = scripts_for(facts, tools)
    shown = {call.tool for script in scripts if script.texts for stage in script.stages for call in stage.calls}
    best: tuple[float, Script] | None = None
    for script in scripts:
        score = _likeness(script, text)
        if not script.texts and script.key in shown:
            score *= 0.6
        if not later and script.key == f"example {facts.selected}":
            score += _SELECTED
        if script.searches and words(text):
            score = max(score, _SEARCH)
        if best is None or score > best[0] + 1e-9:
            best = (score, script)
    return (best[1], best[0]) if best else (None, 0.0)


def _likeness(script: Script, text: str) -> float:
    """From 0 to about 1: how much a message reads like what the script is for."""
    if script.texts:
        return max(_overlap(_weighed(text), _weighed(each)) for each in script.texts)
    asked = dict.fromkeys(words(text))
    known = dict(script.words)
    score = sum(known.get(word, 0.0) for word in asked) / max(3, len(asked))
    if any(stage.acts for stage in script.stages) and not set(asked) & set(words(script.key)):
        score *= 0.5
    if any(slot.kind == "enum" and fill([slot], text, {}, None) for slot in script.slots):
        score += 0.1
    return score


def _weighed(text: str) -> dict[str, float]:
    """A text's words with their weights; who speaks (I, we) tells a little."""
    content = set(words(text))
    return {word: 1.0 if word in content else 0.3 for word in words(text, keep_persons=True)}


def _overlap(said: Mapping[str, float], shown: Mapping[str, float]) -> float:
    """The F-measure of shared words that counts the message's coverage twice the demonstration's."""
    shared = sum(weight for word, weight in said.items() if word in shown)
    if not shared:
        return 0.0
    precision, recall = shared / sum(said.values()), shared / sum(shown.values())
    return 1.25 * precision * recall / (0.25 * precision + recall)


def _take_up(script: Script, text: str, now: datetime | None) -> Standing:
    return _advance(Standing(script, fill(script.slots, text, {}, now), text, now=now))


def _continue(here: Standing, text: str, said_before: str) -> Standing | None:
    """The same script with what the message adds or corrects; None if it does neither."""
    script = here.script
    if script is None:
        return None
    asked = here.move.slot or _next_open(here)
    found = fill(script.slots, text, here.slots, here.now, asked.name if asked else "")
    found = {
        name: value for name, value in found.items() if _kind(script, name) != "text" or (asked and asked.name == name)
    }
    if not found and asked is not None and (order := _ORDINAL.search(text)) and len(text.split()) <= 8:
        options = option_values(asked, said_before, here.now, here.slots)
        number = _ORDER.get(order[1].lower(), int(order[1]) - 1 if order[1].isdigit() else 0)
        if options and -len(options) <= number < len(options):
            found = {asked.name: options[number]}
    if not found and here.move.kind == "ask" and asked is not None and asked.kind in ("name", "reference", "text"):
        found = {asked.name: text.strip()}
    return _advance(replace(here, slots={**here.slots, **found})) if found else None


def _next_open(here: Standing) -> Slot | None:
    stages = here.script.stages[here.move.stage + 1 :] if here.script else ()
    for stage in stages:
        for slot in here.script.slots_of(stage) if here.script else ():
            if slot.required and slot.name not in here.slots:
                return slot
    return None


def _kind(script: Script, name: str) -> str:
    return next((slot.kind for slot in script.slots if slot.name == name), "text")


def _advance(here: Standing) -> Standing:
    """Go as far as the filled slots reach; an effect is never reached this way."""
    script = here.script
    if script is None:
        return here
    reached = -1
    for number, stage in enumerate(script.stages):
        if stage.acts or _missing(script, number, here.slots):
            break
        reached = number
    if reached >= 0:
        return replace(here, move=Move("run", stage=reached))
    missing = _missing(script, 0, here.slots)
    return replace(here, move=Move("ask", slot=missing[0] if missing else None))


def _missing(script: Script, number: int, slots: Mapping[str, Any]) -> Sequence[Slot]:
    """What a stage still needs; the stage that offers an effect needs what the effect takes."""
    stages = script.stages
    wanted = list(script.slots_of(stages[number]))
    if number + 1 < len(stages) and stages[number + 1].acts:
        wanted += [slot for slot in script.slots_of(stages[number + 1]) if slot not in wanted]
    missing = [slot for slot in wanted if slot.required and slot.name not in slots]
    if (
        not missing
        and wanted
        and not any(slot.required for slot in wanted)
        and not set(slots) & {s.name for s in wanted}
    ):
        acts = number + 1 < len(stages) and stages[number + 1].acts
        return wanted[:1] if acts else ()
    return missing

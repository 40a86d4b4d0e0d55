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

from fleet.llm.offline.consent import consent
from fleet.llm.offline.worker_choice import ENOUGH, likeness, pick
from fleet.llm.offline.worker_read import Turn
from fleet.llm.offline.worker_scripts import Script
from fleet.llm.offline.worker_slots import Slot, fill, option_values
from fleet.llm.offline.worker_values import find_values

__all__ = ["Move", "Standing", "as_called", "next_move"]

_CLEARLY = 0.2  # how far another script must be ahead of the one at work to take over
_GREETING = re.compile(r"(hi|hello|hey|good (morning|afternoon|evening)|hallo|guten tag|bonjour|hola)\b[\s!.,]*$", re.I)
_THANKS = re.compile(
    r"(ok(ay)?|great|perfect|super|all right)?[\s,.!]*(thanks|thank you|thx|danke|merci|gracias|obrigad[oa])\b", re.I
)
_ABILITY = re.compile(r"\bwhat (can|could|do) you (do|help)\b|^(help|hilfe|ayuda|aide)\W*$|\bhow can you help\b", re.I)
_ORDINAL = re.compile(
    r"\b(?:the |option )?(first|second|third|fourth|fifth|last|1st|2nd|3rd|former|latter|[1-9])(?: one| option)?\b",
    re.I,
)
_ORDER = {"first": 0, "1st": 0, "former": 0, "second": 1, "2nd": 1, "latter": -1, "third": 2, "3rd": 2, "fourth": 3,
          "fifth": 4, "last": -1}  # fmt: skip


@dataclass(frozen=True)
class Move:
    """What to do in a turn: say a fixed phrase, ask for a slot, or run the stages of a script up to `stage`."""

    kind: str  # "phrase", "ask", "run", or "failed": run, and it came to no offer
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


def next_move(before: Standing, turn: Turn, asked_so: bool, said_before: str, scripts: Sequence[Script]) -> Standing:
    """The standing in `turn`, after `before`. Pure.

    `scripts`: what can be taken up (`scripts_for`). `asked_so`: the thread holds the very question that `before` would
    have asked. `said_before`: what the agent said last.
    """
    text, now = turn.text, turn.facts.now or before.now
    choice = consent(text)
    here = replace(before, now=now)
    if here.script is not None and here.waits:
        asked = here.move.slot
        if choice and here.move.kind == "ask" and asked is not None and asked.kind == "boolean":
            return _advance(replace(here, slots={**here.slots, asked.name: choice == "yes"}))
        if choice == "no":
            return replace(here, script=None, slots={}, move=Move("phrase", "left"))
        if choice == "yes" and here.move.kind == "failed":
            return replace(here, move=replace(here.move, kind="phrase", phrase="nothing_waits"))
        if choice == "yes" and (here.offers or here.move.kind == "ask"):
            sure = here.offers and asked_so
            return replace(here, move=Move("run", stage=here.move.stage + 1)) if sure else here
        fresh, score = pick(scripts, turn.facts.selected, text, here.text, here.slots)
        other = fresh is not None and fresh.key != here.script.key
        ahead = other and score >= max(2 * ENOUGH, likeness(here.script, text) + _CLEARLY)
        if not ahead and (went_on := _continue(here, text, said_before)) is not None:
            return went_on
        if fresh is not None and other and score >= ENOUGH:
            return _take_up(fresh, text, here, said_before)
        return replace(here, move=Move("phrase", "yes_or_no", here.move.stage)) if here.offers else here
    if _THANKS.match(text.strip()) and len(text.split()) <= 8:
        return replace(here, move=Move("phrase", "welcome", here.move.stage))
    if _ABILITY.search(text):
        return replace(here, move=Move("phrase", "can", here.move.stage))
    if _GREETING.match(text.strip()):
        return replace(here, move=Move("phrase", "hello", here.move.stage))
    if choice:
        return replace(here, move=Move("phrase", "nothing_waits", here.move.stage))
    fresh, score = pick(scripts, turn.facts.selected, text, here.text, here.slots)
    looks = here.script is not None and not any(stage.acts for stage in here.script.stages)
    if looks and here.script is not None and len(text.split()) <= 7 and score < 2 * ENOUGH and find_values(text):
        found = fill(here.script.slots, text, here.slots, now)
        if found:
            return _advance(replace(here, slots={**here.slots, **found}))
    if fresh is None or score < ENOUGH:
        return replace(here, move=Move("phrase", "help", here.move.stage))
    return _take_up(fresh, text, here, said_before)


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


def _take_up(script: Script, text: str, here: Standing, said_before: str) -> Standing:
    """Begin with a script; what an earlier one in this thread was about still holds where nothing else is said."""
    slots = fill(script.slots, text, {}, here.now)
    for slot in script.slots:
        if slot.required and slot.name not in slots and slot.kind != "text":
            if slot.name in here.slots:
                slots[slot.name] = here.slots[slot.name]
            elif (option := _option(slot, text, said_before, {**here.slots, **slots}, here.now)) is not None:
                slots[slot.name] = option
    return _advance(Standing(script, slots, text, now=here.now))


def _option(slot: Slot, text: str, said_before: str, have: Mapping[str, Any], now: datetime | None) -> Any:
    """What "the second one" means for a slot among the agent's last words; None if the message says no such thing."""
    order = _ORDINAL.search(text)
    if order is None or len(text.split()) > 10:
        return None
    options = option_values(slot, said_before, now, have)
    number = _ORDER.get(order[1].lower(), int(order[1]) - 1 if order[1].isdigit() else 0)
    return options[number] if -len(options) <= number < len(options) else None


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
    if not found and asked is not None:
        option = _option(asked, text, said_before, here.slots, here.now)
        found = {} if option is None else {asked.name: option}
    if here.move.kind == "ask" and asked is not None and asked.kind in ("name", "reference", "text"):
        whole = text.strip().rstrip(".!")
        said = str(found.get(asked.name, ""))
        if not found or (asked.kind == "name" and len(whole.split()) - len(said.split()) in (0, 1)):
            found = {asked.name: whole}
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

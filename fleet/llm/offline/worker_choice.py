"""Choose what to do about a message: the demonstration, or the tool, that is for messages like it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.llm.offline.worker_read import Facts, ToolSpec
from fleet.llm.offline.worker_scripts import Script, read_script, single_script
from fleet.llm.offline.worker_slots import fill, words

__all__ = ["ENOUGH", "likeness", "pick", "scripts_for"]

ENOUGH = 0.22  # share of a message's words that a script must know before it is taken up
_COVERED = 0.65  # share of its words that a script must know where searching is the other way
_SEARCH = 0.35  # what a script that only searches is worth for any message
_SELECTED = 0.25  # what the example that the dispatcher chose is ahead of the others in a thread's first turn


def scripts_for(facts: Facts, tools: Mapping[str, ToolSpec]) -> list[Script]:
    """Every script that can be taken up: the shown examples', then one for each tool."""
    found = []
    for number, steps in sorted(facts.shown.items()):
        script = read_script(f"example {number}", facts.names.get(number, ""), steps, tools)
        if script is not None:
            found.append(script)
    return found + [single_script(tool) for tool in tools.values()]


def pick(
    scripts: Sequence[Script], selected: int | None, text: str, before: str, have: Mapping[str, Any]
) -> tuple[Script | None, float]:
    """The script that was made for requests like this one; one that only searches serves whatever no other is for.

    With it comes how well it suits, from 0 to about 1. `selected` is the example that the dispatcher chose; `before` is
    the message that the last script was taken up for, "" in a new thread; `have` holds the slots filled by then. Pure.
    """
    shown = {call.tool for script in scripts if script.texts for stage in script.stages for call in stage.calls}
    searching = any(script.searches for script in scripts)
    best: tuple[float, Script] | None = None
    for script in scripts:
        score = likeness(script, text)
        if not script.texts and script.key in shown:
            score *= 0.5
        if searching and not script.searches and _covered(script, text) < _COVERED:
            score = min(score, _SEARCH - 0.01)
        if not before and script.key == f"example {selected}":
            score += _SELECTED
        if script.searches and words(text):
            score = max(score, _SEARCH)
        elif score and not script.texts:
            found = fill(script.slots, text, have, None)
            lacking = [each for each in script.slots if each.required and each.name not in found]
            score -= 0.05 * min(3, len(lacking))
        if best is None or score > best[0] + 1e-9:
            best = (score, script)
    return (best[1], best[0]) if best else (None, 0.0)


def likeness(script: Script, text: str) -> float:
    """From 0 to about 1: how much a message reads like what the script is for."""
    if script.texts:
        named = any(slot.kind == "enum" and fill([slot], text, {}, None) for slot in script.slots)
        return max(_overlap(_weighed(text), _weighed(each)) for each in script.texts) + 0.15 * named
    asked = dict.fromkeys(words(text))
    known = dict(script.words)
    score = sum(known.get(word, 0.0) for word in asked) / max(3, len(asked))
    if any(stage.acts for stage in script.stages) and not set(asked) & set(words(script.key)):
        score *= 0.5
    if any(slot.kind == "enum" and fill([slot], text, {}, None) for slot in script.slots):
        score += 0.1
    exact = set(re.findall(r"\w+", text.lower())) & set(script.key.split("_"))
    return score + 0.1 * bool({word for word in exact if words(word)})


def _covered(script: Script, text: str) -> float:
    """The share of the message's words that the script knows from its texts, or from its tool."""
    asked = set(words(text))
    known = set(words(" ".join(script.texts))) or {word for word, _ in script.words}
    return len(asked & known) / len(asked) if asked else 0.0


def _weighed(text: str) -> dict[str, float]:
    """A text's words with their weights; who speaks (I, we) tells a little."""
    content = set(words(text))
    return {word: 1.0 if word in content else 0.3 for word in words(text, keep_persons=True)}


def _overlap(said: Mapping[str, float], shown: Mapping[str, float]) -> float:
    """The F-measure of shared words that counts the message's coverage twice the demonstration's."""
    shared = sum(weight for word, weight in said.items() if word in shown)
    if shared < 1:
        return 0.0
    precision, recall = shared / sum(said.values()), shared / sum(shown.values())
    return 1.25 * precision * recall / (0.25 * precision + recall)

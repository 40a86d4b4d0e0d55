"""Texts whose meaning a sentence encoder knows: definitions and examples of WordNet, what people and agents say."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from dialogues import Agent

from fleet.llm.offline.words import words_of

DEFINED, SAID = 110_000, 15_000  # texts of WordNet, and of the task dialogues
_PARTS = ("noun", "verb", "adj", "adv")


def sentences(
    wordnet: Path,
    trades: Iterable[Sequence[Agent]],
    cases: Iterable[dict[str, Any]],
    known: Callable[[str], bool],
    rng: random.Random,
) -> list[str]:
    """Distinct texts, sorted. `wordnet` holds its files data.noun and so on; `known` says which words have a vector."""
    defined = defined_texts(wordnet, known)
    found = set(rng.sample(sorted(defined), min(len(defined), DEFINED)))
    for agents in trades:
        for each in agents:
            found.add(f"{each.role.replace('_', ' ')}. {each.description}. {'. '.join(each.capabilities)}")
            found.update(each.capabilities)
            for turns in each.dialogues:
                found.update(turns)
    said: set[str] = set()
    for case in cases:
        said.add(case["message"])
        said.update(thread["last_assistant_message"] or "" for thread in case["threads"])
    return sorted(found | set(rng.sample(sorted(said), min(len(said), SAID))))


def defined_texts(wordnet: Path, known: Callable[[str], bool]) -> set[str]:
    """Every example, and every definition behind its words. Raises: FileNotFoundError without WordNet's files."""
    found: set[str] = set()
    for part in _PARTS:
        for line in (wordnet / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith(" "):
                continue  # the licence
            head, _, gloss = line.partition(" | ")
            fields = head.split()
            words = [fields[4 + 2 * at].replace("_", " ").split("(")[0] for at in range(int(fields[3], 16))]
            definition = re.sub(r'"[^"]*"?', "", gloss).strip(" ;\n")
            if any(known(part_) for word in words for part_ in words_of(word)):
                found.add(f"{', '.join(words[:3])}: {definition}"[:200])
            found.update(example[:160] for example in re.findall(r'"([^"]+)"', gloss))
    return found

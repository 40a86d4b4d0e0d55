"""Training cases as the router would see them printed, some of them told in words of another trade.

A case's content words are exchanged, the same word for the same word everywhere in the case, for invented ones or for
words of another topic; agents lose their examples, capabilities or descriptions. What is learned then is to compare,
not to know the agents of the training files.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fleet.llm.offline.kinds import ASKED, SAID
from fleet.llm.offline.printed import Printed, PrintedAgent, PrintedThread
from fleet.llm.offline.words import STOP, stem, topics_of, words_of

_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]


def read_lines(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The first `limit` cases of a .jsonl or .jsonl.gz file."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(limit or 10**9), lines, strict=False)]


def print_case(case: dict[str, Any], offered: dict[str, Any]) -> Printed:
    """A case as the dispatcher prints it."""
    return Printed(
        case["message"],
        datetime.fromisoformat(case["now"]),
        "en",
        tuple(_print_agent(role, offered) for role in case["agents"] or ["conversation"]),
        tuple(
            PrintedThread(
                at,
                each["agent"] or "conversation",
                summary=each["summary"] or "",
                latest_activity=datetime.fromisoformat(each["latest_activity_at"]),
                last_assistant_message=each["last_assistant_message"] or "",
            )
            for at, each in enumerate(case["threads"])
        ),
    )


def _print_agent(role: str, offered: dict[str, Any]) -> PrintedAgent:
    each = offered.get(role, {})
    capabilities, examples = tuple(each.get("capabilities", ())), tuple(enumerate(each.get("examples", ())))
    return _same(PrintedAgent(role, each.get("description", ""), capabilities, examples))


@cache
def _same(agent: PrintedAgent) -> PrintedAgent:
    """The one that is equal: a hundred thousand cases share forty agents."""
    return agent


def right_choice(case: dict[str, Any]) -> int:
    """The number of the right choice: threads first, then agents."""
    gold = case["gold"]
    if gold["action"] == "continue":
        return int(gold["thread"])
    return len(case["threads"]) + (case["agents"].index(gold["agent"]) if gold["agent"] else 0)


def vary(printed: Printed, rng: random.Random) -> Printed:
    """The same case with thinner agents, or in other words, or as it is."""
    if len(printed.agents) > 1:
        printed = _thin(printed, rng)
    draw = rng.random()
    if draw < 0.22:
        return _translate(printed, rng, invented=rng.uniform(0.3, 1.0), other=0.0)
    if draw < 0.45:
        return _translate(printed, rng, invented=rng.uniform(0.0, 0.5), other=rng.uniform(0.6, 1.0))
    return printed


def _thin(printed: Printed, rng: random.Random) -> Printed:
    examples, capabilities, rename = rng.random(), rng.random() < 0.15, rng.random() < 0.3
    kept = rng.choice([0, 0, 1, 1, 2, 3, 5])

    def agent(each: PrintedAgent) -> PrintedAgent:
        own = each.examples
        if examples < 0.55:
            own = tuple(rng.sample(own, min(kept, len(own))))
        elif examples < 0.7:
            own = tuple(rng.sample(own, min(rng.choice([0, 1, 2]), len(own))))
        return replace(
            each,
            examples=own,
            capabilities=() if capabilities else each.capabilities,
            description=each.description if not rng.random() < 0.05 else "",
        )

    agents = [agent(each) for each in printed.agents]
    if not rename:
        return replace(printed, agents=tuple(agents))
    names = {each.role: f"{_invent(rng, 5)}_{_invent(rng, 4)}" for each in agents}
    return replace(
        printed,
        agents=tuple(replace(each, role=names[each.role]) for each in agents),
        threads=tuple(replace(each, agent=names.get(each.agent, each.agent)) for each in printed.threads),
    )


def _translate(printed: Printed, rng: random.Random, *, invented: float, other: float) -> Printed:
    """Exchange content words: of topics for another topic's with probability `other`, else for invented ones."""
    swapped: dict[int, int] = {}
    said: dict[str, list[str]] = {}
    topics = topic_lines()
    synonyms = rng.choice([1, 1, 2, 3])

    def word(match: re.Match[str]) -> str:
        found = match[0]
        low = found.lower()
        if low in STOP or low in _kept() or len(low) < 3:
            return found
        key = stem(low)
        if key not in said:
            own = topics_of(key)
            if own and rng.random() < other:
                topic = rng.choice(own)
                said[key] = rng.choices(topics[swapped.setdefault(topic, rng.randrange(len(topics)))], k=synonyms)
            elif rng.random() < invented:
                said[key] = [_invent(rng, len(key))]
            else:
                said[key] = [""]
        new = rng.choice(said[key])
        return (new.capitalize() if found[0].isupper() else new) if new else found

    def text(whole: str) -> str:
        for speaker in ("User: ", "Agent: ", "Other: "):
            whole = whole.replace(speaker, speaker.upper())
        whole = _LETTERS.sub(lambda each: each[0] if each[0] in ("USER", "AGENT", "OTHER") else word(each), whole)
        for speaker in ("User: ", "Agent: ", "Other: "):
            whole = whole.replace(speaker.upper(), speaker)
        return whole

    def role(name: str) -> str:
        return "_".join(text(part) for part in name.split("_"))

    return Printed(
        text(printed.message),
        printed.now,
        printed.language,
        tuple(
            PrintedAgent(
                role(each.role),
                text(each.description),
                tuple(map(text, each.capabilities)),
                tuple((n, text(t)) for n, t in each.examples),
            )
            for each in printed.agents
        ),
        tuple(
            replace(
                each,
                agent=role(each.agent),
                summary=text(each.summary),
                last_assistant_message=text(each.last_assistant_message),
            )
            for each in printed.threads
        ),
    )


def _invent(rng: random.Random, length: int) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(max(2, (length + 1) // 2)))


@cache
def topic_lines() -> list[list[str]]:
    """The words of every topic."""
    lines = resources.files("fleet.llm.offline").joinpath("topics.txt").read_text("utf-8").splitlines()
    return [line.partition(":")[2].split() for line in lines if line and not line.startswith("#")]


@cache
def _kept() -> frozenset[str]:
    """Words that the kinds of messages and questions are told by."""
    patterns = " ".join(each.pattern for each in (*SAID.values(), *ASKED.values()))
    patterns = re.sub(r"\\[a-zA-Z]", " ", patterns)
    spelled = set(words_of(patterns))
    days = "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august"
    more = "september october november december works good great many much pick time date day days number hour hours"
    return frozenset(spelled | set(f"{days} {more}".split()))


def texts(cases: Iterator[Printed]) -> Iterator[str]:
    """Every text of the cases, in order, repeats included."""
    for each in cases:
        yield each.message
        for thread in each.threads:
            yield thread.summary
            yield thread.last_assistant_message
        for agent in each.agents:
            yield agent.description

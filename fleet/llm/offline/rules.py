"""Score the choices by the guide's rules: answers first, then continuation, recency, and the agents' own words."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from fleet.llm.offline.printed import Printed, PrintedAgent, PrintedThread

__all__ = ["Choice", "choose", "matching_example"]

_WORD = re.compile(r"\w+", re.UNICODE)
_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "i",
        "you",
        "it",
        "is",
        "are",
        "was",
        "be",
        "to",
        "of",
        "in",
        "on",
        "at",
        "for",
        "and",
        "or",
        "with",
        "my",
        "me",
        "we",
        "do",
        "does",
        "did",
        "can",
        "could",
        "would",
        "will",
        "please",
        "that",
        "this",
        "have",
        "has",
        "what",
        "which",
        "how",
        "there",
        "any",
        "some",
        "your",
        "want",
        "like",
        "need",
        "find",
        "get",
        "help",
        "am",
        "as",
        "from",
        "by",
        "so",
        "if",
        "not",
    ]
)
_OPENING = re.compile(
    r"^(hi|hello|hey|i need|i want|i'd like|i would like|i am looking|i'm looking|can you|could you|please|help me|"
    r"find|search|show|book|what|where|when|how|is there|are there|do you)\b",
    re.IGNORECASE,
)
_REPLY = re.compile(
    r"^(yes|yeah|yep|sure|ok|okay|no|nope|not|thanks|thank you|that|those|this|the|correct|right|perfect|great|good|"
    r"sounds|actually|instead|make it|for|on|at|in|from|around|maybe|either|any|both|it|and|also)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Choice:
    """One thing the router may do: continue `thread`, or start one with `agent`; reasons in plain words."""

    thread: int | None
    agent: str | None
    probability: float
    reasons: tuple[str, ...]


def choose(printed: Printed, prior: float | None = None) -> list[Choice]:
    """All choices, the likeliest first; empty where neither threads nor agents were printed."""
    said = _content(printed.message)
    rare = _rarity(printed)
    scored: list[tuple[float, int | None, str | None, tuple[str, ...]]] = []
    newest = printed.threads[0].index if printed.threads else None
    shift = math.log(max(prior, 0.01) / 0.3 * 0.7 / max(1 - prior, 0.01)) if prior is not None else 0.0
    for rank, thread in enumerate(printed.threads):
        score, reason = _thread_score(printed, thread, rank, said, rare)
        scored.append((score + (shift if thread.index == newest else 0.0), thread.index, None, (reason,)))
    for agent in printed.agents:
        score, reason = _agent_score(printed, agent, said, rare)
        scored.append((score, None, agent.role, (reason,)))
    top = max((score for score, *_ in scored), default=0.0)
    total = sum(math.exp(score - top) for score, *_ in scored)
    choices = [Choice(index, role, math.exp(score - top) / total, why) for score, index, role, why in scored]
    return sorted(choices, key=lambda choice: -choice.probability)


def matching_example(printed: Printed, role: str) -> int | None:
    """The id of the printed example of `role` that shares most of the message's words, if it shares enough."""
    said = _content(printed.message)
    best: tuple[float, int] | None = None
    for agent in printed.agents:
        if agent.role == role:
            for example_id, text in agent.examples:
                words = _content(text)
                if words and said:
                    overlap = len(words & said) / len(words | said)
                    if overlap >= 0.4 and (best is None or overlap > best[0]):
                        best = (overlap, example_id)
    return best[1] if best else None


def _thread_score(
    printed: Printed, thread: PrintedThread, rank: int, said: set[str], rare: Counter[str]
) -> tuple[float, str]:
    where = f"threads[{thread.index}]"
    minutes = _minutes(printed.now, thread.latest_activity)
    score = -0.5 * rank - 0.25 * math.log1p(minutes / 5)
    asked = "?" in thread.last_assistant_message or "？" in thread.last_assistant_message
    short = len(_WORD.findall(printed.message)) <= 6
    opening = bool(_OPENING.match(printed.message.strip()))
    reply = bool(_REPLY.match(printed.message.strip()))
    overlap = _overlap(said, _content(f"{thread.summary} {thread.last_assistant_message} {thread.name}"), rare)
    score += 1.5 * overlap + 1.0 * asked + 0.7 * (asked and short) + 1.5 * reply - 1.2 * (opening and not reply)
    score += 1.0 * (short and not opening) + 0.8 * (thread.status == "need_input")
    if asked and (short or reply):
        reason = f"The assistant last asked a question in {where}, and this message reads like its answer."
    elif overlap > 0.5:
        reason = f"This message is about what {where} is about."
    else:
        reason = f"This message reads like a continuation, and {where} was active last."
    return score, reason


def _agent_score(printed: Printed, agent: PrintedAgent, said: set[str], rare: Counter[str]) -> tuple[float, str]:
    role = re.sub(r"[_\W\d]+", " ", agent.role)
    core = _overlap(said, _content(" ".join([role, agent.description, *agent.capabilities])), rare)
    example = max((_overlap(said, _content(text), rare) for _, text in agent.examples), default=0.0)
    score = 1.6 * max(core, example) + 0.6 * min(core, example) - 1.0
    shared = sorted(said & _content(" ".join([role, agent.description, *agent.capabilities])))[:4]
    fits = f": both speak of {', '.join(shared)}" if shared else ""
    return score, f"A fresh request; it fits what {agent.role} does{fits}."


def _overlap(said: set[str], words: set[str], rare: Counter[str]) -> float:
    return min(2.0, sum(1.0 / math.sqrt(1 + rare[word]) for word in said & words))


def _rarity(printed: Printed) -> Counter[str]:
    counts: Counter[str] = Counter()
    for agent in printed.agents:
        counts.update(_content(" ".join([agent.description, *agent.capabilities])))
    return counts


def _minutes(now: datetime | None, then: datetime | None) -> float:
    return max(0.0, (now - then).total_seconds() / 60) if now and then else 0.0


def _content(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP}


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word

"""More cases out of the same ones: what was said in one, beside the other threads of another.

The thread that a message carries on changes places with one of the same agent, of the same rank, which has asked or has
not as this one has; an opening changes places with another one to the same agent. So ages, ranks and agents stay as
they are drawn, and a message meets other threads that it might have meant.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from fleet.llm.offline.printed import Printed

Case = tuple[Printed, int]


def recombine(cases: Sequence[Case], rng: random.Random) -> list[Case]:
    """As many cases, in the same order, each with the words of another one of its kind."""
    kinds: dict[tuple[object, ...], list[int]] = {}
    for at, case in enumerate(cases):
        kinds.setdefault(_kind(*case), []).append(at)
    made = list(cases)
    for places in kinds.values():
        others = places[:]
        rng.shuffle(others)
        for at, other in zip(places, others, strict=True):
            made[at] = _with_words(cases[at], cases[other])
    return made


def _kind(printed: Printed, gold: int) -> tuple[object, ...]:
    if gold < len(printed.threads):
        thread = printed.threads[gold]
        return thread.agent, gold, "?" in thread.last_assistant_message
    return (printed.agents[gold - len(printed.threads)].role,)


def _with_words(case: Case, other: Case) -> Case:
    printed, gold = case
    said, place = other
    if gold >= len(printed.threads):
        return replace(printed, message=said.message), gold
    threads, words = list(printed.threads), said.threads[place]
    threads[gold] = replace(
        threads[gold], name=words.name, summary=words.summary, last_assistant_message=words.last_assistant_message
    )
    return replace(printed, message=said.message, threads=tuple(threads)), gold

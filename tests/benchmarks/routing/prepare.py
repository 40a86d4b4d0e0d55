"""Cases as arrays: numbers, word ids and the right choice, ready to train on."""

from __future__ import annotations

import math
import multiprocessing
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from corpus import vary

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD, describe
from fleet.llm.offline.likeness import Compare
from fleet.llm.offline.printed import Printed
from fleet.llm.offline.words import Text, words_of

MOST_THREADS, MOST_AGENTS = 5, 12


def count_words(texts: Iterable[str]) -> tuple[Counter[str], int]:
    """In how many distinct texts each word stands, and how many texts there are."""
    held: Counter[str] = Counter()
    distinct = set(texts)
    for text in distinct:
        held.update(set(words_of(text)))
    return held, len(distinct)


def rarities(held: Counter[str], total: int, words: Sequence[str]) -> dict[str, int]:
    """A word's weight in 0 to 255: the rarer, the more."""
    most = math.log(total / 3)
    return {each: max(20, min(255, round(255 * math.log(total / (held[each] + 2)) / most))) for each in words}


@dataclass
class Texts:
    """Distinct texts, numbered, as their words."""

    numbers: dict[tuple[str, ...], int] = field(default_factory=dict)

    def number(self, words: tuple[str, ...]) -> int:
        return self.numbers.setdefault(words, len(self.numbers))

    def arrays(self, word_number: Callable[[str], int]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of all their words, end to end, and where each text ends."""
        number = cache(word_number)
        ends = np.cumsum([0, *(len(each) for each in self.numbers)])
        flat = np.fromiter((number(word) for words in self.numbers for word in words), np.int32, ends[-1])
        return flat, ends.astype(np.int64)


@dataclass
class Table:
    """Cases as arrays. Texts are numbered; -1 is none. `gold` counts threads first, then agents from MOST_THREADS."""

    message: np.ndarray
    threads: np.ndarray
    agents: np.ndarray
    texts: np.ndarray  # said, then question/last/summary by thread, then core/examples by agent
    there: np.ndarray
    gold: np.ndarray
    owners: np.ndarray  # the number of each thread's agent, MOST_AGENTS if it is not on offer

    def __len__(self) -> int:
        return len(self.gold)

    def take(self, at: np.ndarray) -> Table:
        return Table(*(getattr(self, name)[at] for name in self.__dataclass_fields__))


def build_table(
    cases: Sequence[tuple[Printed, int]], read: Callable[[str], Text], compare: Compare, texts: Texts
) -> Table:
    """Describe every case; `gold` as `right_choice` gives it."""
    n = len(cases)
    table = Table(
        np.zeros((n, len(MESSAGE)), np.float32),
        np.zeros((n, MOST_THREADS, len(THREAD)), np.float32),
        np.zeros((n, MOST_AGENTS, len(AGENT)), np.float32),
        np.full((n, 1 + 3 * MOST_THREADS + 2 * MOST_AGENTS), -1, np.int32),
        np.zeros((n, MOST_THREADS + MOST_AGENTS), bool),
        np.zeros(n, np.int64),
        np.full((n, MOST_THREADS), MOST_AGENTS, np.int64),
    )
    for row, (printed, gold) in enumerate(cases):
        found = describe(printed, read, compare)
        t, a = len(found.threads), len(found.agents)
        table.message[row] = found.message
        table.threads[row, :t] = found.threads or np.zeros((0, len(THREAD)))
        table.agents[row, :a] = found.agents
        table.texts[row, 0] = texts.number(found.said.words)
        at = 1
        for group, width in (
            (found.questions, MOST_THREADS), (found.lasts, MOST_THREADS), (found.summaries, MOST_THREADS),
            (found.cores, MOST_AGENTS), (found.examples, MOST_AGENTS),
        ):  # fmt: skip
            table.texts[row, at : at + len(group)] = [texts.number(each.words) for each in group]
            at += width
        table.owners[row, :t] = [MOST_AGENTS if each is None else each for each in found.owners]
        table.there[row, :t] = True
        table.there[row, MOST_THREADS : MOST_THREADS + a] = True
        table.gold[row] = gold if gold < t else MOST_THREADS + gold - t
    return table


@dataclass(frozen=True)
class Group:
    """Cases that are described alike; with a `seed` each is varied first."""

    cases: Sequence[tuple[Printed, int]]
    seed: int | None = None


def build_tables(
    groups: Sequence[Group],
    read: Callable[[str], Text],
    compare: Compare,
    texts: Texts,
    processes: int,
) -> list[Table]:
    """A table for each group, described by that many processes; the same whatever their number."""
    _shared.update(groups=groups, read=read, compare=compare)
    jobs = [(at, start) for at, group in enumerate(groups) for start in range(0, len(group.cases), _CHUNK)]
    parts: list[list[Table]] = [[] for _ in groups]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for (at, _), (table, distinct) in zip(jobs, pool.imap(_described, jobs), strict=True):
            numbers = np.array([texts.number(words) for words in distinct] or [0], np.int32)
            table.texts = np.where(table.texts >= 0, numbers[table.texts], -1)
            parts[at].append(table)
    return [join_tables(each) for each in parts]


_CHUNK = 1_000  # cases
_shared: dict[str, Any] = {}  # what the processes find here when they are forked


def _described(job: tuple[int, int]) -> tuple[Table, list[tuple[str, ...]]]:
    at, start = job
    group: Group = _shared["groups"][at]
    cases = group.cases[start : start + _CHUNK]
    if group.seed is not None:
        rng = random.Random(f"{group.seed} {at} {start}")
        cases = [(vary(printed, rng), gold) for printed, gold in cases]
    texts = Texts()
    return build_table(cases, _shared["read"], _shared["compare"], texts), list(texts.numbers)


def join_tables(tables: Sequence[Table]) -> Table:
    """One table of them all, in order."""
    return Table(*(np.concatenate([getattr(each, name) for each in tables]) for name in Table.__dataclass_fields__))

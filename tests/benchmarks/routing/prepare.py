"""Cases as arrays: numbers, word ids and the right choice, ready to train on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD, describe
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
    """Distinct texts as word ids, end to end."""

    ids: dict[tuple[str, ...], int] = field(default_factory=dict)
    words: list[list[int]] = field(default_factory=list)

    def number(self, words: tuple[str, ...], word_id: Callable[[str], int]) -> int:
        found = self.ids.get(words)
        if found is None:
            found = self.ids[words] = len(self.words)
            self.words.append([word_id(each) for each in words])
        return found

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        ends = np.cumsum([0, *(len(each) for each in self.words)])
        return np.fromiter((each for words in self.words for each in words), np.int32, ends[-1]), ends.astype(np.int64)


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
    cases: Sequence[tuple[Printed, int]], read: Callable[[str], Text], texts: Texts, word_id: Callable[[str], int]
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
        found = describe(printed, read)
        t, a = len(found.threads), len(found.agents)
        table.message[row] = found.message
        table.threads[row, :t] = found.threads or np.zeros((0, len(THREAD)))
        table.agents[row, :a] = found.agents
        table.texts[row, 0] = texts.number(found.said.words, word_id)
        at = 1
        for group, width in (
            (found.questions, MOST_THREADS), (found.lasts, MOST_THREADS), (found.summaries, MOST_THREADS),
            (found.cores, MOST_AGENTS), (found.examples, MOST_AGENTS),
        ):  # fmt: skip
            table.texts[row, at : at + len(group)] = [texts.number(each.words, word_id) for each in group]
            at += width
        table.owners[row, :t] = [MOST_AGENTS if each is None else each for each in found.owners]
        table.there[row, :t] = True
        table.there[row, MOST_THREADS : MOST_THREADS + a] = True
        table.gold[row] = gold if gold < t else MOST_THREADS + gold - t
    return table


def join_tables(tables: Sequence[Table]) -> Table:
    """One table of them all, in order."""
    return Table(*(np.concatenate([getattr(each, name) for each in tables]) for name in Table.__dataclass_fields__))

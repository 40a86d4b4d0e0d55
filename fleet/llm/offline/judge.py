"""One judge: a small network that scores the threads and the agents on offer.

Trained by tests/benchmarks/routing/train.py, whose network computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.llm.offline.features import Choices
from fleet.llm.offline.kinds import ASKED, SAID
from fleet.llm.offline.vectors import Array, Vectors
from fleet.llm.offline.vocabulary import Vocabulary
from fleet.llm.offline.weights import Weights

__all__ = ["ASKED_WORDS", "SAID_WORDS", "Judge"]

SAID_WORDS, ASKED_WORDS = 14, 18  # the first of a message, the last of a question that take part in pairs
_REMEMBERED = 4096  # texts

Pool = Callable[[tuple[str, ...]], Array]


class Judge:
    """Scores a decision's choices, threads first, then agents, in printed order."""

    def __init__(self, weights: Weights, name: str, vocabulary: Vocabulary, vectors: Vectors) -> None:
        shape = weights.head["judges"][name]
        self._thread, self._agent = (_Layers(weights, f"{name}.{each}") for each in ("thread", "agent"))
        self._kinds = weights.floats(f"{name}.kinds")
        self._near: bool = shape["near"]
        self._vocabulary = vocabulary
        self._cross = weights.arrays[f"{name}.cross"].astype(np.int32) if shape["crosses"] else None
        self._cross_scale: float = shape["crosses"]
        self._pool: Pool = _own_pool(weights, f"{name}.words", vocabulary) if shape["own"] else vectors.pooled
        self._pairs = {each: weights.floats(f"{name}.pair.{each}") for each in shape["pairs"]}
        self._seen = lru_cache(maxsize=4 * _REMEMBERED)(self._project)
        self._unit = lru_cache(maxsize=_REMEMBERED)(self._of_length_one)

    def scores(self, found: Choices) -> Array:
        """One number for each choice; the larger, the likelier."""
        message = np.array(found.message, np.float32)
        threads, agents = _rows(found.threads), _rows(found.agents)
        asked = threads[:, : len(ASKED)] @ (message[: len(SAID)] @ self._kinds) if len(threads) else np.zeros(0)
        cores = [found.cores[owner].words if owner is not None else () for owner in found.owners]
        of_threads = [[each.words for each in found.questions], [each.words for each in found.lasts],
                      [each.words for each in found.summaries], cores]  # fmt: skip
        of_agents = [[each.words for each in found.cores], [each.words for each in found.examples]]
        said = found.said.words
        if self._pairs:
            message = np.concatenate([message, np.tanh(self._seen("m0", said))])
            threads = _beside(threads, [np.tanh(self._seen("q0", each)) for each in of_threads[0]])
            threads = self._with_products(threads, said, "qlst", of_threads)
            agents = self._with_products(agents, said, "cx", of_agents)
        if self._near:
            threads = _beside(threads, self._nearness(said, of_threads, len(threads)))
            agents = _beside(agents, self._nearness(said, of_agents, len(agents)))
        hidden = self._thread.hidden(message, threads), self._agent.hidden(message, agents)
        best = np.concatenate([each.max(0, initial=0.0) for each in hidden])
        scores = self._thread.scores(best, hidden[0]) + asked
        if (cross := self._cross) is not None:
            scores = scores + np.array([self._crossed(cross, said, each.words) for each in found.questions])
        whole: Array = np.concatenate([scores, self._agent.scores(best, hidden[1])])
        return whole

    def _with_products(self, rows: Array, said: tuple[str, ...], names: str, texts: Sequence[Any]) -> Array:
        for name, each in zip(names, texts, strict=True):
            ours = self._seen(f"m{name}", said)
            rows = _beside(rows, [ours * self._seen(name, text) for text in each])
        return rows

    def _nearness(self, said: tuple[str, ...], texts: Sequence[Any], count: int) -> list[Array]:
        ours = self._unit(said)
        return [np.array([ours @ self._unit(each[at]) for each in texts], np.float32) for at in range(count)]

    def _of_length_one(self, words: tuple[str, ...]) -> Array:
        pooled = self._pool(words)
        # As torch's cosine_similarity with eps=1e-3: each length is at least that.
        unit: Array = pooled / np.float32(max(math.sqrt(pooled @ pooled), 1e-3))
        return unit

    def _project(self, name: str, words: tuple[str, ...]) -> Array:
        seen: Array = self._pairs[name] @ self._pool(words)
        return seen

    def _crossed(self, cross: NDArray[np.int32], said: tuple[str, ...], question: tuple[str, ...]) -> float:
        """What the pairs of a word said and a word of the question add."""
        ours, theirs = self._vocabulary.crossed(said)[:SAID_WORDS], self._vocabulary.crossed(question)[-ASKED_WORDS:]
        if not ours or not theirs:
            return 0.0
        one, other = np.array(ours)[:, None], np.array(theirs)
        at = (one * 7919 + other * 104729 + one * other * 31) & (len(cross) - 1)
        return float(cross[at].sum()) * self._cross_scale / math.sqrt(at.size)


class _Layers:
    """The layers that the choices of one kind pass through."""

    def __init__(self, weights: Weights, name: str) -> None:
        self._into, self._offsets = weights.floats(f"{name}_in.weight"), weights.floats(f"{name}_in.bias")
        self._among, self._shifts = weights.floats(f"{name}_among.weight"), weights.floats(f"{name}_among.bias")
        self._out, self._last = weights.floats(f"{name}_out.weight")[0], float(weights.floats(f"{name}_out.bias")[0])

    def hidden(self, message: Array, rows: Array) -> Array:
        """One row for each choice."""
        if not len(rows):
            return np.zeros((0, len(self._offsets)), np.float32)
        return _relu(_mixed(self._into, self._offsets, message, rows))

    def scores(self, best: Array, hidden: Array) -> Array:
        """One number for each choice; `best` is the most of each hidden number among the threads, and the agents."""
        scores: Array = (hidden + _relu(_mixed(self._among, self._shifts, best, hidden))) @ self._out + self._last
        return scores


def _mixed(into: Array, offsets: Array, shared: Array, rows: Array) -> Array:
    """A layer over what all choices share and what each has."""
    split = len(shared)
    mixed: Array = rows @ into[:, split:].T + (into[:, :split] @ shared + offsets)
    return mixed


def _relu(numbers: Array) -> Array:
    whole: Array = np.maximum(numbers, np.float32(0.0))
    return whole


def _own_pool(weights: Weights, name: str, vocabulary: Vocabulary) -> Pool:
    """The judge's own vectors of the training words; all others share the last."""
    rows, known = weights.floats(name), vocabulary.known

    @lru_cache(maxsize=_REMEMBERED)
    def pool(words: tuple[str, ...]) -> Array:
        if not words:
            return np.zeros(rows.shape[1], np.float32)
        numbers = [known if (entry := vocabulary.entry(word)) is None else min(entry, known) for word in words]
        summed: Array = rows[numbers].sum(0) / np.float32(len(words) ** 0.5)
        return summed

    return pool


def _rows(numbers: Sequence[Sequence[float]]) -> Array:
    return np.array(numbers, np.float32) if numbers else np.zeros((0, 0), np.float32)


def _beside(rows: Array, more: Sequence[Array]) -> Array:
    return np.concatenate([rows, np.stack(more)], 1) if len(more) else rows

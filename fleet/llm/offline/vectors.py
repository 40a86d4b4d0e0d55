"""What words mean, as vectors: how near a text is to others, word by word and as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.llm.offline.vocabulary import Vocabulary
from fleet.llm.offline.words import Text

__all__ = ["Array", "Vectors"]

_REMEMBERED = 4096  # texts

Array = NDArray[np.float32]


class Vectors:
    """Unit vectors of the vocabulary's entries. A word that it does not hold is near itself alone."""

    def __init__(self, vocabulary: Vocabulary, rows: NDArray[Any], strength: NDArray[Any]) -> None:
        """`rows` has one row an entry, of any length; `strength` is how much each counts in a text, 0 to 255."""
        self._vocabulary = vocabulary
        units = rows.astype(np.float32)
        self._units: Array = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-6)
        self._strong: Array = self._units * (strength.astype(np.float32) / 255)[:, None]
        self._dim = rows.shape[1]
        self._content = lru_cache(maxsize=_REMEMBERED)(self._content_of)
        self.pooled = lru_cache(maxsize=_REMEMBERED)(self.pool)

    def compare(self, said: Text, others: Sequence[Text]) -> tuple[list[float], list[float]]:
        """How far each text covers what was said, and the other way round: 0 to 1.

        A word counts, by its weight, as much as the square of its cosine to the nearest word of the other text.
        """
        ours, filled = self._content(said.contents), [at for at, each in enumerate(others) if each.contents]
        covers, covered = [0.0] * len(others), [0.0] * len(others)
        if not len(ours) or not filled:
            return covers, covered
        stacked = np.concatenate([self._content(others[at].contents) for at in filled])
        near = np.maximum(ours @ stacked.T, 0.0) ** 2
        counts = [len(others[at].contents) for at in filled]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        weights = np.fromiter(said.stems.values(), np.float32, len(ours))
        forward = (weights @ np.maximum.reduceat(near, starts, axis=1)) / max(float(weights.sum()), 1e-6)
        theirs = np.fromiter((each for at in filled for each in others[at].stems.values()), np.float32, len(stacked))
        backward = np.add.reduceat(near.max(0) * theirs, starts) / np.maximum(np.add.reduceat(theirs, starts), 1e-6)
        for at, one, other in zip(filled, forward.tolist(), backward.tolist(), strict=True):
            covers[at], covered[at] = one, other
        return covers, covered

    def _content_of(self, words: tuple[str, ...]) -> Array:
        if not words:
            return np.zeros((0, self._dim), np.float32)
        return np.stack([self._unit(word) for word in words])

    def _unit(self, word: str) -> Array:
        entry = self._vocabulary.entry(word)
        return self._units[entry] if entry is not None else _own_vector(word, self._dim)

    def pool(self, words: tuple[str, ...]) -> Array:
        """One vector of a text: the sum of its known words', over the root of the count of all."""
        entries = [entry for entry in map(self._vocabulary.entry, words) if entry is not None]
        if not entries:
            return np.zeros(self._dim, np.float32)
        pooled: Array = self._strong[entries].sum(0) / np.float32(math.sqrt(len(words)))
        return pooled


@lru_cache(maxsize=_REMEMBERED)
def _own_vector(word: str, dim: int) -> Array:
    digest = np.frombuffer(blake2b(word.encode(), digest_size=(dim + 7) // 8).digest(), np.uint8)
    vector: Array = ((np.unpackbits(digest)[:dim] * 2.0 - 1.0) / math.sqrt(dim)).astype(np.float32)
    return vector

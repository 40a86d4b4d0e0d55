"""Score the threads and the agents on offer: what several small networks believe, weighed.

Trained by tests/benchmarks/routing/train.py. Deterministic; no I/O after the weights are read.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np

from fleet.llm.offline.features import MESSAGE, Choices, describe
from fleet.llm.offline.judge import Judge
from fleet.llm.offline.printed import Printed
from fleet.llm.offline.vectors import Array, Vectors
from fleet.llm.offline.vocabulary import Vocabulary
from fleet.llm.offline.weights import Weights, load_weights
from fleet.llm.offline.words import STOP, Text, read_text

__all__ = ["Scorer", "shipped_scorer"]

_REMEMBERED = 4096  # texts whose words are remembered
_HARDLY = 0.03  # the share of a judge that is not asked
_ROOM = (MESSAGE.index("talk"), MESSAGE.index("one_agent"))


class Scorer:
    """What the judges believe of all choices, threads first, then agents, in printed order."""

    def __init__(self, weights: Weights) -> None:
        head = weights.head
        words = self._vocabulary = Vocabulary(weights.entries(), weights.arrays["rarity"].tolist(), head["known"])
        vectors = Vectors(words, weights.arrays["vectors"], weights.arrays["strength"])
        self._judges = {name: Judge(weights, name, words, vectors) for name in head["judges"]}
        self._compare = vectors.compare
        self._shares: dict[str, dict[str, float]] = head["shares"]
        self._temperatures: dict[str, float] = head["temperatures"]
        self._slope, self._middle = head["familiar"]

        @lru_cache(maxsize=_REMEMBERED)
        def read(text: str) -> Text:
            return read_text(text, words.weight)

        self._read = read

    def describe(self, printed: Printed) -> Choices:
        """The decision as numbers and words."""
        return describe(printed, self._read, self._compare)

    def knows(self, word: str) -> bool:
        """Whether the word, or another of its stem, has a vector."""
        return self._vocabulary.entry(word) is not None

    def logits(self, found: Choices) -> list[float]:
        """One number for each choice, whose softmax is the probability.

        Where people talk to each other, or one agent is all there is, the judge of rooms speaks. Else the less the
        agents speak of what the training dialogues did, the more the judges that learned from many trades count.
        """
        if any(found.message[at] for at in _ROOM):
            counts = {"rooms": 1.0}
        else:
            familiar = self.familiar(found)
            counts = {"familiar": familiar, "strange": 1 - familiar}
        shares: dict[str, float] = {}
        for kind, count in counts.items():
            for name, share in self._shares[kind].items():
                shares[name] = shares.get(name, 0.0) + count * share
        scores = np.zeros(len(found.threads) + len(found.agents), np.float32)
        for name, share in shares.items():
            if share >= _HARDLY:
                scores = scores + share * _logs(self._judges[name].scores(found))
        temperature = sum(count * self._temperatures[kind] for kind, count in counts.items())
        return [float(each) for each in scores / temperature]

    def familiar(self, found: Choices) -> float:
        """How far the agents speak of what the training dialogues did: 0 to 1."""
        words = {word for core in found.cores for word in core.words if word not in STOP}
        known = sum(map(self._vocabulary.knows, words)) / max(len(words), 1)
        return 1 / (1 + math.exp(-self._slope * (known - self._middle)))


def _logs(scores: Array) -> Array:
    """The logarithms of the scores' softmax."""
    if not len(scores):
        return scores
    top = scores - scores.max()
    logs: Array = top - np.log(np.exp(top).sum())
    return logs


@cache
def shipped_scorer() -> Scorer:
    """The scorer with the weights of this package; made once a process."""
    return Scorer(load_weights())

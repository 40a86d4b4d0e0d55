"""Score the threads and the agents on offer: a small network over numbers and word vectors, in plain Python.

Trained by tests/benchmarks/routing/train.py, whose network computes the same. Deterministic; no I/O after the weights
are read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from operator import add, mul

from fleet.llm.offline.features import MESSAGE, Choices, describe
from fleet.llm.offline.kinds import ASKED, SAID
from fleet.llm.offline.printed import Printed
from fleet.llm.offline.weights import Weights, load_weights
from fleet.llm.offline.words import STOP, Text, read_text

__all__ = ["ENDINGS", "Scorer", "ending_of", "shipped_scorer"]

_KNOWN = 4096  # texts whose words and vectors are remembered
_SAID_WORDS, _ASKED_WORDS = 14, 18
ENDINGS = 512
_LAYERS = ("thread", "agent", "plain_thread", "plain_agent", "talk_thread", "talk_agent")
_ROOM = (MESSAGE.index("talk"), MESSAGE.index("one_agent"))

Vector = Sequence[float]
Near = tuple[list[list[float]], list[list[float]]]  # of threads, of agents


class Scorer:
    """Logits of all choices, threads first, then agents, in printed order."""

    def __init__(self, weights: Weights) -> None:
        self._words = weights.words
        self._count = len(self._words)
        self._dim: int = weights.head["dim"]
        self._in_crosses: int = weights.head["in_crosses"]
        self._rows = weights.arrays["vectors"].cast("b")
        self._row_scales = weights.vector("vector_scales")
        self._cross = weights.arrays["cross"].cast("b")
        self._cross_scale: float = weights.head["cross_scale"]
        self._kinds = {name: weights.matrix(name) for name in ("kinds", "plain_kinds")}
        self._slope, self._middle = (float(each) for each in weights.head["familiar"])
        self._share: float = weights.head["share"]
        self._pairs = {name: weights.matrix(f"pair.{name}") for name in weights.head["pairs"]}
        self._layers = {name: _Layer(weights, name) for name in _LAYERS}
        self.temperature: float = weights.head["temperature"]
        rarity, words = weights.rarity, self._words

        @lru_cache(maxsize=_KNOWN)
        def read(text: str) -> Text:
            return read_text(text, lambda word: rarity[words[word]] / 255 if word in words else 1.0)

        self._read = read
        self._row = lru_cache(maxsize=_KNOWN)(self._row_of)
        self._pooled = lru_cache(maxsize=_KNOWN)(self._pool)
        self._seen = lru_cache(maxsize=4 * _KNOWN)(self._project)

    def describe(self, printed: Printed) -> Choices:
        """The decision as numbers and words."""
        return describe(printed, self._read)

    def knows(self, word: str) -> bool:
        """Whether the word stood in the training dialogues."""
        return self._words.get(word, self._count) < self._in_crosses

    def logits(self, found: Choices) -> list[float]:
        """One number for each choice; the softmax of them, divided by the temperature, is the probability.

        Where people talk to each other, or one agent is all there is, only how things are said is judged. Else two
        judges speak: one knows the words of the training dialogues, one only compares.
        """
        if any(found.message[at] for at in _ROOM):
            threads, agents = self._layers["talk_thread"], self._layers["talk_agent"]
            of_threads, of_agents = threads.shared(found.message), agents.shared(found.message)
            return [threads.score(of_threads, each) for each in found.threads] + [
                agents.score(of_agents, each) for each in found.agents
            ]
        near = self._near(found)
        share = self._share
        return [
            share * knows + (1 - share) * compares
            for knows, compares in zip(
                _logs(self._knowing(found, near)), _logs(self._comparing(found, near)), strict=True
            )
        ]

    def _knowing(self, found: Choices, near: Near) -> list[float]:
        """The scores of the judge that knows the words."""
        said = found.said.words
        own = {name: self._seen(name, said) for name in ("mq", "ml", "ms", "mt", "mc", "mx")}
        message = [*found.message, *map(math.tanh, self._seen("m0", said))]
        kinds = self._asked_for("kinds", found)
        threads, agents = self._layers["thread"], self._layers["agent"]
        of_threads, of_agents = threads.shared(message), agents.shared(message)
        scores: list[float] = []
        parts = zip(found.threads, found.questions, found.lasts, found.summaries, found.owners, near[0], strict=True)
        for numbers, question, last, about, owner, cosines in parts:
            core = found.cores[owner].words if owner is not None else ()
            inputs = [
                *numbers,
                *map(math.tanh, self._seen("q0", question.words)),
                *map(mul, own["mq"], self._seen("q", question.words)),
                *map(mul, own["ml"], self._seen("l", last.words)),
                *map(mul, own["ms"], self._seen("s", about.words)),
                *map(mul, own["mt"], self._seen("t", core)),
                *cosines,
            ]
            score = threads.score(of_threads, inputs) + _dot(kinds, numbers)  # numbers begin with what was asked
            scores.append(score + self._crossed(said, question.words))
        for numbers, core_text, example, cosines in zip(
            found.agents, found.cores, found.examples, near[1], strict=True
        ):
            inputs = [
                *numbers,
                *map(mul, own["mc"], self._seen("c", core_text.words)),
                *map(mul, own["mx"], self._seen("x", example.words)),
                *cosines,
            ]
            scores.append(agents.score(of_agents, inputs))
        return scores

    def _comparing(self, found: Choices, near: Near) -> list[float]:
        """The scores of the judge that only compares."""
        kinds = self._asked_for("plain_kinds", found)
        threads, agents = self._layers["plain_thread"], self._layers["plain_agent"]
        of_threads, of_agents = threads.shared(found.message), agents.shared(found.message)
        scores = [
            threads.score(of_threads, [*numbers, *cosines, *leads]) + _dot(kinds, numbers)
            for numbers, cosines, leads in zip(found.threads, near[0], _leads(near[0]), strict=True)
        ]
        return scores + [
            agents.score(of_agents, [*numbers, *cosines, *leads])
            for numbers, cosines, leads in zip(found.agents, near[1], _leads(near[1]), strict=True)
        ]

    def _near(self, found: Choices) -> Near:
        """How near the message's vector is to those of each thread's and each agent's texts."""
        pooled = self._pooled(found.said.words)

        def to(*texts: tuple[str, ...]) -> list[float]:
            return [_cosine(pooled, self._pooled(each)) for each in texts]

        threads = zip(found.questions, found.lasts, found.summaries, found.owners, strict=True)
        return (
            [
                to(question.words, last.words, about.words, found.cores[owner].words if owner is not None else ())
                for question, last, about, owner in threads
            ],
            [to(core.words, example.words) for core, example in zip(found.cores, found.examples, strict=True)],
        )

    def familiar(self, found: Choices) -> float:
        """How far the agents speak of what the training dialogues did: 0 to 1; 1 in a room."""
        if any(found.message[at] for at in _ROOM):
            return 1.0
        words = {word for core in found.cores for word in core.words if word not in STOP}
        known = sum(map(self.knows, words)) / max(len(words), 1)
        return 1 / (1 + math.exp(-self._slope * (known - self._middle)))

    def _asked_for(self, name: str, found: Choices) -> list[float]:
        """What each kind of question adds for a message of these kinds."""
        said = [row for row, so in zip(self._kinds[name], found.message[: len(SAID)], strict=True) if so]
        return [sum(column) for column in zip(*said, strict=True)] if said else [0.0] * len(ASKED)

    def _crossed(self, said: tuple[str, ...], question: tuple[str, ...]) -> float:
        """What the pairs of a word said and a word of the question add."""
        ours, theirs = self._numbers(said)[:_SAID_WORDS], self._numbers(question)[-_ASKED_WORDS:]
        if not ours or not theirs:
            return 0.0
        mask = len(self._cross) - 1
        total = sum(self._cross[(a * 7919 + b * 104729 + a * b * 31) & mask] for a in ours for b in theirs)
        return total * self._cross_scale / math.sqrt(len(ours) * len(theirs))

    def _numbers(self, words: tuple[str, ...]) -> list[int]:
        """The known words that take part in crosses, from 1."""
        known, most = self._words, self._in_crosses
        return [number + 1 for number in map(known.get, words) if number is not None and number < most]

    def _project(self, name: str, words: tuple[str, ...]) -> list[float]:
        vector = self._pooled(words)
        return [_dot(row, vector) for row in self._pairs[name]]

    def _pool(self, words: tuple[str, ...]) -> list[float]:
        """The vector of a text: the sum of its words' over the root of their count."""
        if not words:
            return [0.0] * self._dim
        scale = 1 / math.sqrt(len(words))
        return [sum(column) * scale for column in zip(*map(self._row, words), strict=True)]

    def _row_of(self, word: str) -> list[float]:
        number = self._words.get(word)
        if number is None:
            number = self._count + ending_of(word)
        scale = self._row_scales[number]
        return [each * scale for each in self._rows[number * self._dim : (number + 1) * self._dim]]


class _Layer:
    """A hidden layer and its output, with the message's part of the input worked out once a decision."""

    def __init__(self, weights: Weights, name: str) -> None:
        rows, width = weights.matrix(f"{name}_in.weight"), weights.head["shared"][name]
        self._shared = [row[:width] for row in rows]
        self._own = [row[width:] for row in rows]
        self._offsets = weights.vector(f"{name}_in.bias")
        self._out = weights.vector(f"{name}_out.weight")
        self._last = weights.vector(f"{name}_out.bias")[0]

    def shared(self, message: Vector) -> list[float]:
        return [offset + _dot(row, message) for row, offset in zip(self._shared, self._offsets, strict=True)]

    def score(self, shared: Vector, inputs: Vector) -> float:
        hidden = map(add, shared, [_dot(row, inputs) for row in self._own])
        return self._last + sum((out * each for out, each in zip(self._out, hidden, strict=True) if each > 0), 0.0)


def ending_of(word: str) -> int:
    """Words that are not known share a vector by their last three letters."""
    number = 0
    for letter in word[-3:]:
        number = (number * 131 + ord(letter)) & 0xFFFF
    return number % ENDINGS


def _logs(scores: list[float]) -> list[float]:
    """The logarithms of the scores' softmax."""
    top = max(scores, default=0.0)
    total = math.log(sum(math.exp(each - top) for each in scores)) if scores else 0.0
    return [each - top - total for each in scores]


def _leads(rows: list[list[float]]) -> list[list[float]]:
    """Each number less the best of the other rows' in its column, or less 0."""
    columns = list(zip(*rows, strict=True))
    best = [sorted(column, reverse=True)[:2] for column in columns]
    return [
        [each - max([0.0, *(top[1:] if each == top[0] else top[:1])]) for each, top in zip(row, best, strict=True)]
        for row in rows
    ]


def _dot(one: Vector, other: Vector) -> float:
    return sum(map(mul, one, other), 0.0)


def _cosine(one: Vector, other: Vector) -> float:
    # As torch's cosine_similarity with eps=1e-3: each length is at least that.
    length = max(math.sqrt(_dot(one, one)), 1e-3) * max(math.sqrt(_dot(other, other)), 1e-3)
    return _dot(one, other) / length


@cache
def shipped_scorer() -> Scorer:
    """The scorer with the weights of this package; made once a process."""
    return Scorer(load_weights())

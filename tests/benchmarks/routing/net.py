"""The judges as networks to train; `fleet.llm.offline.scorer` computes the same from the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from prepare import MOST_AGENTS, MOST_THREADS, Table
from torch import Tensor, nn
from torch.nn import functional

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD
from fleet.llm.offline.judge import ASKED_WORDS, SAID_WORDS
from fleet.llm.offline.kinds import ASKED, SAID

CROSS_BITS = 17
GROUPS = (
    ("questions", MOST_THREADS),
    ("lasts", MOST_THREADS),
    ("summaries", MOST_THREADS),
    ("cores", MOST_AGENTS),
    ("examples", MOST_AGENTS),
)
PAIRS = ("mq", "ml", "ms", "mt", "mc", "mx", "q", "l", "s", "t", "c", "x", "m0", "q0")


@dataclass(frozen=True)
class Shape:
    """What a judge is made of; `own` is the width of vectors of its own, of the training words, 0 for the shared."""

    hidden: int
    pair: int = 0  # width of the products of a message's and another text's vectors
    own: int = 0
    near: bool = True  # hears how near the texts' vectors are
    crosses: bool = False  # knows pairs of a word said and a word of the question


class Judge(nn.Module):
    """Scores the threads and the agents on offer; the softmax of its scores is what it believes."""

    def __init__(self, shape: Shape, known: int, dim: int) -> None:
        super().__init__()
        self.shape, message, thread, agent = shape, len(MESSAGE), len(THREAD), len(AGENT)
        if shape.own:
            self.words = nn.Parameter(torch.zeros(known + 1, shape.own))  # the last is every other word's
            dim = shape.own
        if shape.pair:
            self.pair = nn.ModuleDict({name: nn.Linear(dim, shape.pair, bias=False) for name in PAIRS})
            for each in self.pair.values():
                nn.init.normal_(each.weight, std=1.2 / dim**0.5)
        if shape.crosses:
            self.cross = nn.Parameter(torch.zeros(1 << CROSS_BITS))
        self.kinds = nn.Parameter(torch.zeros(len(SAID), len(ASKED)))
        near = 1 if shape.near else 0
        for name, width in (
            ("thread", message + thread + 6 * shape.pair + 4 * near),
            ("agent", message + agent + 3 * shape.pair + 2 * near),
        ):
            self.add_module(f"{name}_in", nn.Linear(width, shape.hidden))
            self.add_module(f"{name}_among", nn.Linear(3 * shape.hidden, shape.hidden))
            self.add_module(f"{name}_out", nn.Linear(shape.hidden, 1))

    def forward(self, batch: Any, drop: dict[str, float]) -> Tensor:
        """Scores, threads first, then agents.

        `drop` says how often, in training, a case does without `words`, agents' words (`agent`), pairs (`cross`),
        nearness (`near`), a `number` and a `hidden` one.
        """
        message, threads, agents, texts, owners, crosses, there = batch
        said = texts["said"]

        def kept(name: str) -> Tensor:
            return (torch.rand(len(message), 1) >= (drop.get(name, 0.0) if self.training else 0.0)).float()

        head, of_threads, of_agents = message, [threads], [agents]
        if said is not None:
            question, last, about, core, example = (texts[name] for name, _ in GROUPS)
            padded = torch.cat([core, torch.zeros(len(core), 1, core.shape[2])], 1)
            owner = torch.gather(padded, 1, owners.unsqueeze(-1).expand(-1, -1, core.shape[2]))
            words, agents_words, near = kept("words"), kept("agent"), kept("near").unsqueeze(-1)
            thread_parts = ((question, words, "q"), (last, words, "l"), (about, words, "s"), (owner, agents_words, "t"))
            agent_parts = ((core, agents_words, "c"), (example, agents_words, "x"))
            if self.shape.pair:
                head = torch.cat([message, torch.tanh(self.pair["m0"](said)) * words], -1)
                of_threads.append(torch.tanh(self.pair["q0"](question)) * words.unsqueeze(1))
                for parts, found in ((thread_parts, of_threads), (agent_parts, of_agents)):
                    found.extend(
                        (self.pair[f"m{n}"](said) * keep).unsqueeze(1) * self.pair[n](x) for x, keep, n in parts
                    )
            if self.shape.near:
                for parts, found in ((thread_parts, of_threads), (agent_parts, of_agents)):
                    found.extend(_cosine(said, x) * near for x, _, _ in parts)
        hidden = {
            "thread": self._hidden("thread", _beside(head, *of_threads), drop),
            "agent": self._hidden("agent", _beside(head, *of_agents), drop),
        }
        # The most of each hidden number among the threads, and among the agents: what a choice has to compete with.
        best = torch.cat(
            [
                (hidden["thread"] * there[:, :MOST_THREADS, None]).amax(1),
                (hidden["agent"] * there[:, MOST_THREADS:, None]).amax(1),
            ],
            -1,
        )
        of_thread, of_agent = (self._score(name, best, each, drop) for name, each in hidden.items())
        of_thread = of_thread + torch.einsum(
            "ni,ij,ntj->nt", message[:, : len(SAID)], self.kinds, threads[:, :, : len(ASKED)]
        )
        if self.shape.crosses:
            ids, mask = crosses
            crossed = (self.cross[ids] * mask).sum((-1, -2)) / torch.clamp(mask.sum((-1, -2)), min=1.0).sqrt()
            of_thread = of_thread + crossed * kept("cross")
        scores = torch.cat([of_thread, of_agent], -1)
        return scores.masked_fill(~there, -1e9)

    def begin_with(self, rows: np.ndarray, strength: np.ndarray) -> None:
        """Own vectors begin as the shared ones, cut short."""
        units = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        first = 1.5 * units[:, : self.shape.own] * (strength / 255)[:, None]
        self.words.data[: len(first)] = torch.from_numpy(first).float()

    def penalty(self) -> Tensor:
        """What keeps tables small that few cases speak of."""
        loss = 3e-5 * (self.kinds**2).sum()
        return loss + 1e-5 * (self.cross**2).sum() if self.shape.crosses else loss

    def _hidden(self, name: str, inputs: Tensor, drop: dict[str, float]) -> Tensor:
        inputs = functional.dropout(inputs, drop.get("number", 0.0), self.training)
        return torch.relu(self.get_submodule(f"{name}_in")(inputs))

    def _score(self, name: str, best: Tensor, hidden: Tensor, drop: dict[str, float]) -> Tensor:
        beside = functional.dropout(_beside(best, hidden), drop.get("hidden", 0.0), self.training)
        hidden = hidden + torch.relu(self.get_submodule(f"{name}_among")(beside))
        hidden = functional.dropout(hidden, drop.get("hidden", 0.0), self.training)
        return self.get_submodule(f"{name}_out")(hidden).squeeze(-1)


def _beside(message: Tensor, *others: Tensor) -> Tensor:
    """The message's numbers before those of each thread or agent."""
    return torch.cat([message.unsqueeze(1).expand(-1, others[0].shape[1], -1), *others], -1)


def _cosine(said: Tensor, other: Tensor) -> Tensor:
    return functional.cosine_similarity(said.unsqueeze(1), other, dim=-1, eps=1e-3).unsqueeze(-1)


class Feeder:
    """Batches of tables as tensors: texts as the shared vectors, or as a judge's own."""

    def __init__(self, flat: np.ndarray, ends: np.ndarray, pooled: np.ndarray, known: int) -> None:
        """`flat`, `ends`: the numbers of all texts' words, end to end; `pooled`: the shared vector of each text."""
        self.lengths = np.diff(ends)
        self.flat, self.ends = np.minimum(flat, known), ends
        self.pooled = torch.from_numpy(np.concatenate([pooled, np.zeros((1, pooled.shape[1]), np.float32)]))
        self.first = _padded(flat, ends, known, SAID_WORDS, last=False)
        self.final = _padded(flat, ends, known, ASKED_WORDS, last=True)

    def batch(self, judge: Judge, table: Table, at: np.ndarray) -> tuple[Any, Tensor]:
        """The inputs of the cases at these places, and their right answers."""
        numbers, shape = table.texts[at], judge.shape
        texts: dict[str, Tensor | None] = {"said": None}
        if shape.own or shape.pair or shape.near:
            vectors = self._own(judge, numbers) if shape.own else self.pooled[torch.from_numpy(numbers).long()]
            texts["said"], edge = vectors[:, 0], 1
            for name, width in GROUPS:
                texts[name] = vectors[:, edge : edge + width]
                edge += width
        message, threads, agents, owners, there, gold = (
            torch.from_numpy(each[at])
            for each in (table.message, table.threads, table.agents, table.owners, table.there, table.gold)
        )
        crosses = self._crosses(numbers) if shape.crosses else None
        return (message, threads, agents, texts, owners, crosses, there), gold

    def _own(self, judge: Judge, numbers: np.ndarray) -> Tensor:
        used, inverse = np.unique(numbers, return_inverse=True)
        none = 1 if used[0] == -1 else 0
        lengths, starts = self.lengths[used[none:]], self.ends[used[none:]]
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        flat = self.flat[np.repeat(starts - offsets, lengths) + np.arange(lengths.sum())]
        sums = functional.embedding_bag(
            torch.from_numpy(flat).long(), judge.words, torch.from_numpy(offsets), mode="sum"
        )
        sums = sums / torch.from_numpy(np.sqrt(np.maximum(lengths, 1))).float().unsqueeze(-1)
        if none:
            sums = torch.cat([torch.zeros(1, sums.shape[1]), sums])
        return sums[torch.from_numpy(inverse.reshape(numbers.shape))]

    def _crosses(self, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
        """For each thread the numbers of all pairs of a word said and a word of its question, and which are there."""
        questions = numbers[:, 1 : 1 + MOST_THREADS]
        ours = self.first[numbers[:, 0]].astype(np.int64)[:, None, :, None]
        theirs = (self.final[questions] * (questions >= 0)[..., None]).astype(np.int64)[:, :, None, :]
        ids = (ours * 7919 + theirs * 104729 + ours * theirs * 31) & ((1 << CROSS_BITS) - 1)
        return torch.from_numpy(ids), torch.from_numpy(((ours > 0) & (theirs > 0)).astype(np.float32))


def _padded(flat: np.ndarray, ends: np.ndarray, known: int, width: int, *, last: bool) -> np.ndarray:
    """Every text's first or last known words, numbered from 1; 0 is none."""
    out = np.zeros((len(ends) - 1, width), np.int32)
    for number in range(len(ends) - 1):
        ids = flat[ends[number] : ends[number + 1]]
        ids = ids[ids < known]
        ids = ids[-width:] if last else ids[:width]
        out[number, : len(ids)] = ids + 1
    return out

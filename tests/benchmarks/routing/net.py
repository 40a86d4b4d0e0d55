"""The scorer as a network to train; `fleet.llm.offline.scorer` computes the same from the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from prepare import MOST_AGENTS, MOST_THREADS, Table
from torch import Tensor, nn
from torch.nn import functional

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD
from fleet.llm.offline.kinds import ASKED, SAID

CROSS_BITS = 17
SAID_WORDS, ASKED_WORDS = 14, 18
GROUPS = (
    ("questions", MOST_THREADS),
    ("lasts", MOST_THREADS),
    ("summaries", MOST_THREADS),
    ("cores", MOST_AGENTS),
    ("examples", MOST_AGENTS),
)
PAIRS = ("mq", "ml", "ms", "mt", "mc", "mx", "q", "l", "s", "t", "c", "x", "m0", "q0")
HIDDEN, PAIR, PLAIN, TALK = 32, 16, 24, 16


class Net(nn.Module):
    """Three judges, each a softmax over the threads and the agents on offer.

    One knows words: their vectors, and pairs of a word said and a word of the question. One only compares. One, for
    rooms in which people talk to each other, goes by how things are said alone.
    """

    def __init__(self, vectors: np.ndarray, known: int) -> None:
        super().__init__()
        dim, message, thread, agent = vectors.shape[1], len(MESSAGE), len(THREAD), len(AGENT)
        self.words = nn.Parameter(torch.from_numpy(vectors.copy()))
        self.known = known  # words numbered below take part in pairs
        self.pair = nn.ModuleDict({name: nn.Linear(dim, PAIR, bias=False) for name in PAIRS})
        for each in self.pair.values():
            nn.init.normal_(each.weight, std=1.2 / dim**0.5)
        self.cross = nn.Parameter(torch.zeros(1 << CROSS_BITS))
        self.kinds = nn.Parameter(torch.zeros(len(SAID), len(ASKED)))
        self.plain_kinds = nn.Parameter(torch.zeros(len(SAID), len(ASKED)))
        for name, width, hidden in (
            ("thread", message + thread + 6 * PAIR + 4, HIDDEN),
            ("agent", message + agent + 3 * PAIR + 2, HIDDEN),
            ("plain_thread", message + thread + 8, PLAIN),
            ("plain_agent", message + agent + 4, PLAIN),
            ("talk_thread", message + thread, TALK),
            ("talk_agent", message + agent, TALK),
        ):
            self.add_module(f"{name}_in", nn.Linear(width, hidden))
            self.add_module(f"{name}_out", nn.Linear(hidden, 1))

    def forward(self, batch: Any, **drop: float) -> tuple[Tensor, Tensor]:
        """The scores of the judge that knows and of the one that compares; in rooms both are the third one's.

        `drop` says how often, in training, a case does without words, agents' words, pairs, nearness, and a number.
        """
        message, threads, agents, texts, owners, (ids, mask), there = batch
        said = texts["said"]

        def kept(name: str) -> Tensor:
            return (torch.rand(len(message), 1) >= (drop.get(name, 0.0) if self.training else 0.0)).float()

        words, agents_words = kept("words"), kept("agent")
        question, last, about, core, example = (texts[name] for name, _ in GROUPS)
        padded = torch.cat([core, torch.zeros(len(core), 1, core.shape[2])], 1)
        owner = torch.gather(padded, 1, owners.unsqueeze(-1).expand(-1, -1, core.shape[2]))
        of_thread = ((question, words, "q"), (last, words, "l"), (about, words, "s"), (owner, agents_words, "t"))
        of_agent = ((core, agents_words, "c"), (example, agents_words, "x"))

        def both(others: Any) -> list[Tensor]:
            return [(self.pair[f"m{n}"](said) * keep).unsqueeze(1) * self.pair[n](x) for x, keep, n in others]

        def near(others: Any, keep: Tensor | None = None) -> list[Tensor]:
            return [_cosine(said, x) * (own if keep is None else keep).unsqueeze(-1) for x, own, _ in others]

        head = torch.cat([message, torch.tanh(self.pair["m0"](said)) * words], -1)
        asked = torch.tanh(self.pair["q0"](question)) * words.unsqueeze(1)
        knows = torch.cat(
            [
                self._layer("thread", _beside(head, threads, asked, *both(of_thread), *near(of_thread)), drop)
                + self._asked(self.kinds, message, threads)
                + self._crossed(ids, mask) * kept("cross"),
                self._layer("agent", _beside(head, agents, *both(of_agent), *near(of_agent)), drop),
            ],
            -1,
        )
        nearness = kept("near")
        of_threads = torch.cat(near(of_thread, nearness), -1) * there[:, :MOST_THREADS].unsqueeze(-1)
        of_agents = torch.cat(near(of_agent, nearness), -1) * there[:, MOST_THREADS:].unsqueeze(-1)
        compares = torch.cat(
            [
                self._layer("plain_thread", _beside(message, threads, of_threads, _lead(of_threads)), drop)
                + self._asked(self.plain_kinds, message, threads),
                self._layer("plain_agent", _beside(message, agents, of_agents, _lead(of_agents)), drop),
            ],
            -1,
        )
        more = {"number": 0.0, "hidden": 0.4}
        talks = torch.cat(
            [
                self._layer("talk_thread", _beside(message, threads), more),
                self._layer("talk_agent", _beside(message, agents), more),
            ],
            -1,
        )
        room = (message[:, MESSAGE.index("talk")] + message[:, MESSAGE.index("one_agent")] > 0).unsqueeze(1)
        return tuple(torch.where(room, talks, each).masked_fill(~there, -1e9) for each in (knows, compares))

    def _layer(self, name: str, inputs: Tensor, drop: dict[str, float]) -> Tensor:
        number = drop.get("number", 0.0)
        inputs = functional.dropout(inputs, number, self.training)
        hidden = torch.relu(self.get_submodule(f"{name}_in")(inputs))
        hidden = functional.dropout(hidden, drop.get("hidden", number), self.training)
        return self.get_submodule(f"{name}_out")(hidden).squeeze(-1)

    def _asked(self, kinds: Tensor, message: Tensor, threads: Tensor) -> Tensor:
        return torch.einsum("ni,ij,ntj->nt", message[:, : len(SAID)], kinds, threads[:, :, : len(ASKED)])

    def _crossed(self, ids: Tensor, mask: Tensor) -> Tensor:
        return (self.cross[ids] * mask).sum((-1, -2)) / torch.clamp(mask.sum((-1, -2)), min=1.0).sqrt()


def _beside(message: Tensor, *others: Tensor) -> Tensor:
    """The message's numbers before those of each thread or agent."""
    return torch.cat([message.unsqueeze(1).expand(-1, others[0].shape[1], -1), *others], -1)


def _cosine(said: Tensor, other: Tensor) -> Tensor:
    return functional.cosine_similarity(said.unsqueeze(1), other, dim=-1, eps=1e-3).unsqueeze(-1)


def _lead(scores: Tensor) -> Tensor:
    """Each number less the best of the others', or less 0."""
    top, at = scores.topk(2, dim=1)
    own = torch.arange(scores.shape[1]).view(1, -1, 1) == at[:, :1]
    return scores - torch.where(own, top[:, 1:], top[:, :1]).clamp(min=0.0)


class Feeder:
    """Batches of a table as tensors."""

    def __init__(self, table: Table, flat: np.ndarray, ends: np.ndarray, known: int) -> None:
        self.table, self.flat, self.ends = table, flat, ends
        self.lengths = np.diff(ends)
        self.first = _padded(flat, ends, known, SAID_WORDS, last=False)
        self.final = _padded(flat, ends, known, ASKED_WORDS, last=True)

    def batch(self, net: Net, at: np.ndarray) -> tuple[Any, Tensor]:
        """The inputs of the cases at these places, and their right answers."""
        t = self.table
        numbers = t.texts[at]
        used, inverse = np.unique(numbers, return_inverse=True)
        none = 1 if used[0] == -1 else 0
        lengths, starts = self.lengths[used[none:]], self.ends[used[none:]]
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        flat = self.flat[np.repeat(starts - offsets, lengths) + np.arange(lengths.sum())]
        sums = functional.embedding_bag(torch.from_numpy(flat).long(), net.words, torch.from_numpy(offsets), mode="sum")
        sums = sums / torch.from_numpy(np.sqrt(np.maximum(lengths, 1))).float().unsqueeze(-1)
        if none:
            sums = torch.cat([torch.zeros(1, sums.shape[1]), sums])
        pooled = sums[torch.from_numpy(inverse.reshape(numbers.shape))]
        texts, edge = {"said": pooled[:, 0]}, 1
        for name, width in GROUPS:
            texts[name] = pooled[:, edge : edge + width]
            edge += width
        message, threads, agents, owners, there, gold = (
            torch.from_numpy(each[at]) for each in (t.message, t.threads, t.agents, t.owners, t.there, t.gold)
        )
        return (message, threads, agents, texts, owners, self._crosses(numbers), there), gold

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

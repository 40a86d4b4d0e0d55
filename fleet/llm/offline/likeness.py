"""How near a message is in meaning to what each thread and each agent is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleet.llm.offline.words import Text

__all__ = ["AGENT_LIKENESS", "THREAD_LIKENESS", "Compare", "Likeness", "lead"]

#: How far each of some texts covers what was said, and how far they are covered by it.
Compare = Callable[[Text, Sequence[Text]], tuple[list[float], list[float]]]

#: Names of the numbers, in order.
THREAD_LIKENESS = (
    "like_question", "like_last", "like_summary", "like_request", "like_own", "like_any", "lead_like", "like_agent",
    "lead_like_agent", "like_back",
)  # fmt: skip
AGENT_LIKENESS = (
    "like_core", "like_examples", "like_capability", "like_one", "like_best", "lead_like_best", "lead_capability_like",
    "over_thread_like", "own_thread_like",
)  # fmt: skip


@dataclass(frozen=True)
class _Parts:
    forward: list[float]
    back: list[float]


class Likeness:
    """Compares once, with everything; the texts of each kind are one a thread or agent, in printed order."""

    def __init__(
        self,
        said: Text,
        threads: Sequence[Sequence[Text]],
        agents: Sequence[Sequence[Text]],
        capabilities: Sequence[Sequence[Text]],
        examples: Sequence[Sequence[Text]],
        owners: Sequence[int | None],
        compare: Compare,
    ) -> None:
        """`threads`: question, last, summary, request, own words, by thread; `agents`: core and examples, by agent."""
        rows = [*threads, *agents, *capabilities, *examples]
        forward, back = compare(said, [text for row in rows for text in row])
        parts, at = [], 0
        for row in rows:
            parts.append(_Parts(forward[at : at + len(row)], back[at : at + len(row)]))
            at += len(row)
        t, a = len(threads), len(agents)
        self._threads, self._agents = parts[:t], parts[t : t + a]
        self._owners = owners
        self._any = [max(each.forward[1:3]) for each in self._threads]
        self._capability = [max(each.back, default=0.0) for each in parts[t + a : t + 2 * a]]
        self._one = [
            max(((one + other) / 2 for one, other in zip(each.forward, each.back, strict=True)), default=0.0)
            for each in parts[t + 2 * a :]
        ]
        self._best = [max(each.forward) for each in self._agents]
        self.best_thread, self.best_agent = max(self._any, default=0.0), max(self._best, default=0.0)

    def of_thread(self, at: int) -> list[float]:
        """The numbers of THREAD_LIKENESS."""
        own, owner = self._threads[at], self._owners[at]
        return [
            *own.forward, self._any[at], lead(self._any, at), self._best[owner] if owner is not None else 0.0,
            lead(self._best, owner) if owner is not None else 0.0, max(own.back[0], own.back[1]),
        ]  # fmt: skip

    def of_agent(self, at: int) -> list[float]:
        """The numbers of AGENT_LIKENESS."""
        return [
            *self._agents[at].forward, self._capability[at], self._one[at], self._best[at], lead(self._best, at),
            lead(self._capability, at), self._best[at] - self.best_thread,
            max((like for like, owner in zip(self._any, self._owners, strict=True) if owner == at), default=0.0),
        ]  # fmt: skip


def lead(scores: Sequence[float], at: int) -> float:
    """How far one score is ahead of the best other."""
    return scores[at] - max((score for other, score in enumerate(scores) if other != at), default=0.0)

"""Fairness: which job's turn is next, so that nobody's flood holds the others up.

Jobs go by rank, as messages do: when they fell due, less what their priority is worth. Each turn that runs for a user
already counts for that user's next one like a step of priority the other way. So who has many turns running waits for
those who have few, for a bounded time, and a user alone has every slot.
"""

from __future__ import annotations

import heapq
from itertools import count

from fleet.runtime.lanes import Ranking

__all__ = ["Shares"]


class Shares:
    """Jobs that wait, of owners who share the slots. Each call costs the same, however many wait.

    A job is in it once, at its lowest rank. `step` is what a running turn of its owner adds to a rank.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._waiting: dict[str, Ranking] = {}
        self._running: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []  # owners, by the effective rank of their first job
        self._standing: dict[str, int] = {}  # owner → the effective rank that counts; other entries are old
        self._owner: dict[str, str] = {}
        self._count = count()

    def put(self, job_id: str, rank: int, owner: str) -> None:
        """Add a job, or move it forward."""
        self._owner[job_id] = owner
        self._waiting.setdefault(owner, Ranking()).put(job_id, rank)
        self._stand(owner)

    def pop(self) -> tuple[str, int] | None:
        """Take out the job whose turn is next, with its rank; its owner has one more running. None if none waits."""
        while self._heap:
            effective, _, owner = heapq.heappop(self._heap)
            if self._standing.get(owner) != effective:
                continue
            del self._standing[owner]
            taken = self._waiting[owner].take()
            if taken is None:
                continue
            job_id, rank = taken
            del self._owner[job_id]
            self._running[owner] = self._running.get(owner, 0) + 1
            self._stand(owner)
            return job_id, rank
        return None

    def ended(self, owner: str) -> None:
        """A turn that was taken out has ended, or could not begin."""
        left = self._running[owner] - 1
        if left:
            self._running[owner] = left
        else:
            del self._running[owner]
        self._stand(owner)

    def _stand(self, owner: str) -> None:
        """Let the owner stand where their first job and what runs for them put them."""
        waiting = self._waiting.get(owner)
        first = waiting.first if waiting is not None else None
        if first is None:
            self._waiting.pop(owner, None)
            self._standing.pop(owner, None)
            return
        effective = first + self._step * self._running.get(owner, 0)
        if self._standing.get(owner) != effective:
            self._standing[owner] = effective
            heapq.heappush(self._heap, (effective, next(self._count), owner))

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._owner

    def __len__(self) -> int:
        return len(self._owner)

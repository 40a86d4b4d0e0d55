"""Lanes: which accepted message is routed next.

A user's messages stand in one lane, in the order accepted, and only the first of a lane is ever taken. A message with a
time before which it must not be routed joins its lane when that time comes, behind what was accepted until then.
A lane that begins with a burst which may still grow stands open, and is not taken from until that is over.

Between lanes the one goes first whose messages have the lowest rank: when a message fell due, less the step that each
unit of its priority is worth. So priority never passes anybody within a lane (a lane is as urgent as the most urgent
message in it), equal priorities go in the order accepted, and whatever waits is passed for a bounded time only.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

from fleet.clock import now_us
from fleet.ledger.events import MessageAccepted
from fleet.runtime.bursts import Bursts

__all__ = ["Lanes", "Ranking", "Waiting", "rank_of"]


@dataclass(slots=True, eq=False)
class Waiting:
    """A message that waits to be routed.

    `version` is its stream's, `due` when it may be routed (µs since 1970), `tries` how often that failed; `settled`
    says that it need not be routed any more.
    """

    message: MessageAccepted
    version: int
    at: int
    due: int
    rank: int
    tries: int = 0
    settled: bool = False


def rank_of(at: int, priority: int, step_us: int) -> int:
    """The rank of something that fell due at `at`, in microseconds: lower goes first."""
    return at - priority * step_us


class Ranking:
    """Keys by rank, lowest first; equal ranks in the order they came. A key is in it once, at its lowest rank."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._ranks: dict[str, int] = {}
        self._count = count()

    def put(self, key: str, rank: int) -> None:
        """Add a key, or move it forward."""
        known = self._ranks.get(key)
        if known is None or rank < known:
            self._ranks[key] = rank
            heapq.heappush(self._heap, (rank, next(self._count), key))

    def pop(self) -> str | None:
        """Take out the first key; None if there is none."""
        taken = self.take()
        return taken[0] if taken else None

    def take(self) -> tuple[str, int] | None:
        """The same with its rank."""
        if self.first is None:
            return None
        rank, _, key = heapq.heappop(self._heap)
        del self._ranks[key]
        return key, rank

    @property
    def first(self) -> int | None:
        """The rank of the first key; None if there is none."""
        while self._heap:
            rank, _, key = self._heap[0]
            if self._ranks.get(key) == rank:
                return rank
            heapq.heappop(self._heap)  # it was moved forward, and taken from there
        return None

    def __contains__(self, key: str) -> bool:
        return key in self._ranks

    def __len__(self) -> int:
        return len(self._ranks)


class _Lane:
    """One user's messages. `urgent` has those that no later one outranks, so its first is the lane's rank."""

    __slots__ = ("taken", "urgent", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.urgent: deque[Waiting] = deque()
        self.taken = False

    def join(self, waiting: Waiting) -> None:
        while self.urgent and self.urgent[-1].rank > waiting.rank:
            self.urgent.pop()
        self.urgent.append(waiting)
        self.waiting.append(waiting)

    def leave(self) -> None:
        if self.waiting.popleft() is self.urgent[0]:
            self.urgent.popleft()

    @property
    def rank(self) -> int:
        return self.urgent[0].rank


class Lanes:
    """Every message that waits to be routed. Each call costs the same, however many there are, but for `drop`."""

    def __init__(self, bursts: Bursts | None = None) -> None:
        self._bursts = bursts if bursts is not None and bursts.window_us else None
        self.open: dict[str, int] = {}  # user whose lane stands open → until when
        self._lanes: dict[str, _Lane] = {}
        self._ready = Ranking()  # users whose first message may be taken
        self._later: list[tuple[int, int, Waiting]] = []
        self._held: list[tuple[int, int, Waiting]] = []
        self.delayed: set[str] = set()  # the ids of the messages whose time has not come
        self._count = count()

    def put(self, waiting: Waiting) -> None:
        """Add a message; they come in the order accepted."""
        self.release(waiting.at)
        if waiting.due > waiting.at:
            heapq.heappush(self._later, (waiting.due, next(self._count), waiting))
            self.delayed.add(waiting.message.message_id)
        else:
            self._join(waiting)

    def release(self, now_us: int) -> None:
        """Let what is due by now join its lane, and what was held until now be taken again."""
        while self._later and self._later[0][0] <= now_us:
            waiting = heapq.heappop(self._later)[2]
            self.delayed.discard(waiting.message.message_id)
            self._join(waiting)
        while self._held and self._held[0][0] <= now_us:
            waiting = heapq.heappop(self._held)[2]
            lane = self._lanes.get(waiting.message.user)
            if lane is not None and not lane.taken and lane.waiting[0] is waiting:  # else it is settled by now
                self._stand(waiting.message.user, lane)

    @property
    def next_due(self) -> int | None:
        """When something delayed or held may be taken next; None if there is nothing of that kind."""
        return min((each[0][0] for each in (self._later, self._held) if each), default=None)

    @property
    def ready(self) -> int:
        """How many lanes may be taken from."""
        return len(self._ready)

    def take(self) -> Waiting | None:
        """The message to route next; its lane stands until `done` or `again`. None if there is none to take."""
        while (user := self._ready.pop()) is not None:
            lane = self._lanes.get(user)
            if lane is not None:  # else what stood in it was dropped
                lane.taken = True
                return lane.waiting[0]
        return None

    def behind(self, waiting: Waiting) -> list[Waiting]:
        """The messages of one burst with the one that was taken, in order, as far as they have come."""
        if self._bursts is None:
            return []
        burst, _ = self._bursts.first_of(self._lanes[waiting.message.user].waiting)
        return burst[1:]

    def done(self, waiting: Waiting) -> None:
        """The message that was taken is settled, and may be others of its burst; the next one may be taken."""
        user = waiting.message.user
        lane = self._lanes[user]
        lane.leave()
        while lane.waiting and lane.waiting[0].settled:
            lane.leave()
        lane.taken = False
        if lane.waiting:
            self._stand(user, lane)
        else:
            del self._lanes[user]

    def again(self, waiting: Waiting) -> None:
        """The message that was taken is not settled: it may be taken again, before any other of its lane."""
        user = waiting.message.user
        lane = self._lanes[user]
        lane.taken = False
        self._ready.put(user, lane.rank)

    def hold(self, waiting: Waiting, until: int) -> None:
        """The message that was taken is not settled: it may be taken again once another joins its lane, or `until`."""
        self._lanes[waiting.message.user].taken = False
        heapq.heappush(self._held, (until, next(self._count), waiting))

    def after(self, waiting: Waiting) -> Iterator[Waiting]:
        """What stands behind the first message of a lane and is not settled, in order."""
        line = islice(self._lanes[waiting.message.user].waiting, 1, None)
        return (each for each in line if not each.settled)

    def drop(self, user: str, message_id: str) -> None:
        """Take a message out that is settled otherwise; one that is taken just now is marked, and stays."""
        lane = self._lanes.get(user)
        if lane is not None:
            if lane.taken and lane.waiting[0].message.message_id == message_id:
                lane.waiting[0].settled = True
                return
            kept = [each for each in lane.waiting if each.message.message_id != message_id]
            if len(kept) < len(lane.waiting):
                lane.waiting.clear()
                lane.urgent.clear()
                for each in kept:
                    lane.join(each)
                if not kept:
                    del self._lanes[user]
                    self.open.pop(user, None)
                elif not lane.taken:
                    self._stand(user, lane)
        if message_id in self.delayed:
            self.delayed.discard(message_id)
            self._later = [each for each in self._later if each[2].message.message_id != message_id]
            heapq.heapify(self._later)

    def _join(self, waiting: Waiting) -> None:
        user = waiting.message.user
        lane = self._lanes.get(user)
        if lane is None:
            lane = self._lanes[user] = _Lane()
        lane.join(waiting)
        if not lane.taken:
            self._stand(user, lane)

    def look(self, user: str) -> None:
        """Let a lane that stands open be taken from, if its time has come."""
        if user in self.open:
            self._stand(user, self._lanes[user])

    def _stand(self, user: str, lane: _Lane) -> None:
        """Let a lane be taken from, or stand open."""
        if self._bursts is not None and user not in self._ready:
            _, until = self._bursts.first_of(lane.waiting)
            if 0 < until - now_us() <= self._bursts.window_us:  # further off only if the clock was set back
                self.open[user] = until
                return
        self.open.pop(user, None)
        self._ready.put(user, lane.rank)

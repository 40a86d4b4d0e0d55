"""The beat: what a worker says of its load, every few seconds, in a file beside its lock. No event, no history.

A thread of its own writes the file, whole or not at all; the event loop only notes how late its timer comes, which is
how long whatever is ready to run has to wait. The file goes with the worker; one that a killed worker left is told by
its process, and by its age.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fleet.clock import iso, now_us
from fleet.errors import LedgerError
from fleet.ledger.base import Ledger
from fleet.runtime.loop import Loop

__all__ = ["AgentLoad", "Beat", "Load", "QueueLoad", "read_load"]

_EVERY_S = 5.0  # between two beats
_TICK_S = 0.5  # between two looks at how late the event loop is
_LATELY = 12  # beats, a minute, that rates and the longest delay are of
_LOOKED_AT = 100  # entries of a queue looked through for the oldest that is not put off
_FILE = "worker.load"


@dataclass(frozen=True)
class QueueLoad:
    """A queue: how many entries, and for how many microseconds the oldest that is not put off has been in it."""

    waiting: int = 0
    oldest_us: int = 0


@dataclass(frozen=True)
class AgentLoad:
    """An agent: turns that run, jobs that wait for it alone, how many turns may run (0: it has no limit of its own)."""

    running: int = 0
    waiting: int = 0
    most: int = 0


@dataclass(frozen=True)
class Load:
    """What a worker is doing, at one moment.

    `load` is the one figure: what runs and what is ready to, over what may run at a time, the higher one of routing and
    turns; above 1 something waits for a slot. `routing` and `turns` run now, at most `routing_most` and `turns_most`.
    The rates, and the event loop's delays (how late what is due there comes), are of the last minute.
    """

    at: int
    pid: int
    load: float
    routing: int
    routing_most: int
    turns: int
    turns_most: int
    queues: Mapping[str, QueueLoad] = field(default_factory=dict)
    agents: Mapping[str, AgentLoad] = field(default_factory=dict)
    routed_per_s: float = 0.0
    ended_per_s: float = 0.0
    delay_us: int = 0
    longest_delay_us: int = 0

    def as_dict(self) -> dict[str, Any]:
        """One JSON object; the time in ISO 8601 UTC, durations in microseconds."""
        return {**asdict(self), "at": iso(self.at)}


def read_load(home: Path) -> Load | None:
    """What the home's worker said last; None if none did, or not lately."""
    try:
        said = json.loads((home / _FILE).read_text("utf-8"))
        queues = {name: QueueLoad(**each) for name, each in said.pop("queues").items()}
        agents = {role: AgentLoad(**each) for role, each in said.pop("agents").items()}
        found = Load(**said, queues=queues, agents=agents)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if now_us() - found.at < 1e6 * _EVERY_S * _LATELY else None


class Beat:
    """Beats until closed. Made on the event loop that it watches."""

    def __init__(self, home: Path, ledger: Ledger, loop: Loop, roles: Iterable[str]) -> None:
        self._roles = tuple(roles)
        self._file, self._ledger, self._work = home / _FILE, ledger, loop
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + _TICK_S
        self._delay_s = 0.0
        self._delays: deque[float] = deque(maxlen=round(_LATELY * _EVERY_S / _TICK_S))
        self._counts: deque[tuple[float, int, int]] = deque(maxlen=_LATELY + 1)
        self._closed = threading.Event()
        self._timer = self._loop.call_at(self._due, self._tick)
        self._thread = threading.Thread(target=self._run, name="fleet-beat", daemon=True)
        self._thread.start()

    def load(self) -> Load:
        """The load now. Raises: LedgerError if the queues cannot be read."""
        inbox, turns = self._work.inbox, self._work.turns
        routing, to_route, routing_most = inbox.load
        running, to_run, turns_most = turns.load if turns is not None else (0, 0, 0)
        routed_per_s, ended_per_s = self._rates()
        overdue_s = max(0.0, self._loop.time() - self._due)  # where the loop is held up just now
        return Load(
            at=now_us(), pid=os.getpid(),
            load=round(max((routing + to_route) / routing_most, (running + to_run) / max(turns_most, 1)), 3),
            routing=routing, routing_most=routing_most, turns=running, turns_most=turns_most,
            queues={
                "inbox": self._queue("inbox", inbox.delays), "turns": self._queue("turns"),
                "outbox": self._queue("outbox"),
            },
            agents={role: AgentLoad(*turns.load_of(role)) for role in self._roles} if turns is not None else {},
            routed_per_s=routed_per_s, ended_per_s=ended_per_s,
            delay_us=round(max(self._delay_s, overdue_s) * 1e6),
            longest_delay_us=round(max((*self._delays, overdue_s)) * 1e6),
        )  # fmt: skip

    async def close(self) -> None:
        """Beat no more; the file goes."""
        self._timer.cancel()
        self._closed.set()
        await asyncio.to_thread(self._thread.join)
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _tick(self) -> None:
        """Note, on the event loop, how late this comes."""
        late = max(0.0, self._loop.time() - self._due)
        self._delay_s += (late - self._delay_s) / 10
        self._delays.append(late)
        self._due = self._loop.time() + _TICK_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def _run(self) -> None:
        while True:
            with suppress(LedgerError, OSError):  # out of reach for now; the next beat tells
                self._counts.append(self._count())
                self._write(self.load())
            if self._closed.wait(_EVERY_S):
                return

    def _write(self, load: Load) -> None:
        beside = self._file.with_name(f"{_FILE}.{os.getpid()}")
        beside.write_text(json.dumps(asdict(load)), "utf-8")
        beside.replace(self._file)

    def _count(self) -> tuple[float, int, int]:
        """The time, and what was routed and ended by then."""
        return self._loop.time(), self._work.inbox.routed, self._work.turns.ended if self._work.turns is not None else 0

    def _rates(self) -> tuple[float, float]:
        """Messages routed and turns ended a second, lately."""
        now = self._count()
        first = next(iter(list(self._counts)), now)
        took = max(now[0] - first[0], _TICK_S)
        return round((now[1] - first[1]) / took, 3), round((now[2] - first[2]) / took, 3)

    def _queue(self, name: str, put_off: Callable[[str], bool] = lambda key: False) -> QueueLoad:
        entries = self._ledger.pending(name, limit=_LOOKED_AT)
        oldest = next((each for each in entries if not put_off(each.key)), None)
        if oldest is None:
            return QueueLoad(self._ledger.pending_count(name))
        at = next((each.at for each in self._ledger.read(after=oldest.seq - 1, upto=oldest.seq)), now_us())
        return QueueLoad(self._ledger.pending_count(name), max(0, now_us() - at))

"""Decisions counted: where they went, what was refused, how long they took, what they cost by model and day.

All is read once and nothing is kept of a decision but counts, so the memory does not grow with the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fleet.audit.decisions import Filter, verdict_of, within
from fleet.audit.spread import Spread
from fleet.clock import from_us, iso
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Attempt, Decision, HistoryCompacted, MessageDecided, ModelAnswered

__all__ = ["STAGES", "Calls", "Day", "Stats", "stats"]

STAGES = ("queue", "gate", "warmup", "prompt", "model", "parse")
_NANO = 1_000_000_000
_DAY_US = 86_400_000_000


@dataclass
class Calls:
    """Calls of one model. `accepted` are those whose answer was an action; every answer of a worker's model counts."""

    calls: int = 0
    accepted: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_nano_usd: int = 0
    latency: Spread = field(default_factory=Spread)

    def add(self, call: Attempt | ModelAnswered | HistoryCompacted) -> None:
        """Count one more."""
        self.calls += 1
        self.accepted += not isinstance(call, Attempt) or call.verdict == "ok"
        self.input_tokens += call.input_tokens
        self.output_tokens += call.output_tokens
        self.cache_read_tokens += call.cache_read_tokens
        self.cache_write_tokens += call.cache_write_tokens
        self.cost_nano_usd += round(call.cost_usd * _NANO)
        self.latency.add(call.latency_us)

    @property
    def cost_usd(self) -> float:
        """US dollars at the list prices of when it was called."""
        return self.cost_nano_usd / _NANO

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "calls": self.calls,
            "accepted": self.accepted,
            "tokens": {
                "input": self.input_tokens,
                "output": self.output_tokens,
                "cache_read": self.cache_read_tokens,
                "cache_write": self.cache_write_tokens,
            },
            "cost_usd": self.cost_usd,
            "latency_us": self.latency.as_dict(),
        }


@dataclass
class Tally:
    """Decisions counted by what they came to.

    `judged` are those that no gate settled: rates are of them. `retried` are those where the first answer was refused,
    so that the model was asked again; `fallbacks` counts by the rung that decided. A burst is one decision: `joined`
    are the other messages of bursts.
    """

    decisions: int = 0
    judged: int = 0
    retried: int = 0
    joined: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    latency: Spread = field(default_factory=Spread)

    def add(self, decision: Decision) -> None:
        """Count one more."""
        if decision.joined:
            self.joined += 1
            return
        self.decisions += 1
        self.judged += decision.by != "gate"
        self.retried += bool(decision.attempts) and verdict_of(decision.attempts[0]) not in ("ok", "error")
        self.actions[decision.outcome] += 1
        if decision.fallback:
            self.fallbacks[decision.fallback] += 1
        if decision.latency_us:
            self.latency.add(sum(decision.latency_us.values()))

    @property
    def fallen_back(self) -> int:
        """How many a fallback decided."""
        return self.fallbacks.total()

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; rates are None where nothing was judged."""
        new, continued = self.actions["start_new_thread"], self.actions["dispatch_to"]
        return {
            "decisions": self.decisions,
            "joined": self.joined,
            "actions": dict(self.actions.most_common()),
            "new_share": _share(new, new + continued),
            "judged": self.judged,
            "retried": self.retried,
            "retry_rate": _share(self.retried, self.judged),
            "fallbacks": dict(self.fallbacks.most_common()),
            "fallback_rate": _share(self.fallen_back, self.judged),
            "latency_us": self.latency.as_dict(),
        }


@dataclass
class Day(Tally):
    """One day, in UTC, with the calls by what for (routing, answering) and model."""

    calls: dict[tuple[str, str], Calls] = field(default_factory=lambda: defaultdict(Calls))


@dataclass
class Stats:
    """Everything counted. `days` are by date (ISO 8601), in order; a day on which nothing happened is not in it.

    `answering` tells whether the calls of workers' models are in: they are, unless the filter is about decisions.
    """

    answering: bool
    whole: Day = field(default_factory=Day)
    by: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    agents: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    stages: dict[str, Spread] = field(default_factory=lambda: defaultdict(Spread))
    days: dict[str, Day] = field(default_factory=lambda: defaultdict(Day))
    first: int | None = None
    last: int | None = None

    def add(self, stored: Stored) -> None:
        """Count a decision, or a call of a worker's model."""
        event, day = stored.event, self.days[_day(stored.at // _DAY_US)]
        if isinstance(event, (ModelAnswered, HistoryCompacted)):
            for part in (self.whole, day):
                part.calls["answering" if isinstance(event, ModelAnswered) else "compacting", event.model].add(event)
        elif isinstance(event, MessageDecided):
            self.first, self.last = self.first or stored.at, stored.at
            self._add(event.decision, day)

    def _add(self, decision: Decision, day: Day) -> None:
        for part in (self.whole, day):
            part.add(decision)
            for attempt in decision.attempts:
                part.calls["routing", attempt.model].add(attempt)
        if decision.joined:
            return
        self.by[decision.by] += 1
        self.verdicts.update(map(verdict_of, decision.attempts))
        if decision.agent:
            self.agents[decision.agent][decision.outcome] += 1
        for stage, us in decision.latency_us.items():
            self.stages[stage].add(us)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object: durations in microseconds, cost in US dollars, rates from 0 to 1."""
        whole = self.whole.as_dict()
        latency = {"total": whole.pop("latency_us")}
        return {
            "first": None if self.first is None else iso(self.first),
            "last": None if self.last is None else iso(self.last),
            **whole,
            "by": dict(self.by.most_common()),
            "verdicts": dict(self.verdicts.most_common()),
            "agents": {agent: dict(self.agents[agent].most_common()) for agent in sorted(self.agents)},
            "latency_us": latency | {stage: self.stages[stage].as_dict() for stage in self.stages},
            "answering": self.answering,
            "calls": _calls(self.whole),
            "days": [{"day": date, **day.as_dict(), "calls": _calls(day)} for date, day in self.days.items()],
        }


def _calls(day: Day) -> list[dict[str, Any]]:
    return [{"purpose": what, "model": model, **day.calls[what, model].as_dict()} for what, model in sorted(day.calls)]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@lru_cache(maxsize=16)
def _day(number: int) -> str:
    return from_us(number * _DAY_US).date().isoformat()


def stats(ledger: Ledger, wanted: Filter | None = None) -> Stats:
    """Count the decisions that are wanted, up to the event that is the last when it begins.

    The calls of workers' models in the same span are counted too if only a user, times, seqs and a model are named.
    """
    wanted = wanted or Filter()
    found = Stats(answering=not wanted.about_decisions)
    types = (MessageDecided.TYPE, *((ModelAnswered.TYPE, HistoryCompacted.TYPE) if found.answering else ()))
    for stored in within(ledger, wanted, types, upto=ledger.head()[0]):
        if wanted.wants(stored.event):
            found.add(stored)
    return found

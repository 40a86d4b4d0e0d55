"""Decisions as rows: one flat object each, in the order in which they were decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.audit.find import seq_at
from fleet.audit.timeline import totals_of
from fleet.clock import iso
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Decision, MessageDecided

__all__ = ["Filter", "decisions", "row_of"]

_DECIDED = (MessageDecided.TYPE,)


@dataclass(frozen=True)
class Filter:
    """Which decisions: all by default. `since` and `until` are microseconds since 1970 UTC, both included.

    `user` and the times are found by index; the others by going through the decisions.
    """

    user: str = ""
    agent: str = ""
    action: str = ""
    fallback: bool = False
    since: int | None = None
    until: int | None = None

    def fits(self, decision: Decision) -> bool:
        """Whether a decision of the right user and time is wanted."""
        return (
            (not self.agent or decision.agent == self.agent)
            and (not self.action or decision.outcome == self.action)
            and (not self.fallback or bool(decision.fallback))
        )


def decisions(ledger: Ledger, wanted: Filter | None = None, limit: int | None = None) -> Iterator[Stored]:
    """The `message.decided` events that are wanted, in the order decided; with `limit` the last so many.

    Streams in bounded memory (with `limit`, that many events); events committed while it runs are seen too.
    """
    wanted = wanted or Filter()
    after = seq_at(ledger, wanted.since - 1) if wanted.since is not None else 0
    upto = seq_at(ledger, wanted.until) if wanted.until is not None else None
    if limit is None:
        yield from _fitting(ledger.read(after=after, upto=upto, types=_DECIDED, user=wanted.user), wanted)
        return
    newest: deque[Stored] = deque()
    if limit > 0:
        found = ledger.read(after=after, upto=upto, types=_DECIDED, user=wanted.user, newest_first=True)
        for stored in _fitting(found, wanted):
            newest.appendleft(stored)
            if len(newest) >= limit:
                break
    yield from newest


def row_of(stored: Stored) -> dict[str, Any]:
    """One decision as a flat JSON object.

    `verdicts` are the codes on the answers, in order, `error` standing for a model that gave none; `fallback` is "",
    or the rung that decided: router, agent, human; `model` is the one asked last, "" if none was; `latency_us` maps a
    stage to its duration; `seq` rises in the order decided.
    """
    event = stored.event
    if not isinstance(event, MessageDecided):
        raise TypeError(f"event {stored.seq} is a {event.TYPE}, no decision")
    decision = event.decision
    total = totals_of(decision.attempts).as_dict()
    return {
        "seq": stored.seq,
        "message_id": event.message_id,
        "user": event.user,
        "decided_at": iso(stored.at),
        "action": decision.outcome,
        "thread_id": decision.thread_id,
        "agent": decision.agent,
        "verdicts": [each.verdict or "error" for each in decision.attempts],
        "fallback": decision.fallback,
        "by": decision.by,
        "thread_index": decision.thread_index,
        "name": decision.name,
        "language": decision.language,
        "default_example_id": decision.default_example_id,
        "reason": decision.reason,
        "gate_reason": decision.gate_reason,
        "fallback_reason": decision.fallback_reason,
        "model": decision.attempts[-1].model if decision.attempts else "",
        "prompt": {"name": decision.prompt_name, "hash": decision.prompt},
        "tokens": total["tokens"],
        "cost_usd": total["cost_usd"],
        "latency_us": dict(decision.latency_us),
        "code_version": decision.code_version,
        "text": event.text,
    }


def _fitting(found: Iterator[Stored], wanted: Filter) -> Iterator[Stored]:
    for stored in found:
        if isinstance(stored.event, MessageDecided) and wanted.fits(stored.event.decision):
            yield stored

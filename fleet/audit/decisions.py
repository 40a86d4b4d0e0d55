"""Decisions as rows: one flat object each, in the order in which they were decided."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleet.audit.find import seq_at
from fleet.audit.timeline import totals_of
from fleet.clock import iso
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Attempt, Decision, Event, HistoryCompacted, MessageDecided, ModelAnswered

__all__ = ["Filter", "decisions", "row_of", "verdict_of", "within"]

_DECIDED = (MessageDecided.TYPE,)


@dataclass(frozen=True)
class Filter:
    """Which decisions: all by default. `since` and `until` are microseconds since 1970 UTC, both included.

    `verdict` is a code on any answer, or `error`; `model` one that was asked, with or without `anthropic:` before it;
    `prompt` the beginning of the prompt's hash, or its file; `text` is looked for in the message and in the thread's
    name, whatever the case. `after` and `before` are seqs, neither included. What is found by index: `user`, times and
    seqs; the rest by going through the decisions.
    """

    user: str = ""
    agent: str = ""
    action: str = ""
    fallback: bool = False
    asked: bool = False
    since: int | None = None
    until: int | None = None
    verdict: str = ""
    model: str = ""
    prompt: str = ""
    text: str = ""
    after: int = 0
    before: int | None = None

    def fits(self, event: MessageDecided) -> bool:
        """Whether a decision of the right user, time and seq is wanted."""
        decision = event.decision
        return (
            (not self.agent or decision.agent == self.agent)
            and (not self.action or decision.outcome == self.action)
            and (not self.fallback or bool(decision.fallback))
            and (not self.asked or bool(decision.asked))
            and (not self.verdict or any(verdict_of(each) == self.verdict for each in decision.attempts))
            and (not self.model or any(_plain(each.model) == _plain(self.model) for each in decision.attempts))
            and (not self.prompt or _of_prompt(decision, self.prompt))
            and (not self.text or any(self._sought in _folded(each) for each in (event.text, decision.name)))
        )

    @property
    def about_decisions(self) -> bool:
        """Whether it asks for something that only a decision has; else user, times, seqs and model are all of it."""
        return any((self.agent, self.action, self.fallback, self.asked, self.verdict, self.prompt, self.text))

    def wants(self, event: Event) -> bool:
        """The same for any event: with the steps of workers' models, where that model answered."""
        if isinstance(event, (ModelAnswered, HistoryCompacted)):
            return not self.about_decisions and (not self.model or _plain(event.model) == _plain(self.model))
        return isinstance(event, MessageDecided) and self.fits(event)

    @cached_property
    def _sought(self) -> str:
        return _folded(self.text)


def decisions(ledger: Ledger, wanted: Filter | None = None, limit: int | None = None) -> Iterator[Stored]:
    """The `message.decided` events that are wanted, in the order decided; with `limit` the last so many.

    Streams in bounded memory (with `limit`, that many events); events committed while it runs are seen too. A page
    never changes: the one before it is that with `before` set to this one's first seq.
    """
    wanted = wanted or Filter()
    if limit is None:
        yield from _fitting(within(ledger, wanted, _DECIDED), wanted)
        return
    newest: deque[Stored] = deque()
    if limit > 0:
        for stored in _fitting(within(ledger, wanted, _DECIDED, newest_first=True), wanted):
            newest.appendleft(stored)
            if len(newest) >= limit:
                break
    yield from newest


def within(
    ledger: Ledger, wanted: Filter, types: Sequence[str], *, upto: int | None = None, newest_first: bool = False
) -> Iterator[Stored]:
    """Events of these types, the user, times and seqs that are wanted, whatever is in them; none after event `upto`."""
    after = max(wanted.after, seq_at(ledger, wanted.since - 1) if wanted.since is not None else 0)
    last = [each for each in (upto, None if wanted.until is None else seq_at(ledger, wanted.until)) if each is not None]
    return ledger.read(
        after=after,
        upto=min(last, default=None),
        before=wanted.before,
        types=types,
        user=wanted.user,
        newest_first=newest_first,
    )


def verdict_of(attempt: Attempt) -> str:
    """The code on an answer; `error` for a model that gave none."""
    return attempt.verdict or "error"


def row_of(stored: Stored) -> dict[str, Any]:
    """One decision as a flat JSON object.

    `verdicts` are the codes on the answers, in order, `error` standing for a model that gave none; `fallback` is "",
    or the rung that decided: router, agent, human; `model` is the one asked last, "" if none was; `latency_us` maps a
    stage to its duration; `seq` rises in the order decided; `joined` is the message of whose burst it was, "" for most.
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
        "verdicts": [verdict_of(each) for each in decision.attempts],
        "fallback": decision.fallback,
        "by": decision.by,
        "thread_index": decision.thread_index,
        "name": decision.name,
        "language": decision.language,
        "default_example_id": decision.default_example_id,
        "reason": decision.reason,
        "gate": decision.gate,
        "gate_reason": decision.gate_reason,
        "fallback_reason": decision.fallback_reason,
        "model": decision.attempts[-1].model if decision.attempts else "",
        "prompt": {"name": decision.prompt_name, "hash": decision.prompt},
        "tokens": total["tokens"],
        "cost_usd": total["cost_usd"],
        "latency_us": dict(decision.latency_us),
        "code_version": decision.code_version,
        "text": event.text,
        "joined": decision.joined,
        "asked": decision.asked,
        "answered_by": decision.answered_by,
        "answer_to": decision.answer_to,
    }


def _fitting(found: Iterator[Stored], wanted: Filter) -> Iterator[Stored]:
    return (stored for stored in found if wanted.wants(stored.event))


def _plain(model: str) -> str:
    return model.removeprefix("anthropic:")


def _of_prompt(decision: Decision, wanted: str) -> bool:
    return bool(decision.prompt) and (decision.prompt.startswith(wanted) or decision.prompt_name == wanted)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()

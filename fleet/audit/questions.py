"""Past decisions as questions: what a router is shown when it is asked again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from fleet.agents.agent import MessageDispatcher
from fleet.agents.catalog import Text
from fleet.audit.decisions import Filter, decisions
from fleet.audit.declared import Declarations
from fleet.audit.past import moments
from fleet.clock import from_us
from fleet.errors import WarmupError
from fleet.ledger.base import Ledger
from fleet.ledger.events import Decision, MessageDecided
from fleet.prompting.prompts import render_prompt
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import ThreadView
from fleet.routing.shown import Shown, show

__all__ = ["Past", "Question", "questions", "select"]


@dataclass(frozen=True)
class Past:
    """A decision that a model was asked about: where it is in the ledger, and whose message it is."""

    seq: int
    user: str


@dataclass(frozen=True)
class Question:
    """One past decision to be made again. `trouble` says why it cannot be asked: the other warmup raised.

    `exact` is False where the sender's threads could not be rebuilt as they were shown.
    """

    seq: int
    system: str
    shown: Shown
    exact: bool = True
    trouble: str = ""


def select(ledger: Ledger, since: int | None, limit: int | None) -> list[Past]:
    """The decisions that a model was asked about, in order; with `limit` the last so many."""
    found: deque[Past] = deque(maxlen=limit)
    for stored in decisions(ledger, Filter(since=since)):
        if isinstance(stored.event, MessageDecided) and stored.event.decision.transcript:
            found.append(Past(stored.seq, stored.user))
    return list(found)


def questions(
    ledger: Ledger,
    wanted: Collection[Past],
    *,
    prompt: Text | None = None,
    warmup: Text | None = None,
    count: int = 5,
    dispatcher: MessageDispatcher | None = None,
    language_of: Callable[[Any], str | None] | None = None,
) -> Iterator[Question]:
    """What to ask: the stored transcripts and prompts, or in place of one of them another.

    `prompt` is rendered with the agents declared at the time. With `warmup` the facts are rebuilt as they were, and
    `count` threads printed where it names no number; `dispatcher` and `language_of` are the application's own, for the
    verbs that its warmup needs. Questions come in order, but with `warmup` user by user.
    Raises: ConfigError for a prompt that does not render.
    """
    asking = _Asking(ledger, prompt)
    if warmup is None:
        for past in wanted:
            decision = asking.decision(past.seq)
            yield Question(past.seq, asking.system(past.seq, decision), asking.as_shown(decision))
        return
    by_user: dict[str, set[int]] = defaultdict(set)
    for past in wanted:
        by_user[past.user].add(past.seq)
    verbs = dispatcher or MessageDispatcher()
    for moment in moments(ledger, by_user, asking.declared, language_of):
        decision, trouble = moment.event.decision, ""
        system = asking.system(moment.stored.seq, decision)
        try:
            shown = show(warmup, verbs, moment.facts, count)
        except WarmupError as error:
            shown, trouble = asking.as_shown(decision), error.message
        yield Question(moment.stored.seq, system, shown, moment.exact, trouble)


class _Asking:
    def __init__(self, ledger: Ledger, prompt: Text | None) -> None:
        self._ledger, self._prompt = ledger, prompt
        self.declared = Declarations(ledger)
        self._systems: dict[str | int, str] = {}

    def decision(self, seq: int) -> Decision:
        event = next(self._ledger.read(after=seq - 1, upto=seq)).event
        if not isinstance(event, MessageDecided):
            raise TypeError(f"event {seq} is a {event.TYPE}, no decision")
        return event.decision

    def system(self, seq: int, decision: Decision) -> str:
        """The prompt: the stored one, or the other one with the agents of then."""
        if self._prompt is None:
            if decision.prompt not in self._systems:
                self._systems[decision.prompt] = self._ledger.blob(decision.prompt).decode()
            return self._systems[decision.prompt]
        catalog = self.declared.at(seq)
        if id(catalog) not in self._systems:
            definition = replace(catalog.dispatcher, prompt=self._prompt)
            self._systems[id(catalog)] = render_prompt(definition, catalog)
        return self._systems[id(catalog)]

    def as_shown(self, decision: Decision) -> Shown:
        """The stored transcript, and what it put up for choice."""
        nothing = Untrusted("")
        threads = tuple(
            ThreadView(
                each.thread_id,
                each.agent,
                Untrusted(each.name),
                "",
                "",
                nothing,
                from_us(each.latest_activity_at),
                nothing,
            )
            for each in decision.candidates
        )
        transcript = self._ledger.blob(decision.transcript).decode()
        return Shown(transcript, threads, decision.agents, decision.examples, decision.language)

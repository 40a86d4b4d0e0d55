"""What a decision could know: the message, its moment, the sender's threads as they stood, the agents of then.

The sender's own events are folded by the code that changes the graph, on records in memory. Which of them the runtime
had seen when it read the facts is told by the candidates on record: a reply in another thread may have come in while
the model was thinking.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fleet.audit.declared import Declarations
from fleet.clock import from_us, to_us
from fleet.graph.apply import change
from fleet.graph.records import RECENT_KEPT, AgentRecord
from fleet.graph.scratch import ScratchRoot
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    Decision,
    DispatchCancelled,
    DispatchRequested,
    MessageAccepted,
    MessageDecided,
    MessageRetried,
    SubjobStarted,
    TurnEnded,
    TurnSetAside,
    TurnStarted,
)
from fleet.prompting.views import AgentView
from fleet.routing.facts import Facts, ThreadViews, agent_views, facts_of

__all__ = ["Moment", "moments"]

_TYPES = (
    MessageAccepted.TYPE, DispatchRequested.TYPE, MessageDecided.TYPE, MessageRetried.TYPE, DispatchCancelled.TYPE,
    SubjobStarted.TYPE, TurnStarted.TYPE, TurnEnded.TYPE, TurnSetAside.TYPE,
)  # fmt: skip
_NEITHER, _SAME, _ALL = range(3)


@dataclass(frozen=True)
class Moment:
    """One decision with the facts as they were. `exact` tells whether they hold the very threads that were shown."""

    stored: Stored
    event: MessageDecided
    facts: Facts
    exact: bool


def moments(
    ledger: Ledger,
    wanted: Mapping[str, Container[int]],
    declared: Declarations,
    language_of: Callable[[Any], str | None] | None = None,
) -> Iterator[Moment]:
    """The moments of the decisions whose seqs `wanted` names by user; user by user, each user's in order.

    Reads each user's history once, in memory for one user's threads. `now` is when the facts were read, to within what
    the write took; `language_of` is the application's own function, where it is at hand.
    """
    for user, seqs in wanted.items():
        yield from _Past(user, seqs, declared, language_of).moments(ledger)


class _Past:
    def __init__(
        self,
        user: str,
        seqs: Container[int],
        declared: Declarations,
        language_of: Callable[[Any], str | None] | None,
    ) -> None:
        self._user, self._seqs, self._declared, self._language_of = user, seqs, declared, language_of
        self._root = ScratchRoot()
        self._accepted: dict[str, MessageAccepted] = {}
        self._roles: Container[str] = ()

    def moments(self, ledger: Ledger) -> Iterator[Moment]:
        between: list[Stored] = []  # since the last decision: the facts were read somewhere in between
        for stored in ledger.read(types=_TYPES, user=self._user):
            event = stored.event
            if isinstance(event, MessageAccepted):
                self._accepted[event.message_id] = event
            if not isinstance(event, MessageDecided):
                between.append(stored)
                continue
            if stored.seq in self._seqs:
                yield self._moment(stored, event, between)
            else:
                for each in between:
                    self._change(each)
            between.clear()
            self._change(stored)
            self._accepted.pop(event.message_id, None)

    def _change(self, stored: Stored) -> None:
        event = stored.event
        if isinstance(event, MessageDecided) and event.decision.agent not in self._root.task_agents:
            role = event.decision.agent
            self._root.task_agents[role] = self._root.new(AgentRecord, role, "dialog", "", "")
        change(self._root, stored)

    def _moment(self, stored: Stored, event: MessageDecided, between: list[Stored]) -> Moment:
        views, self._roles = self._views(stored.seq, event.decision), self._declared.at(stored.seq).roles
        best, facts = self._fit(event.decision, views), self._facts(stored, event, views)
        for number, each in enumerate(between, 1):
            self._change(each)
            fit = self._fit(event.decision, views)
            if fit >= best and (fit or number == len(between)):
                best, facts = fit, self._facts(stored, event, views)
        return Moment(stored, event, facts, best > _NEITHER)

    def _views(self, seq: int, decision: Decision) -> dict[str, AgentView]:
        """The agents in force, in the order in which they were printed."""
        views = agent_views(self._declared.at(seq))
        printed = [role for role in decision.agents if role in views]
        return {role: views[role] for role in dict.fromkeys([*printed, *views])}

    def _fit(self, decision: Decision, views: Mapping[str, AgentView]) -> int:
        """How well the threads as they stand now agree with the candidates on record."""
        shown = [(each.thread_id, each.latest_activity_at) for each in decision.candidates]
        user = self._root.users.get(self._user)
        newest = ThreadViews(self._root).recent(user, self._user, self._roles, len(shown)) if user is not None else []
        if [(each.id, to_us(each.latest_activity_at)) for each in newest] == shown:
            return _ALL
        standing = [self._root.threads.get(thread_id) for thread_id, _ in shown]
        same = all(
            each is not None and each.latest_activity_at == at for each, (_, at) in zip(standing, shown, strict=True)
        )
        return _SAME if same else _NEITHER

    def _facts(self, stored: Stored, event: MessageDecided, views: Mapping[str, AgentView]) -> Facts:
        """The facts as they stand now, copied: what is folded afterwards does not change them."""
        message = self._accepted.get(event.message_id) or MessageAccepted(
            message_id=event.message_id, user=event.user, text=event.text
        )
        burst = [message, *(self._accepted[each] for each in event.decision.covers)]
        message = message.model_copy(update={"text": "\n".join(each.text for each in burst)})
        took = sum(us for stage, us in event.decision.latency_us.items() if stage != "queue")
        root = self._root
        facts = facts_of(
            root, ThreadViews(root), message, views, from_us(stored.at - took), self._language_of, self._roles
        )
        recent = tuple(facts.recent(RECENT_KEPT))
        return replace(facts, recent=lambda count: list(recent[:count]))

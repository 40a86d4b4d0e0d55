"""Candidates: what one routing decision may choose from, read from the graph as frozen views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.graph.apply import recent_ids
from fleet.graph.records import RECENT_KEPT, FleetRoot
from fleet.ledger.events import MessageAccepted
from fleet.prompting.examples import examples_of
from fleet.prompting.views import AgentView, MessageView, ThreadView

__all__ = ["Facts", "agent_views", "facts_of"]


@dataclass(frozen=True)
class Facts:
    """Everything that the warmup of one decision can ask for. `recent(count)` gives threads, newest first."""

    message: MessageView
    now: datetime
    agents: Mapping[str, AgentView]
    recent: Callable[[int], Sequence[ThreadView]]
    language_of: Callable[[Any], str | None]


def agent_views(catalog: Catalog) -> dict[str, AgentView]:
    """The catalog's agents as a router is shown them."""
    return {
        role: AgentView(
            role,
            " ".join(found.description.split()),
            tuple(" ".join(each.split()) for each in found.capabilities),
            tuple((number, example.name) for number, example in examples_of(found).items()),
        )
        for role, found in catalog.roles.items()
    }


def facts_of(
    root: FleetRoot,
    message: MessageAccepted,
    agents: Mapping[str, AgentView],
    now: datetime,
    language_of: Callable[[Any], str | None] | None = None,
) -> Facts:
    """The facts about one accepted message. Threads are the sender's own, and only of agents that are declared."""
    known = root.users.get(message.user)
    language = known.language if known is not None else ""

    def recent(count: int) -> list[ThreadView]:
        record = root.users.get(message.user)
        found: list[ThreadView] = []
        for thread_id in recent_ids(record, RECENT_KEPT) if record is not None else ():
            thread = root.threads[thread_id]
            if thread.agent in agents:
                found.append(ThreadView.of(thread))
            if len(found) >= count:
                break
        return found

    def preferred(user: Any) -> str | None:
        asked = language_of(user) if language_of else None
        return asked or message.language or language or None

    return Facts(MessageView.of(message, language), now, agents, recent, preferred)

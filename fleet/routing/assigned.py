"""What an explicit dispatch decides: the thread and agent that it names, or why it cannot be."""

from __future__ import annotations

from typing import Any

from fleet.agents.catalog import Catalog
from fleet.graph.records import RECENT_KEPT
from fleet.ledger.events import Assignment, Decision
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import ThreadView
from fleet.routing.decided import Decided
from fleet.routing.facts import Facts
from fleet.routing.gates import keyed_thread

__all__ = ["assigned", "plain"]


def assigned(facts: Facts, asked: Assignment, catalog: Catalog, latency: dict[str, int], code_version: str) -> Decided:
    """The decision about a dispatch; an error on record where it names a thread or agent that cannot take it."""
    base: dict[str, Any] = {
        "by": "dispatch", "gate": asked.by, "metadata": plain(facts.message.metadata), "latency_us": latency,
        "code_version": code_version, "then": asked.then(facts.message.id),
    }  # fmt: skip
    agent, known = asked.agent, facts.thread(asked.thread_id) if asked.thread_id else None
    trouble = ""
    if asked.ask:
        trouble = "where it belongs cannot be asked: this fleet has no routing model that says what is plausible"
    elif asked.thread_id and known is None:
        trouble = f"the user has no thread {asked.thread_id!r}"
    elif asked.handoff and not (known is not None and agent):
        trouble = "to hand a thread over takes the thread and an agent"
    elif known is not None and agent and known.agent != agent and not asked.handoff:
        trouble = f"thread {known.id} is {known.agent}'s, not {agent}'s"
    elif (agent or (known.agent if known else "")) not in catalog.roles:
        trouble = f"the agent {agent or (known.agent if known else '')!r} is not declared"
    elif not facts.may(agent or (known.agent if known else "")):
        trouble = f"the message may not go to {agent or (known.agent if known else '')!r}"
    if trouble:
        return Decided(Decision(outcome="error", gate_reason=trouble, **base | {"metadata": {}, "then": ""}))
    key = keyed_thread(facts.owner, asked.key, agent) if asked.key else ""
    if key:
        known = facts.thread(f"thr_{key}")
    elif known is None and not asked.new_thread:
        known = _newest(facts, agent)
    if known is not None:
        return Decided(Decision(
            outcome="dispatch_to", thread_id=known.id, agent=agent if asked.handoff else known.agent,
            name=known.name.raw, language=known.language,
            handed_from=known.agent if asked.handoff and agent != known.agent else "", **base,
        ))  # fmt: skip
    language = catalog.app.agents[agent].locale or facts.message.language or facts.language
    decision = Decision(outcome="start_new_thread", agent=agent, name=asked.name, language=language, **base)
    return Decided(decision, thread_key=key)


def _newest(facts: Facts, agent: str) -> ThreadView | None:
    """The user's most recent thread with the agent."""
    return next((each for each in facts.recent(RECENT_KEPT) if each.agent == agent), None)


def plain(value: Any) -> Any:
    """JSON of untrusted texts as it is stored."""
    if isinstance(value, Untrusted):
        return value.raw
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value

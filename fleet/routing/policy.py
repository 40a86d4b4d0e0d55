"""Policy: who may be given a message at all, and how many; the same for models, gates and dispatches."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.graph.records import RECENT_KEPT
from fleet.ledger.base import Ledger
from fleet.ledger.events import Decision
from fleet.ledger.storable import storable
from fleet.prompting.views import ThreadView
from fleet.routing.decided import Decided
from fleet.routing.facts import Facts
from fleet.routing.quotas import Quota, ages_of_agents, ages_of_user

__all__ = ["Policy"]


class Policy:
    """The limits that one application sets. Raises, when built: ConfigError for a quota that is none."""

    def __init__(self, catalog: Catalog, code_version: str) -> None:
        app = catalog.app
        self._code_version = code_version
        self._targets: Callable[[Any], Iterable[str] | None] | None = app.allowed_targets
        self._of_user = Quota(app.user_quota, "user_quota") if app.user_quota else None
        self._of_agent = {
            role: Quota(agent.quota, f"agent {role}") for role, agent in app.agents.items() if agent.quota
        }

    def recall(self, ledger: Ledger) -> None:
        """Count what was given before this process began, as the ledger tells it. Raises: LedgerError."""
        if (of_user := self._of_user) is not None:
            of_user.past = partial(ages_of_user, ledger, of_user)
        for role, ages in ages_of_agents(ledger, self._of_agent).items() if self._of_agent else ():
            self._of_agent[role].begin(role, ages, time.monotonic())

    def limit(self, facts: Facts) -> Facts | Decided:
        """The facts with nothing in them that the message may not have, or the decision that refuses it.

        Never raises for what the application's function did.
        """
        if self._of_user is not None and not self.admits(facts):
            return self._refused("user_quota", f"the user has had {self._of_user.spelled}, which is their quota")
        return self.targets(facts)

    def admits(self, facts: Facts) -> bool:
        """Whether the message is within its user's quota; if so it counts."""
        message = facts.message
        if self._of_user is None or (message.dispatch is not None and not message.dispatch.by_user):
            return True
        return self._of_user.take(str.__str__(message.sender.id), time.monotonic())

    def targets(self, facts: Facts) -> Facts | Decided:
        """What `limit` gives, without counting the message."""
        message = facts.message
        named = [roles for roles in (message.roles, message.dispatch.among if message.dispatch else ()) if roles]
        if self._targets is None and not named:
            return facts
        allowed: frozenset[str] | None = frozenset.intersection(*map(frozenset, named)) if named else None
        if self._targets is not None:
            try:
                given = self._targets(message)
                if given is not None:
                    allowed = frozenset(given) if allowed is None else allowed.intersection(given)
            except Exception:  # the application's own code; without its word nobody gets the message
                return self._refused("allowed_targets", storable(traceback.format_exc(limit=8)))
        if allowed is None:
            return facts
        if not allowed:
            return self._refused("allowed_targets", "no agent may be given this message")
        roles = allowed

        def recent(count: int) -> list[ThreadView]:
            return [each for each in facts.recent(RECENT_KEPT) if each.agent in roles][:count]

        agents = {role: view for role, view in facts.agents.items() if role in roles}
        return replace(facts, agents=agents, recent=recent, allowed=allowed)

    def counted(self, decided: Decided) -> Decided:
        """The decision, if its agent's quota has room for it; else that it has none."""
        agent = decided.decision.agent
        quota = self._of_agent.get(agent)
        if quota is None or quota.take(agent, time.monotonic()):
            return decided
        return self._refused("quota", f"{agent} has had {quota.spelled}, which is its quota", decided)

    def _refused(self, which: str, why: str, decided: Decided | None = None) -> Decided:
        """An error on record, with what was shown and answered before it came to that."""
        if decided is None:
            return Decided(Decision(
                by="policy", outcome="error", gate=which, gate_reason=why, code_version=self._code_version
            ))  # fmt: skip
        kept = {
            "by": "policy", "outcome": "error", "gate": which, "gate_reason": why, "thread_id": "", "agent": "",
            "thread_index": None, "name": "",
        }  # fmt: skip
        return replace(decided, decision=decided.decision.model_copy(update=kept), thread_key="")

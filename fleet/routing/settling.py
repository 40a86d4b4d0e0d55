"""Settling a message without a model: by its dispatch, the application's gates, or the session that it belongs to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.errors import ConfigError
from fleet.ledger.events import Assignment, Decision
from fleet.ledger.storable import storable
from fleet.routing.assigned import assigned, plain
from fleet.routing.decided import Decided
from fleet.routing.facts import Facts
from fleet.routing.gates import DispatchAction, DispatchResult, Said, ask_gates, by_session, chain, keyed_thread
from fleet.routing.rules import Rule, Rules
from fleet.settings import Settings

__all__ = ["Passed", "Settling", "goes_along"]

_NAME = 80  # characters of a key that a thread is named by


@dataclass(frozen=True)
class Passed:
    """What the model's decision is to carry along: the key of the thread that it may start, and gates' failures.

    Of a dispatch whose user is to be asked, `gate` is who asked for it, and `metadata` what its job is given.
    """

    thread_key: str = ""
    gate: str = ""
    trouble: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def on(self, decided: Decided) -> Decided:
        """The model's decision with it."""
        update: dict[str, Any] = {"gate": self.gate, "gate_reason": self.trouble, "metadata": dict(self.metadata)}
        return replace(decided, decision=decided.decision.model_copy(update=update), thread_key=self.thread_key)


class Settling:
    """Decides what needs no model, for one application; `routed` says whether there is a model for the rest.

    Raises, when built: ConfigError for a gate that is none, or an unknown value of the setting gate_failures.
    """

    def __init__(self, catalog: Catalog, settings: Settings, code_version: str, *, routed: bool) -> None:
        self._catalog, self._settings, self._code_version, self._routed = catalog, settings, code_version, routed
        app = catalog.app
        self._gates = None if app.gate is None else chain(app.gate)
        if settings.gate_failures not in ("stop", "pass"):
            raise ConfigError(f"FLEET_GATE_FAILURES must be stop or pass, not {settings.gate_failures!r}")
        self.rules = Rules(app.rules, app.agents) if app.rules else None
        open_to_all = [role for role, agent in app.agents.items() if agent.dispatch != "explicit"]
        self._first = (open_to_all or list(app.agents))[0]
        self._default = app.default_agent or (self._first if len(open_to_all) == 1 else "")

    async def settle(self, facts: Facts, latency: dict[str, int]) -> Decided | Passed | None:
        """The decision, if it needs no model; None, or what goes along, if the message is the model's.

        Adds to `latency` what the gates took. Never raises for what a gate did.
        """
        dispatch = facts.message.dispatch
        if dispatch is not None:
            if dispatch.ask and self._routed:
                return Passed(gate=dispatch.by, metadata=plain(facts.message.metadata))
            return assigned(facts, dispatch, self._catalog, latency, self._code_version)
        if self.rules is not None and (rule := self.rules.match(facts.message)) is not None:
            return self._ruled(rule, facts, latency)
        if self._gates is None:
            result = by_session(facts.message)
            return None if result is None else self._placed(Said(result, "session"), facts, latency)
        if not self._gates:
            return None
        began = time.perf_counter_ns()
        said = await ask_gates(
            self._gates,
            facts.message,
            self._settings.gate_timeout_s,
            pass_failures=self._settings.gate_failures == "pass",
        )
        latency["gate"] = (time.perf_counter_ns() - began) // 1000
        said = replace(said, trouble=storable(said.trouble))
        if said.result is None:
            return Passed("", said.gate, said.trouble) if said.trouble else None
        return self._placed(said, facts, latency)

    def _ruled(self, rule: Rule, facts: Facts, latency: dict[str, int]) -> Decided | Passed:
        """To the rule's first agent; the others are dispatched beside."""
        message, by = facts.message, f"rule {rule.name}"
        action = DispatchAction.CREATE_AGENT if rule.thread == "message" else DispatchAction.ROUTE
        key = f"{by}\n{message.session_id}" if rule.thread == "session" else by
        reason = f"channel {message.channel}" if message.channel else "any channel"
        placed = self._placed(Said(DispatchResult(key, action, rule.agents[0], reason), by), facts, latency)
        if not isinstance(placed, Decided) or placed.decision.outcome == "error":
            return placed
        update: dict[str, Any] = {"metadata": dict(rule.metadata)}
        if placed.decision.new_thread:
            update["name"] = rule.name[:_NAME]
        fresh = action is DispatchAction.CREATE_AGENT
        also = tuple(
            Assignment(agent=role, new_thread=fresh, key="" if fresh else key, name=rule.name, by=by)
            for role in rule.agents[1:]
        )
        return replace(placed, decision=placed.decision.model_copy(update=update), also=also)

    def _placed(self, said: Said, facts: Facts, latency: dict[str, int]) -> Decided | Passed:
        result, roles = said.result or DispatchResult("", DispatchAction.ERROR), self._catalog.roles
        reason = storable(result.reason or result.action.value)
        if said.trouble and reason != said.trouble:
            reason = f"{reason}\n{said.trouble}"
        base: dict[str, Any] = {
            "by": "gate", "gate": said.gate, "gate_reason": reason, "latency_us": latency,
            "code_version": self._code_version,
        }  # fmt: skip
        if result.action is DispatchAction.DROP:
            return Decided(Decision(outcome="drop", **base))
        if result.action is DispatchAction.ERROR:
            return Decided(Decision(outcome="error", **base))
        if result.agent and result.agent not in roles:
            base["gate_reason"] = f"the gate named the agent {result.agent!r}, which is not declared"
            return Decided(Decision(outcome="error", **base))
        key = ""
        if result.action is DispatchAction.ROUTE:
            key = keyed_thread(facts.owner, result.key, result.agent)
            known = facts.thread(f"thr_{key}")
            while known is not None and known.agent not in roles:  # its agent is retired: the key begins anew
                key = keyed_thread(facts.owner, key, result.agent)
                known = facts.thread(f"thr_{key}")
            if known is not None and not facts.may(known.agent):
                return Decided(Decision(outcome="error", **base | {"gate_reason": _denied(known.agent)}))
            if known is not None:
                return Decided(Decision(
                    outcome="dispatch_to", thread_id=known.id, agent=known.agent, name=known.name.raw,
                    language=known.language, **base,
                ))  # fmt: skip
        agent = result.agent or self._default
        if not agent and said.gate == "session" and self._gates is None:
            return Passed(key)  # several specialists and no default: a model picks who the session begins with
        agent = agent or self._first
        if not facts.may(agent):
            return Decided(Decision(outcome="error", **base | {"gate_reason": _denied(agent)}))
        name = "".join(each for each in result.key if each.isprintable())[:_NAME]
        language = self._catalog.app.agents[agent].locale or facts.language
        decision = Decision(outcome="start_new_thread", agent=agent, language=language, name=name, **base)
        return Decided(decision, thread_key=key)


def goes_along(first: Decided | Passed | None, other: Decided | Passed | None) -> bool:
    """Whether a message of one burst goes with the first one: to the same thread, or both to the same question."""
    if not (isinstance(first, Decided) and isinstance(other, Decided)):
        return first == other
    where = [(each.decision.thread_id or each.thread_key, each.decision.agent, each.decision.metadata, each.also)
             for each in (first, other)]  # fmt: skip
    return bool(where[0][0]) and where[0] == where[1]


def _denied(agent: str) -> str:
    return f"the message may not go to {agent!r}"

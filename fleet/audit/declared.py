"""Which agents were declared when, rebuilt from the definitions that the ledger holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleet.agents.agent import Agent, DialogAgent, MessageDispatcher, SupervisedAgent
from fleet.agents.app import App
from fleet.agents.catalog import Catalog, Text
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import AgentDeclared, AgentRetired, FleetStarted

__all__ = ["Declarations"]

_DISPATCHER = "dispatcher"


class Declarations:
    """The declarations of a whole history, read once; they are few."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._changes: list[Stored] = list(ledger.read(types=(AgentDeclared.TYPE, AgentRetired.TYPE)))
        self._catalogs: dict[tuple[tuple[str, str], ...], Catalog] = {}
        self._name = "fleet"
        for stored in ledger.read(types=(FleetStarted.TYPE,), newest_first=True, limit=1):
            if isinstance(stored.event, FleetStarted):
                self._name = stored.event.app

    def at(self, seq: int) -> Catalog:
        """The application as it was declared just before the event `seq`: agents, their words, the dispatcher's.

        Functions (tools' code, a gate, the application's own verbs) are not on record and are not in it.
        Raises: InputError if no agent was declared by then.
        """
        hashes: dict[str, str] = {}
        for stored in self._changes:
            if stored.seq >= seq:
                break
            event = stored.event
            if isinstance(event, AgentDeclared):
                hashes[event.role] = event.definition
            elif isinstance(event, AgentRetired):
                hashes.pop(event.role, None)
        key = tuple(hashes.items())
        if key not in self._catalogs:
            self._catalogs[key] = self._catalog(hashes)
        return self._catalogs[key]

    def _catalog(self, hashes: Mapping[str, str]) -> Catalog:
        declared = {role: json.loads(self._ledger.blob(each)) for role, each in hashes.items()}
        own = declared.pop(_DISPATCHER, {})
        if not declared:
            raise InputError("no agent was declared in this ledger by then")
        dispatcher = MessageDispatcher(prompt=own.get("prompt"), warmup=own.get("warmup"), model=own.get("model", ""))
        app = App(name=self._name, agents=[_agent(each) for each in declared.values()], dispatcher=dispatcher)
        catalog = Catalog(app, default_worker_prompt="", default_dispatcher_prompt="")
        catalog.roles = {
            role: replace(
                found,
                examples={int(n): Text(f"{role}/{n}.md", text) for n, text in declared[role]["examples"].items()},
            )
            for role, found in catalog.roles.items()
        }
        return catalog


def _agent(declared: Mapping[str, Any]) -> Agent:
    kind = SupervisedAgent if declared["kind"] == "supervised" else DialogAgent
    return kind(
        declared["role"],
        description=declared["description"],
        capabilities=declared["capabilities"],
        prompt=declared["prompt"],
        warmup=declared["warmup"],
        model=declared["model"],
        dispatch=declared.get("dispatch", "auto"),
    )

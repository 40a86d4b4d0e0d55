"""Agents in code against agents in the durable root: added, changed, retired, each an event."""

from __future__ import annotations

from fleet.agents.catalog import Catalog
from fleet.graph.living import LivingRoot
from fleet.ledger.base import Blob, Draft
from fleet.ledger.events import AgentDeclared, AgentRetired

__all__ = ["differences"]


def differences(catalog: Catalog, root: LivingRoot, version_of: dict[str, int]) -> list[Draft]:
    """The drafts that bring the durable root's agents to what the code declares; empty if nothing changed.

    `version_of` maps a role to the version of its ledger stream. Reads only.
    """
    drafts: list[Draft] = []
    for role, found in {**catalog.roles, "dispatcher": catalog.dispatcher}.items():
        record = root.task_agents.get(role)
        before = root.dispatcher.definition if role == "dispatcher" else record.definition if record else ""
        if before == found.hash and not (record and record.retired):
            continue
        event = AgentDeclared(role=role, kind=found.kind, description=found.description, definition=found.hash)
        drafts.append(Draft(f"agent:{role}", version_of[role], (event,), blobs=(Blob.of(found.body),)))
    for role, record in root.task_agents.items():
        if role not in catalog.roles and not record.retired:
            retired = AgentRetired(role=role, open_threads=record.threads)
            drafts.append(Draft(f"agent:{role}", version_of[role], (retired,)))
    return drafts

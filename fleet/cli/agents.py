"""`fleet agents`: who answers, as the code declares it and as the ledger knows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.agents.catalog import Catalog, Definition
from fleet.cli.apps import app_for
from fleet.cli.options import app_option, home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data, indented
from fleet.clock import iso
from fleet.errors import HomeError
from fleet.ledger.base import Ledger
from fleet.ledger.events import AgentDeclared, AgentRetired, MessageDecided
from fleet.llm.registry import default_model
from fleet.prompting.examples import examples_of
from fleet.runtime.home import Home
from fleet.runtime.load import load_catalog
from fleet.settings import Settings

__all__ = ["agents"]


@dataclass(frozen=True)
class OnRecord:
    """What the ledger says of a role: the definition last declared, when, whether it is retired, threads begun."""

    definition: str = ""
    changed_at: int = 0
    retired: bool = False
    threads: int = 0


@click.command()
@app_option
@home_option
@json_option
def agents(app: str, home: Path | None, as_json: bool) -> None:
    """Show the declared agents: what each is for, its tools, words and examples, and what is on record of it.

    Works without a home; with one, it reads the ledger's declarations and decisions.
    """
    settings = load_settings(home)
    catalog = load_catalog(app_for(app, settings, check_warmup=False))
    recorded = _recorded(settings, catalog)
    working, dispatcher = default_model("work", settings), catalog.dispatcher
    found = [
        _as_json(definition, catalog.app.agents[role].model or working, recorded)
        for role, definition in catalog.roles.items()
    ]
    routing = catalog.app.dispatcher.model or default_model("route", settings)
    found.append(_as_json(dispatcher, routing, recorded))
    found += [
        {"role": role, "declared": False, "recorded": _record_json(record, "")}
        for role, record in recorded.items()
        if role not in catalog.roles and role != dispatcher.role
    ]
    if as_json:
        for each in found:
            print_json(each)
    else:
        print_page(Group(*(_page(each) for each in found)))


def _recorded(settings: Settings, catalog: Catalog) -> dict[str, OnRecord]:
    """By role; empty without a home."""
    try:
        ledger = Home(settings.home).read_ledger()
    except HomeError:
        return {}
    with ledger:
        threads: Counter[str] = Counter()
        for stored in ledger.read(types=(MessageDecided.TYPE,)):
            if isinstance(stored.event, MessageDecided) and stored.event.decision.new_thread:
                threads[stored.event.decision.agent] += 1
        known = {name.removeprefix("agent:") for name in ledger.find_streams("agent:", 10_000)}
        return {role: _record(ledger, role, threads[role]) for role in sorted(known | set(threads))}


def _record(ledger: Ledger, role: str, threads: int) -> OnRecord:
    definition, at, retired = "", 0, False
    for stored in ledger.read_stream(f"agent:{role}"):
        if isinstance(stored.event, AgentDeclared):
            definition, at, retired = stored.event.definition, stored.at, False
        elif isinstance(stored.event, AgentRetired):
            at, retired = stored.at, True
    return OnRecord(definition, at, retired, threads)


def _as_json(definition: Definition, model: str, recorded: dict[str, OnRecord]) -> dict[str, Any]:
    agent = definition.agent
    record = recorded.get(definition.role)
    return {
        "role": definition.role,
        "declared": True,
        "kind": definition.kind,
        "description": definition.description,
        "capabilities": list(definition.capabilities),
        "model": model,
        "tools": [
            {"name": tool.name, "signature": tool.signature, "effect": tool.effect, "description": tool.description}
            for tool in (agent.tools if agent else ())
        ],
        "prompt": definition.prompt.source,
        "warmup": definition.warmup.source,
        "examples": {str(number): example.name for number, example in examples_of(definition).items()},
        "definition": definition.hash,
        "recorded": _record_json(record, definition.hash) if record else None,
    }


def _record_json(record: OnRecord, declared: str) -> dict[str, Any]:
    return {
        "definition": record.definition,
        "changed_at": iso(record.changed_at),
        "up_to_date": record.definition == declared and not record.retired,
        "retired": record.retired,
        "threads": record.threads,
    }


def _page(each: dict[str, Any]) -> RenderableType:
    """One agent for people."""
    record = each["recorded"]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1)
    if each["declared"]:
        head = Text.assemble(data(each["role"], "bold"), f"  {each['kind']}")
        rows = [
            ("is for", each["description"]),
            ("can", "; ".join(each["capabilities"])),
            ("model", each["model"]),
            *(("tool", f"{tool['signature']}  [{tool['effect']}]  {tool['description']}") for tool in each["tools"]),
            ("prompt", each["prompt"]),
            ("warmup", each["warmup"]),
            *(("example", f"{number}  {name}") for number, name in each["examples"].items()),
            ("definition", each["definition"][:12]),
        ]
    else:
        head = Text.assemble(data(each["role"], "bold"), ("  no longer declared", "yellow"))
        rows = []
    if record is not None:
        state = "retired" if record["retired"] else "in force" if record["up_to_date"] else "not the code's; in force"
        rows.append(("on record", f"{record['definition'][:12]}, {state} since {record['changed_at']}"))
        rows.append(("threads", str(record["threads"])))
    for name, value in rows:
        if value:
            table.add_row(name, data(value))
    return Group(head, indented(table, 2), "")

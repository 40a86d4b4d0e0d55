"""`fleet agents`: who answers, as the code declares it and as the ledger knows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.agents.catalog import Catalog, Definition
from fleet.cli.apps import app_for
from fleet.cli.labels import who
from fleet.cli.load_lines import agent_load, load_lines
from fleet.cli.options import app_option, home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data, indented
from fleet.clock import iso
from fleet.errors import HomeError, InputError
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import AgentDeclared, AgentPaused, AgentPrewarmed, AgentRetired, MessageDecided
from fleet.llm.registry import default_model
from fleet.prompting.examples import examples_of
from fleet.runtime.beat import AgentLoad
from fleet.runtime.home import Home
from fleet.runtime.load import load_catalog
from fleet.runtime.status import load_of
from fleet.settings import Settings

__all__ = ["agents"]


@dataclass(frozen=True)
class OnRecord:
    """What the ledger says of a role: the definition last declared, when, whether it is retired or paused, threads.

    `failing` says why it does not start, "" where it does.
    """

    definition: str = ""
    changed_at: int = 0
    retired: bool = False
    threads: int = 0
    paused: bool = False
    failing: str = ""


@click.group(invoke_without_command=True)
@app_option
@home_option
@json_option
@click.pass_context
def agents(ctx: click.Context, app: str, home: Path | None, as_json: bool) -> None:
    """Show the declared agents: what each is for, its tools, words and examples, and what is on record of it.

    Works without a home; with one, it reads the ledger's declarations and decisions, and beside a running worker tells
    its load, and each agent's. With a verb it has an agent rest, or go on.
    """
    if ctx.invoked_subcommand is not None:
        return
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
    load = load_of(Home(settings.home))
    for each in found:
        known = load.agents.get(each["role"]) if load is not None else None
        each["load"] = asdict(known) if known is not None else None
    if as_json:
        for each in found:
            print_json(each)
    else:
        worker = () if load is None else (Text("worker", style="bold"), *map(_line, load_lines(load)))
        print_page(Group(*(_page(each) for each in found), *worker))


@agents.command()
@click.argument("role")
@click.option("--reason", default="", help="Why; it is on record.")
@click.option("--by", default="", metavar="NAME", help="Who asks for it [the user of this computer].")
@home_option
def pause(role: str, reason: str, by: str, home: Path | None) -> None:
    """Have the agent ROLE rest: it is given no new threads, and its turns wait, or its users are told that it is away.

    A turn that runs comes to its end. Explicit dispatches to it are taken, and wait too.
    """
    _set_paused(role, reason, by, home, paused=True)


@agents.command()
@click.argument("role")
@click.option("--reason", default="", help="Why; it is on record.")
@click.option("--by", default="", metavar="NAME", help="Who asks for it [the user of this computer].")
@home_option
def resume(role: str, reason: str, by: str, home: Path | None) -> None:
    """Have a paused agent go on: what waits for it is answered."""
    _set_paused(role, reason, by, home, paused=False)


def _set_paused(role: str, reason: str, by: str, home: Path | None, *, paused: bool) -> None:
    place = Home(load_settings(home).home)
    if not (reason.isprintable() and by.isprintable()):
        raise InputError("a reason and a name are one printable line each; nothing was changed")
    with place.read_ledger() as ledger:
        record = _record(ledger, role, 0)
        version = ledger.version(f"agent:{role}")
    if not record.definition or role == "dispatcher":
        raise InputError(f"no agent {role!r} is declared on this home; `fleet agents` shows those there are")
    done = "paused" if paused else "at work"
    if record.paused == paused:
        click.echo(f"fleet: {role} is {done} already; nothing changed", err=True)
        return
    event = AgentPaused(role=role, paused=paused, by=by.strip() or who(), reason=reason)
    with place.open_ledger() as ledger:
        ledger.append_now(Draft(f"agent:{role}", version, (event,)))
    click.echo(f"{role} is {done}")


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
    definition, at, retired, paused, failing = "", 0, False, False, ""
    for stored in ledger.read_stream(f"agent:{role}"):
        if isinstance(stored.event, AgentDeclared):
            definition, at, retired = stored.event.definition, stored.at, False
        elif isinstance(stored.event, AgentRetired):
            at, retired = stored.at, True
        elif isinstance(stored.event, AgentPaused):
            paused = stored.event.paused
        elif isinstance(stored.event, AgentPrewarmed):
            tried = f"attempt {stored.event.attempt} at {iso(stored.at)}: {stored.event.error}"
            failing = tried if stored.event.error else ""
    return OnRecord(definition, at, retired, threads, paused, failing)


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
        "paused": record.paused,
        "failing": record.failing,
        "threads": record.threads,
    }


def _line(text: str) -> RenderableType:
    return indented(Text(text), 2)


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
        if record["paused"]:
            rows.append(("paused", "no new threads; its turns wait"))
        rows.append(("does not start", record["failing"]))
        rows.append(("on record", f"{record['definition'][:12]}, {state} since {record['changed_at']}"))
        rows.append(("threads", str(record["threads"])))
    if each["load"] is not None:
        rows.append(("turns", agent_load(AgentLoad(**each["load"]))))
    for name, value in rows:
        if value:
            table.add_row(name, data(value))
    return Group(head, indented(table, 2), "")

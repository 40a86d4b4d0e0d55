"""`fleet examples`: the examples that agents are shown, and new ones made of finished jobs."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table

from fleet.agents.agent import Agent
from fleet.agents.catalog import Catalog
from fleet.audit.demonstration import demonstrate, plain_line
from fleet.audit.inert import visible
from fleet.cli.apps import app_for
from fleet.cli.conversation import Conversation, find_thread, read_conversation
from fleet.cli.options import app_option, home_option, json_option, load_settings, redact_option
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data
from fleet.cli.verbs import calls_in, problems_in
from fleet.errors import InputError
from fleet.ledger.base import Ledger
from fleet.ledger.events import AgentDeclared, DispatchRequested, MessageAccepted
from fleet.prompting.examples import Example, add_example, examples_of
from fleet.runtime.home import Home
from fleet.runtime.load import load_catalog

__all__ = ["examples"]


@click.group()
def examples() -> None:
    """Examples: what the router can choose for a new thread, and the agent is shown."""


@examples.command("list")
@click.option("--agent", "role", default="", metavar="ROLE", help="Only this agent's.")
@app_option
@home_option
@json_option
def list_(role: str, app: str, home: Path | None, as_json: bool) -> None:
    """The examples of each agent, with the ids that decisions name."""
    catalog = load_catalog(app_for(app, load_settings(home), check_warmup=False))
    roles = [role] if role else list(catalog.roles)
    found = [(each, example) for each in roles for example in _of(catalog, each).values()]
    if as_json:
        for each, example in found:
            print_json(_as_json(catalog, each, example))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("agent", "id", "name"):
        table.add_column(title, no_wrap=True)
    table.add_column("request", ratio=1)
    for each, example in found:
        table.add_row(each, str(example.id), data(example.name), data(example.request))
    print_page(table)


@examples.command()
@click.argument("role")
@click.argument("number", type=click.IntRange(min=0))
@app_option
@home_option
@json_option
def show(role: str, number: int, app: str, home: Path | None, as_json: bool) -> None:
    """One example: the file of the agent ROLE with this NUMBER."""
    catalog = load_catalog(app_for(app, load_settings(home), check_warmup=False))
    found = _of(catalog, role)
    if number not in found:
        raise InputError(f"{role} has no example {number}; it has {', '.join(map(str, found)) or 'none'}")
    if as_json:
        print_json(_as_json(catalog, role, found[number]) | {"body": found[number].body})
    else:
        click.echo(visible(catalog.roles[role].examples[number].body.rstrip("\n")))


@examples.command()
@click.option("--job", required=True, metavar="JOB", help="The job, or its thread; the beginning of an id will do.")
@click.option("--name", default="", help="What it is about [the thread's name].")
@redact_option
@app_option
@home_option
@json_option
def add(job: str, name: str, redact: bool, app: str, home: Path | None, as_json: bool) -> None:
    """Make an example of a finished job: a new file in the application's data folder, with a number of its own.

    Arguments and results become slots; other words stay as they were said: read it before you put it to use.
    """
    settings = load_settings(home)
    with Home(settings.home).read_ledger() as ledger:
        catalog = load_catalog(app_for(app, settings, check_warmup=False))
        told = read_conversation(ledger, find_thread(ledger, f"thr_{job.removeprefix('job_').removeprefix('thr_')}"))
        _of(catalog, told.agent)
        agent, folder = catalog.app.agents[told.agent], catalog.app.data
        if folder is None:
            raise InputError(f"application {catalog.app.name} has no data folder to add to; give it App(data=…)")
        text = _text(told.redacted() if redact else told, agent, name)
        path = add_example(folder, agent.role, text, least=_free_number(ledger, agent.role))
    number = int(path.name.partition("-")[0])
    if as_json:
        print_json({"role": agent.role, "id": number, "file": str(path)})
    else:
        click.echo(f"{agent.role} has example {number} now: {path}")


def _of(catalog: Catalog, role: str) -> dict[int, Example]:
    if role not in catalog.roles:
        raise InputError(f"no agent {role!r} is declared by {catalog.app.name}; there are {', '.join(catalog.roles)}")
    return examples_of(catalog.roles[role])


def _as_json(catalog: Catalog, role: str, example: Example) -> dict[str, object]:
    source = catalog.roles[role].examples[example.id].source
    return {"role": role, "id": example.id, "name": example.name, "request": example.request, "source": source}


def _text(told: Conversation, agent: Agent, name: str) -> str:
    """The whole file. Raises: InputError if the job shows nothing, or calls what the agent has no more."""
    job = f"job_{told.thread_id.removeprefix('thr_')}"
    try:
        body = demonstrate(told.events, {tool.name: tool.input_schema for tool in agent.tools})
    except InputError as refused:
        raise InputError(f"no example was made of {job}: {refused.message}") from None
    verbs = {tool.name: tuple(tool.arguments.model_fields) for tool in agent.tools}
    calls = (line.removeprefix("Call: ") for line in body.splitlines() if line.startswith("Call: "))
    wrong = [problem for line in calls for problem in problems_in(calls_in(line), verbs, agent.role)]
    if wrong:
        raise InputError(f"no example was made of {job}: {wrong[0]}")
    events = (stored.event for stored in told.events)
    said = (event.text for event in events if isinstance(event, (MessageAccepted, DispatchRequested)))
    request = plain_line(next(said, ""))
    head = {"name": plain_line(name or told.name) or request or job, "request": request, "job": job}
    front = "".join(f"{key}: {value}\n" for key, value in head.items() if value)
    return f"---\n{front}---\n{body}"


def _free_number(ledger: Ledger, role: str) -> int:
    """The number after all that the role's definitions on record ever had: a file that is gone keeps its number."""
    events = (stored.event for stored in ledger.read_stream(f"agent:{role}"))
    declared = {event.definition for event in events if isinstance(event, AgentDeclared)}
    return max((int(each) for found in declared for each in json.loads(ledger.blob(found))["examples"]), default=-1) + 1

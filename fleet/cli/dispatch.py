"""`fleet dispatch`: work assigned to an agent by an operator, and what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click
from rich.table import Table
from rich.text import Text

from fleet.audit.inert import visible
from fleet.cli.conversation import find_thread
from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data
from fleet.cli.send import read_input
from fleet.clock import iso
from fleet.errors import FleetError, InputError
from fleet.ledger.base import Ledger
from fleet.ledger.events import AgentDeclared, AgentRetired
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.asked import asked_for, roles_of
from fleet.runtime.dispatches import Dispatch, DispatchState, again, cancel_now, dispatches, find_dispatch
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now, check_message
from fleet.runtime.room import Room
from fleet.runtime.trace import Trace, traces
from fleet.settings import Settings

__all__ = ["dispatch"]

_WELL = ("success", "need_input")
_by_option = click.option("--by", default="", metavar="NAME", help="Who asks for it [the user of this computer].")


@click.group()
def dispatch() -> None:
    """Assign work to an agent: no routing model is asked, and `fleet why` answers for it all the same."""


@dispatch.command()
@click.option("--agent", "agents", multiple=True, metavar="ROLE", help="Who gets it [the thread's own agent].")
@click.option(
    "--mode", type=click.Choice(["queue", "workflow", "ask_user"]), default="queue", show_default=True,
    help="workflow: through several agents, each one's result the next one's input; ask_user: the user says which "
    "of the plausible threads and agents it is for.",
)  # fmt: skip
@click.option("--user", required=True, help="Whose thread it is.")
@click.option("--thread", default="", metavar="T", help="The thread that it continues, an id or its beginning.")
@click.option("--new-thread", is_flag=True, help="Always a new thread [else the user's newest with this agent].")
@click.option("--handoff", is_flag=True, help="The thread goes over to the agent, its history with it.")
@click.option("--name", default="", help="A new thread's name.")
@click.option("--metadata", default="", metavar="JSON", help="An object for the agent: job.metadata.")
@click.option("--id", "dispatch_id", default="", help="Its id; asked for twice, it counts once [a new one].")
@click.option("--wait", is_flag=True, help="Wait until it has ended, and print the reply.")
@_by_option
@home_option
@json_option
@click.argument("text", default="")
@click.pass_context
def create(
    ctx: click.Context, agents: tuple[str, ...], mode: str, user: str, thread: str, new_thread: bool, handoff: bool,
    name: str, metadata: str, dispatch_id: str, wait: bool, by: str, home: Path | None, as_json: bool, text: str,
) -> None:  # fmt: skip
    """Dispatch AGENT to a user's thread, with TEXT as the message; print the dispatch's id once it is durable.

    With --mode workflow --agent is given several times: the work goes through them in that order. With --mode ask_user
    it may be given several times, and limits whom the user is asked about.

    TEXT may be left out; `-` reads standard input. A worker carries it out, now or when it starts. With --wait the exit
    code is 1 if it ends as anything but success or need_input.
    """
    settings = load_settings(home)
    if text == "-":
        text = read_input(settings.max_message_bytes)
    if handoff and mode != "queue":
        raise InputError(f"the mode {mode} is no handoff; nothing was sent")
    asked = asked_for(
        agents, "handoff" if handoff else mode, thread_id=thread, new_thread=new_thread, name=name,
        by=by.strip() or who(),
    )  # fmt: skip
    message = Message(user, text, dispatch_id, metadata=_object(metadata), dispatch=asked)
    check_message(message, settings.max_message_bytes)
    made = _sent(settings, message, thread)
    _tell(ctx, settings, made, as_json=as_json, wait=wait)


@dispatch.command("list")
@click.option("--user", default="", help="Only this user's.")
@click.option("--agent", default="", metavar="ROLE", help="Only this agent's.")
@click.option("--state", default="", type=click.Choice(["", *get_args(DispatchState)]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@home_option
@json_option
def list_(user: str, agent: str, state: str, limit: int, home: Path | None, as_json: bool) -> None:
    """Dispatches, the newest first."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        found = list(dispatches(ledger, user=user, agent=agent, state=state, limit=limit))
    if as_json:
        for each in found:
            print_json(each.as_dict())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("dispatch", "requested (UTC)", "user", "agent", "state"):
        table.add_column(title, no_wrap=True)
    table.add_column("reason", ratio=1)
    for each in found:
        table.add_row(
            data(each.id, width=40), iso(each.requested_at)[:19], data(each.user, width=24), data(each.agent),
            Text(each.state, style="" if each.state in _WELL or not each.ended else "yellow"), data(each.reason),
        )  # fmt: skip
    print_page(table)


@dispatch.command()
@click.argument("dispatch_id", metavar="ID")
@home_option
@json_option
def show(dispatch_id: str, home: Path | None, as_json: bool) -> None:
    """What became of one dispatch. `fleet why ID` has every step."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        _print(find_dispatch(ledger, dispatch_id), as_json=as_json)


@dispatch.command()
@click.argument("dispatch_id", metavar="ID")
@click.option("--reason", default="", help="Why; it is on record.")
@_by_option
@home_option
@json_option
def cancel(dispatch_id: str, reason: str, by: str, home: Path | None, as_json: bool) -> None:
    """Call a dispatch off. A turn that runs for it is ended; a tool that runs is not interrupted."""
    if not reason.isprintable():
        raise InputError("a reason is one printable line; nothing was called off")
    with _writing(load_settings(home)) as ledger:
        _print(cancel_now(ledger, dispatch_id, by=by.strip() or who(), reason=reason), as_json=as_json)


@dispatch.command()
@click.argument("dispatch_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until it has ended, and print the reply.")
@_by_option
@home_option
@json_option
@click.pass_context
def retry(ctx: click.Context, dispatch_id: str, wait: bool, by: str, home: Path | None, as_json: bool) -> None:
    """Dispatch again what ended as failed, blocked, cancelled or error; print the new dispatch's id."""
    settings = load_settings(home)
    with Home(settings.home).read_ledger() as ledger:
        message = again(ledger, dispatch_id, by=by.strip() or who())
    _tell(ctx, settings, _sent(settings, message, ""), as_json=as_json, wait=wait)


@dispatch.command()
@click.argument("message", required=False, default="")
@click.option("--user", default="", help="Only this user's messages.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The last so many transitions."
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@home_option
@json_option
def trace(message: str, user: str, limit: int, follow: bool, home: Path | None, as_json: bool) -> None:
    """The transitions of messages and dispatches, in order: of MESSAGE, or the last ones of all."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        newest = traces(ledger, message=message, user=user, newest_first=True)
        last = 0
        for each in reversed(list(islice(newest, limit))):
            _print_trace(each, as_json=as_json)
            last = max(last, each.seq)
    if follow:
        asyncio.run(_follow(load_settings(home), message, user, last, as_json=as_json))


async def _follow(settings: Settings, message: str, user: str, last: int, *, as_json: bool) -> None:
    async for ledger in _commits(settings):
        for each in traces(ledger, message=message, user=user, after=last):
            _print_trace(each, as_json=as_json)
            last = each.seq


async def _commits(settings: Settings) -> AsyncGenerator[SqliteLedger, None]:
    """The home's ledger now, and again whenever another process has committed something.

    It is opened anew each time: a file beside which nobody writes is taken for one that never changes.
    """
    committed = asyncio.Event()
    with Home(settings.home).read_ledger() as watched, watched.watch(committed.set):
        while True:
            committed.clear()
            with Home(settings.home).read_ledger() as ledger:
                yield ledger
            await committed.wait()


def _print_trace(each: Trace, *, as_json: bool) -> None:
    if as_json:
        print_json(each.as_dict())
        return
    where = " ".join(filter(None, (each.agent, each.thread_id)))
    told = [iso(each.at)[:23], f"{each.name:<24}", *(data(word).plain for word in (each.message_id, each.user, where))]
    click.echo("  ".join(filter(None, [*told, data(each.detail, width=100).plain])))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise InputError(f"--metadata is not JSON: {error}; nothing was sent") from None
    if not isinstance(found, dict):
        raise InputError('--metadata is a JSON object such as {"order": 7}; nothing was sent')
    return found


def _sent(settings: Settings, message: Message, thread: str) -> Dispatch:
    """Make the dispatch durable; a role or thread that the home does not know is refused before."""
    Room(settings.home, settings.disk_reserve_mb).check()
    with Home(settings.home).open_ledger() as ledger:
        for role in roles_of(message.dispatch):
            _check_role(ledger, role)
        if thread and message.dispatch is not None:
            found = find_thread(ledger, thread)
            message = _with(message, thread_id=found)
        accepted = accept_now(ledger, message, settings.max_message_bytes, settings.inbox_limit)
        if not accepted.new:
            click.echo("fleet: already accepted; nothing changed", err=True)
        return find_dispatch(ledger, accepted.message_id)


def _with(message: Message, **fields: Any) -> Message:
    return replace(message, dispatch=message.dispatch.model_copy(update=fields) if message.dispatch else None)


def _check_role(ledger: Ledger, role: str) -> None:
    """Refuse a role that no application on this home declares. A home that no worker has opened knows none yet."""
    declared: dict[str, bool] = {}
    for stored in ledger.read(types=(AgentDeclared.TYPE, AgentRetired.TYPE)):
        if isinstance(stored.event, (AgentDeclared, AgentRetired)) and stored.event.role != "dispatcher":
            declared[stored.event.role] = isinstance(stored.event, AgentDeclared)
    known = [each for each, there in declared.items() if there]
    if known and role not in known:
        raise InputError(f"no agent {role!r} is declared on this home; there are {', '.join(known)}; nothing was sent")


def _writing(settings: Settings) -> SqliteLedger:
    place = Home(settings.home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    return place.open_ledger()


def _tell(ctx: click.Context, settings: Settings, made: Dispatch, *, as_json: bool, wait: bool) -> None:
    if not wait:
        print_json({"id": made.id}) if as_json else click.echo(made.id)
        return
    ended = asyncio.run(_ended(settings, made.id))
    if as_json:
        print_json(ended.as_dict())
    else:
        click.echo(f"fleet: dispatch {ended.id} ended as {ended.state}: {ended.reason}", err=True)
        if ended.reply:
            click.echo(visible(ended.reply))
    if ended.state not in _WELL:
        ctx.exit(1)


async def _ended(settings: Settings, dispatch_id: str) -> Dispatch:
    """The dispatch once it has ended."""
    async with aclosing(_commits(settings)) as commits:
        async for ledger in commits:
            if (found := find_dispatch(ledger, dispatch_id)).ended:
                return found
    raise FleetError(f"dispatch {dispatch_id} has not ended")


def _print(found: Dispatch, *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_dict())
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1)
    told = found.as_dict()
    steps = told.pop("steps")
    told["workflow"] = " → ".join(found.workflow)
    told |= {
        f"step {number}": "  ".join(filter(None, (each["agent"], each["state"], each["id"], each["reason"])))
        for number, each in enumerate(steps, 1)
    }
    for label, value in told.items():
        if value:
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
            table.add_row(label, data(shown))
    print_page(table)

"""`fleet jobs`: where each stands, what it did and cost; called off, tried again, a call that was cut off settled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data, indented, lines
from fleet.errors import InputError
from fleet.ledger.base import Ledger
from fleet.runtime.approvals import resolve_call
from fleet.runtime.home import Home
from fleet.runtime.job_orders import cancel_job, retry_job
from fleet.runtime.jobs import STATES, Turn, find_job, job_of
from fleet.runtime.jobs import jobs as all_jobs

__all__ = ["jobs"]


_by_option = click.option("--by", default="", metavar="NAME", help="Who says so [the user of this computer].")


@click.group()
def jobs() -> None:
    """Jobs: an agent's work in one thread. JOB is an id, or the beginning of one."""


@jobs.command("list")
@click.option("--user", default="", help="Only this user's.")
@click.option("--state", type=click.Choice(STATES), default=None, help="Only those in this state.")
@click.option("--cut-off", is_flag=True, help="Only those with a call of which nobody knows whether it took effect.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@home_option
@json_option
def list_(user: str, state: str | None, cut_off: bool, limit: int, home: Path | None, as_json: bool) -> None:
    """Jobs by their latest activity, newest first; under each the calls that `fleet jobs resolve` has to settle."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        wanted = (each for each in all_jobs(ledger, user=user, state=state or "") if each.cut_off or not cut_off)
        found = list(islice(wanted, limit))
    if as_json:
        for each in found:
            print_json(each.as_dict())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("job", "state", "latest activity", "user", "agent"):
        table.add_column(title, no_wrap=True)
    for title in ("turns", "waiting", "cost"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("cut off", ratio=1)
    for each in found:
        state_ = f"with {each.taken_over}" if each.state == "taken_over" else each.state
        cut = "; ".join(f"{call.call_id}: {_call(call.tool, call.arguments)}" for call in each.cut_off)
        table.add_row(
            each.id, data(state_, width=24), each.latest_at[:19], data(each.user, width=24), data(each.agent),
            str(len(each.turns)), str(each.waiting), _cost(each.cost_usd), data(cut),
        )  # fmt: skip
    print_page(table if found else Text("no such jobs"))


@jobs.command()
@click.argument("job")
@home_option
@json_option
def show(job: str, home: Path | None, as_json: bool) -> None:
    """One job: its turns in order, their calls, what they cost."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        found = job_of(ledger, find_job(ledger, job))
    if as_json:
        print_json(found.as_dict(whole=True))
        return
    head = Text.assemble(
        (found.id, "bold"), "  ", data(found.user), " with ", data(found.agent), f"  {found.state}  ",
        data(f"taken over by {found.taken_over}  " if found.taken_over else "", "yellow"),
        f"{found.waiting} waiting, {found.tokens} tokens, {_cost(found.cost_usd)}",
    )  # fmt: skip
    print_page(Group(head, *map(_turn, found.turns)))


def _turn(turn: Turn) -> RenderableType:
    by = f" by {turn.by}" if turn.by else ""
    head = Text.assemble(
        (f"{turn.started_at[:19]} ", "dim"), data(f"turn {turn.number}{by}: {turn.result}", "bold"), " ",
        data(turn.reason, "red"), (f"  {turn.model_calls} model calls, {turn.tokens} tokens, ", "dim"),
        (_cost(turn.cost_usd), "dim"),
    )  # fmt: skip
    messages = [indented(data(f"answers {', '.join(turn.message_ids)}", "dim"), 2)] if turn.message_ids else []
    if turn.reminders:
        messages.append(indented(data(f"reminded by {', '.join(turn.reminders)}", "dim"), 2))
    calls = [
        indented(data(f"{each.call_id}: {_call(each.tool, each.arguments)} → {each.state}: {each.content}", "", 400), 2)
        for each in turn.calls
    ]
    return Group(head, *messages, *calls, *([indented(lines(turn.reply), 4)] if turn.reply else []))


def _call(tool: str, arguments: Mapping[str, Any]) -> str:
    return f"{tool} {json.dumps(dict(arguments), ensure_ascii=False)}"


def _cost(usd: float) -> str:
    return f"${usd:.4f}"


@jobs.command()
@click.argument("job")
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@_by_option
@home_option
@json_option
def cancel(job: str, reason: str, by: str, home: Path | None, as_json: bool) -> None:
    """Call off what JOB is doing and what waits for it.

    A turn that runs ends between two steps: a tool that runs comes to its end. Nothing is told to the user.
    """
    if not reason.isprintable():
        raise InputError("a reason is one printable line; nothing was changed")
    with _ledger(home) as ledger:
        found = cancel_job(ledger, find_job(ledger, job), by=by.strip() or who(), reason=reason)
    print_json(found.as_dict()) if as_json else click.echo(f"{found.id}: called off, it was {found.state}")


@jobs.command()
@click.argument("job")
@_by_option
@home_option
@json_option
def retry(job: str, by: str, home: Path | None, as_json: bool) -> None:
    """Have the messages of JOB's last turn, which failed, is blocked or was called off, answered again."""
    with _ledger(home) as ledger:
        job_id = find_job(ledger, job)
        ids = retry_job(ledger, job_id, by=by.strip() or who())
    print_json({"id": job_id, "message_ids": ids}) if as_json else click.echo(f"{job_id}: {', '.join(ids)} waits again")


@contextmanager
def _ledger(home: Path | None) -> Iterator[Ledger]:
    place = Home(load_settings(home).home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    with place.open_ledger() as ledger:
        yield ledger


@jobs.command()
@click.argument("job")
@click.option("--took-effect/--no-effect", "took_effect", default=None, help="What you found out.")
@click.option("--call", "call_id", default="", metavar="ID", help="Which call, where the job has several.")
@click.option("--note", default="", metavar="TEXT", help="What the agent should know about it.")
@_by_option
@home_option
@json_option
def resolve(
    job: str, took_effect: bool | None, call_id: str, note: str, by: str, home: Path | None, as_json: bool
) -> None:
    """Say what became of a call that was cut off. The agent is told, and goes on."""
    if took_effect is None:
        raise InputError("say --took-effect or --no-effect; nothing was changed")
    if not note.isprintable():
        raise InputError("a note is one printable line; nothing was changed")
    with _ledger(home) as ledger:
        found = resolve_call(ledger, job, call_id, took_effect=took_effect, note=note, by=by.strip() or who())
    if as_json:
        print_json({**found.as_dict(), "took_effect": took_effect})
        return
    click.echo(f"{found.job_id}: {found.tool} {'took effect' if took_effect else 'had no effect'}, on record")

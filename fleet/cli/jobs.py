"""`fleet jobs`: calls that were cut off, and what a person found out about them."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table

from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data
from fleet.errors import InputError
from fleet.runtime.approvals import cut_off_calls, resolve_call
from fleet.runtime.home import Home

__all__ = ["jobs"]


@click.group()
def jobs() -> None:
    """Jobs that cannot go on by themselves: it is not known whether a call of theirs took effect."""


@jobs.command("list")
@home_option
@json_option
def list_(home: Path | None, as_json: bool) -> None:
    """Jobs with a call of which nobody knows whether it took effect, the newest first."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        found = list(cut_off_calls(ledger))
    if as_json:
        for each in found:
            print_json(each.as_dict())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("job", "cut off (UTC)", "user", "call id"):
        table.add_column(title, no_wrap=True)
    table.add_column("call", ratio=1)
    for each in found:
        call = f"{each.tool} {json.dumps(each.arguments, ensure_ascii=False)}"
        table.add_row(each.job_id, each.at[:19], data(each.user, width=24), data(each.call_id, width=40), data(call))
    print_page(table)


@jobs.command()
@click.argument("job")
@click.option("--took-effect/--no-effect", "took_effect", default=None, help="What you found out.")
@click.option("--call", "call_id", default="", metavar="ID", help="Which call, where the job has several.")
@click.option("--note", default="", metavar="TEXT", help="What the agent should know about it.")
@click.option("--by", default="", metavar="NAME", help="Who says so [the user of this computer].")
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
    place = Home(load_settings(home).home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    with place.open_ledger() as ledger:
        found = resolve_call(ledger, job, call_id, took_effect=took_effect, note=note, by=by.strip() or who())
    if as_json:
        print_json({**found.as_dict(), "took_effect": took_effect})
        return
    click.echo(f"{found.job_id}: {found.tool} {'took effect' if took_effect else 'had no effect'}, on record")

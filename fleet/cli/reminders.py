"""`fleet reminders`: what agents have set for later, and taking it back."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data
from fleet.cli.reading import say_forgotten
from fleet.errors import InputError
from fleet.runtime.home import Home
from fleet.runtime.reminders import cancel_reminder
from fleet.runtime.reminders import reminders as all_reminders

__all__ = ["reminders"]


@click.group()
def reminders() -> None:
    """Reminders that agents have set. When one is due its thread's agent has a turn, or the user is told its note."""


@reminders.command("list")
@click.option("--user", default="", help="Only this user's.")
@click.option("--thread", default="", metavar="THREAD", help="Only this thread's.")
@click.option("--all", "every", is_flag=True, help="Those too that fired or were cancelled.")
@home_option
@json_option
def list_(user: str, thread: str, every: bool, home: Path | None, as_json: bool) -> None:
    """What is set, by the time it is due. `late`: its time has come, and no worker ran to fire it."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        say_forgotten(ledger, user)
        found = all_reminders(ledger, user=user, thread=thread, every=every)
    if as_json:
        for each in found:
            print_json(each.as_dict())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("reminder", "state", "due (UTC)", "user", "thread"):
        table.add_column(title, no_wrap=True)
    table.add_column("note", ratio=1)
    for each in found:
        table.add_row(each.id, each.state, each.due_at[:19], data(each.user, width=24), each.thread_id, data(each.note))
    print_page(table if found else Text("no such reminders"))


@reminders.command()
@click.argument("reminder", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@click.option("--by", default="", metavar="NAME", help="Who says so [the user of this computer].")
@home_option
@json_option
def cancel(reminder: str, reason: str, by: str, home: Path | None, as_json: bool) -> None:
    """Take a reminder back before it fires. ID is an id, or the beginning of one. Nobody is told."""
    if not reason.isprintable():
        raise InputError("a reason is one printable line; nothing was changed")
    place = Home(load_settings(home).home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    with place.open_ledger() as ledger:
        found = cancel_reminder(ledger, reminder, by=by.strip() or who(), reason=reason)
    print_json(found.as_dict()) if as_json else click.echo(f"{found.id}: cancelled by {found.by}")

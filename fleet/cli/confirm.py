"""`fleet confirm`: calls that wait for a person's approval."""

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
from fleet.runtime.approvals import confirmations, settle
from fleet.runtime.home import Home

__all__ = ["confirm"]

_by_option = click.option("--by", default="", metavar="NAME", help="Who says so [the user of this computer].")


@click.group()
def confirm() -> None:
    """Calls of tools that wait for an approval. An approval holds for that call with those arguments alone."""


@confirm.command("list")
@click.option("--user", default="", help="Only this user's.")
@click.option("--all", "every", is_flag=True, help="Those too that are settled or have expired.")
@home_option
@json_option
def list_(user: str, every: bool, home: Path | None, as_json: bool) -> None:
    """What waits for an approval, the newest first."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        found = list(confirmations(ledger, user=user, every=every))
    if as_json:
        for each in found:
            print_json(each.as_dict())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("confirmation", "state", "asked (UTC)", "expires (UTC)", "user", "who may"):
        table.add_column(title, no_wrap=True)
    table.add_column("call", ratio=1)
    for each in found:
        call = f"{each.tool} {json.dumps(each.arguments, ensure_ascii=False)}"
        table.add_row(
            each.id, each.state, each.asked_at[:19], each.expires_at[:19], data(each.user, width=24), each.approver,
            data(call),
        )  # fmt: skip
    print_page(table)


@confirm.command()
@click.argument("confirmation", metavar="ID")
@_by_option
@home_option
@json_option
def approve(confirmation: str, by: str, home: Path | None, as_json: bool) -> None:
    """Let the call run, as it was asked for. A worker runs it, now or when it starts."""
    _settle(confirmation, by, home, approved=True, as_json=as_json)


@confirm.command()
@click.argument("confirmation", metavar="ID")
@_by_option
@home_option
@json_option
def deny(confirmation: str, by: str, home: Path | None, as_json: bool) -> None:
    """Refuse the call. The agent is told, and tells the user."""
    _settle(confirmation, by, home, approved=False, as_json=as_json)


def _settle(confirmation: str, by: str, home: Path | None, *, approved: bool, as_json: bool) -> None:
    place = Home(load_settings(home).home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    with place.open_ledger() as ledger:
        found = settle(ledger, confirmation, approved=approved, by=by.strip() or who())
    print_json(found.as_dict()) if as_json else click.echo(f"{found.id}: {found.state} by {found.by}")

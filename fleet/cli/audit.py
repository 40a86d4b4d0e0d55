"""`fleet audit`: the decisions on record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fleet.audit.decisions import Filter, decisions, row_of
from fleet.audit.find import read_time
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json_lines
from fleet.ledger.base import Stored
from fleet.runtime.home import Home

__all__ = ["audit"]

_ROWS = 20
_ACTIONS = ("dispatch_to", "start_new_thread", "drop", "error", "human")


@click.group()
def audit() -> None:
    """What was decided, and by whom. Reads the ledger only."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help=f"The last N [{_ROWS}; with --json: all].")
@click.option("--user", default="", metavar="U", help="Of this user.")
@click.option("--agent", default="", metavar="ROLE", help="Routed to this agent.")
@click.option("--action", default="", type=click.Choice(["", *_ACTIONS]), show_choices=True, help="With this action.")
@click.option("--fallback", is_flag=True, help="Where a fallback decided.")
@click.option("--since", default="", metavar="TIME", help="Decided at this time or later (ISO 8601, UTC).")
@click.option("--until", default="", metavar="TIME", help="Decided at this time or earlier.")
@json_option
@home_option
def list_(
    limit: int | None,
    user: str,
    agent: str,
    action: str,
    fallback: bool,
    since: str,
    until: str,
    as_json: bool,
    home: Path | None,
) -> None:
    """List decisions, newest last; with --json one object a line, in the order decided."""
    wanted = Filter(
        user,
        agent,
        action,
        fallback,
        read_time(since) if since else None,
        read_time(until) if until else None,
    )
    with Home(load_settings(home).home).read_ledger() as ledger:
        if as_json:
            print_json_lines(row_of(stored) for stored in decisions(ledger, wanted, limit))
            return
        found = list(decisions(ledger, wanted, _ROWS if limit is None else limit))
    _print_table(found)


def _print_table(found: Sequence[Stored]) -> None:
    if not found:
        click.echo("no decision fits")
        return
    from fleet.audit.table import decision_table  # rich, which --json does without
    from fleet.cli.page import print_page

    print_page(decision_table(found))

"""`fleet check`: whether an application's parts fit together."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from fleet.agents.app import import_app
from fleet.cli.joins import Finding, check_app
from fleet.cli.options import DEMO_APP, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data

__all__ = ["check"]


@click.command()
@click.option("--app", metavar="MODULE:ATTR", default=DEMO_APP, show_default=True, help="The application.")
@json_option
@click.pass_context
def check(ctx: click.Context, app: str, as_json: bool) -> None:
    """Check every join: role, prompt, warmup, examples, tools, channels, models.

    Opens no home and asks no model. Exit code 1 if a check fails.
    """
    found = list(check_app(import_app(app), load_settings(None)))
    failed = sum(not each.ok for each in found)
    if as_json:
        print_json({"ok": not failed, "app": app, "checks": [asdict(each) for each in found]})
    else:
        print_page(_table(found))
        click.echo(f"\n{len(found)} checks of {app}: " + (f"{failed} failed" if failed else "all hold"))
    if failed:
        ctx.exit(1)


def _table(found: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for each in found:
        mark = Text("ok", "green") if each.ok else Text("failed", "bold red")
        table.add_row(mark, data(each.subject), data(each.check), data(each.detail, "" if each.ok else "red"))
    return table

"""`fleet documents`: what an agent with the tool `search_documents` can look things up in."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data, indented, lines
from fleet.clock import iso
from fleet.documents.store import Documents, read_source
from fleet.runtime.home import Home

__all__ = ["documents"]


@click.group()
def documents() -> None:
    """Markdown and text files that agents can search; kept in the home, and a worker may run meanwhile."""


@documents.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@home_option
@json_option
def add(paths: tuple[Path, ...], home: Path | None, as_json: bool) -> None:
    """Add files, and all Markdown and text files of folders; one that is there already is brought up to date."""
    sources = [source for path in paths for source in read_source(path)]
    place = Home(load_settings(home).home)
    place.create()
    done = Documents(place.path).add(sources)
    if as_json:
        for each in done:
            print_json(asdict(each))
        return
    counts = Counter(each.what for each in done)
    said = ", ".join(f"{counts[what]} {what}" for what in ("added", "replaced", "unchanged") if counts[what])
    click.echo(f"{said}: {sum(each.sections for each in done)} sections to search")


@documents.command("list")
@home_option
@json_option
def list_(home: Path | None, as_json: bool) -> None:
    """The documents, by name."""
    found = Documents(load_settings(home).home).all()
    if as_json:
        for each in found:
            print_json({**asdict(each), "added_at": iso(each.added_at)})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("document", "sections", "added (UTC)"):
        table.add_column(title, no_wrap=True)
    table.add_column("title", ratio=1)
    for each in found:
        table.add_row(data(each.name), str(each.sections), iso(each.added_at)[:19], data(each.title))
    print_page(table if found else Text("no documents yet"))


@documents.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@home_option
def remove(names: tuple[str, ...], home: Path | None) -> None:
    """Take documents out again, by the names that `list` shows, or a folder's."""
    for name in Documents(load_settings(home).home).remove(names):
        print_page(data(f"removed {name}"))


@documents.command()
@click.argument("query")
@home_option
@json_option
def search(query: str, home: Path | None, as_json: bool) -> None:
    """What an agent would find for a question, the best passage first."""
    found = Documents(load_settings(home).home).search(query)
    if as_json:
        for each in found:
            print_json(each.as_dict())
        return
    for each in found:
        where = " / ".join(filter(None, (each.title, each.section)))
        print_page(Text.assemble(data(where, "bold"), "  ", data(each.document, "dim")))
        print_page(Group(indented(lines(each.text), 2), ""))
    if not found:
        click.echo("nothing found")

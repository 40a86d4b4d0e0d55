"""`fleet audit list`: decisions, page by page, and as they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from fleet.audit.decisions import Filter, decisions, row_of
from fleet.cli.filters import filter_options
from fleet.cli.options import home_option, json_option, redact_option
from fleet.cli.output import print_json, print_json_lines
from fleet.cli.reading import reading, say_forgotten, shown
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored

__all__ = ["list_"]

_ROWS = 20


@click.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help=f"The last N [{_ROWS}; with --json: all].")
@click.option("--follow", is_flag=True, help="Then go on with every decision as it is made.")
@redact_option
@json_option
@home_option
def list_(wanted: Filter, limit: int | None, follow: bool, redact: bool, as_json: bool, home: Path | None) -> None:
    """List decisions, newest last; with --json one object a line, in the order decided.

    An object's `seq` is its place for ever: the page before a page is that with --before set to the first seq in it,
    and what came after it is had with --after.
    """
    if follow and (wanted.before is not None or wanted.until is not None):
        raise InputError("--follow goes on for ever; --before and --until end it")
    with reading(home) as ledger:
        say_forgotten(ledger, wanted.user)
        last = max(wanted.after, ledger.head()[0]) if follow else None
        page = replace(wanted, before=last + 1) if last is not None else wanted
        show = _print_rows if as_json else _print_table
        show_next = show(ledger, page, limit, redact=redact, follow=follow)
        if last is not None:
            _follow(ledger, replace(wanted, after=last), lambda each: show_next(*shown([each], redact=redact)))


def _print_rows(
    ledger: Ledger, wanted: Filter, limit: int | None, *, redact: bool, follow: bool
) -> Callable[[Stored], None]:
    """Print the page; how to print one more."""
    print_json_lines(row_of(stored) for stored in shown(decisions(ledger, wanted, limit), redact=redact))
    return lambda stored: print_json(row_of(stored))


def _print_table(
    ledger: Ledger, wanted: Filter, limit: int | None, *, redact: bool, follow: bool
) -> Callable[[Stored], None]:
    """The same for people, and where older ones are."""
    from fleet.audit.table import decision_line, decision_table  # rich, which --json does without
    from fleet.cli.page import print_page

    rows = _ROWS if limit is None else limit
    found = list(decisions(ledger, wanted, rows + 1))
    page: Sequence[Stored] = found[-rows:] if rows else []
    if page:
        print_page(decision_table(shown(page, redact=redact)))
    elif not follow:
        click.echo("no decision fits")
    if page and len(found) > rows:
        click.echo(f"older ones: --before {page[0].seq}", err=True)
    return lambda stored: click.echo(decision_line(stored))


def _follow(ledger: Ledger, wanted: Filter, show: Callable[[Stored], None]) -> None:
    """Show every decision after `wanted.after` as it is made, until interrupted."""
    import asyncio  # which a page does without

    async def follow(after: int) -> None:
        news = asyncio.Event()
        with ledger.watch(news.set):
            while True:
                news.clear()
                head = ledger.head()[0]
                for stored in decisions(ledger, replace(wanted, after=after)):
                    show(stored)
                    after = max(after, stored.seq)
                after = max(after, head)
                await news.wait()

    asyncio.run(follow(wanted.after))

"""`fleet takeover`, `fleet reply`, `fleet release`: a person answers in the place of a thread's agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from fleet.cli.conversation import find_thread
from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.ledger.base import Ledger
from fleet.runtime import takeover as runtime
from fleet.runtime.home import Home

__all__ = ["release", "reply", "takeover"]

_by_option = click.option("--by", default="", metavar="NAME", help="Who does so [the user of this computer].")


@click.command()
@click.argument("thread")
@_by_option
@home_option
@json_option
def takeover(thread: str, by: str, home: Path | None, as_json: bool) -> None:
    """Answer in THREAD yourself: no model replies there until it is released.

    THREAD is an id, or the beginning of one. Messages go on being routed to it, and wait. A turn that runs ends between
    two steps, and what it would have said is not sent.
    """
    with _ledger(home) as ledger:
        found = runtime.takeover(ledger, find_thread(ledger, thread), by=by.strip() or who())
    print_json(found.as_dict()) if as_json else click.echo(f"{found.thread_id}: taken over by {found.by}")


@click.command()
@click.argument("thread")
@click.argument("text")
@click.option("--by", default="", metavar="NAME", help="Who says it [whoever has taken the thread over].")
@home_option
@json_option
def reply(thread: str, text: str, by: str, home: Path | None, as_json: bool) -> None:
    """Tell the user of a THREAD that is taken over TEXT. A worker delivers it, now or when it starts.

    It answers the messages that wait in the thread, and is part of the conversation that the agent goes on with.
    """
    with _ledger(home) as ledger:
        found = runtime.reply(ledger, find_thread(ledger, thread), text, by=by.strip())
    print_json(found.as_dict()) if as_json else click.echo(f"{found.thread_id}: the reply is on record")


@click.command()
@click.argument("thread")
@_by_option
@home_option
@json_option
def release(thread: str, by: str, home: Path | None, as_json: bool) -> None:
    """Give THREAD back to its agent, which answers what nobody has answered."""
    with _ledger(home) as ledger:
        found = runtime.release(ledger, find_thread(ledger, thread), by=by.strip() or who())
    if as_json:
        print_json({**found.as_dict(), "by": ""})
    else:
        click.echo(f"{found.thread_id}: released; {found.by} had it")


@contextmanager
def _ledger(home: Path | None) -> Iterator[Ledger]:
    place = Home(load_settings(home).home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    with place.open_ledger() as ledger:
        yield ledger

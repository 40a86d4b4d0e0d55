"""`fleet forget`: every payload of one user out of the home."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.errors import InputError
from fleet.prompting.quote import quote
from fleet.runtime.forget import events_of, forget
from fleet.runtime.home import Home

__all__ = ["forget_"]


@click.command("forget")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask; it cannot be undone.")
@click.option("--by", default="", metavar="NAME", help="On whose word [the user of this computer].")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--app", metavar="MODULE:ATTR", default="", help="Whose reducers make the graph [the home's own].")
@home_option
@json_option
def forget_(user: str, yes: bool, by: str, reason: str, app: str, home: Path | None, as_json: bool) -> None:
    """Erase what USER wrote, what was decided and answered, and all that was shown for it: everywhere in the home.

    No worker may run meanwhile; senders may. Their rows stay without payload, so that the hash chain still holds; with
    them stay the user's id, message ids, times and digests. What is done is on record. Backups keep what they hold.
    """
    place = Home(load_settings(home).home)
    left = events_of(place, user)
    if left and not yes:
        if not sys.stdin.isatty():
            raise InputError(f"{left} events of {quote(user)} would be erased, which cannot be undone; say --yes")
        click.confirm(f"Erase {left} events of {quote(user)}? This cannot be undone.", abort=True, err=True)
    done = forget(place, user, by=by.strip() or who(), reason=reason.strip(), app=app)
    event = done.event
    if as_json:
        counts = ("erased_events", "erased_messages", "erased_blobs")
        erased = {each: getattr(event, each, 0) for each in counts}
        print_json({"user": user, "seq": done.seq or None, **erased, "aside": [str(each) for each in done.aside]})
        return
    for each in done.aside:
        click.echo(f"erased {quote(user)} from {each}, which was put aside by a restore, too")
    if event is not None:
        click.echo(
            f"erased {event.erased_events} events ({event.erased_messages} messages) and {event.erased_blobs} blobs "
            f"of {quote(user)}; on record as event {done.seq}"
        )
    elif not done.aside:
        click.echo(f"nothing of {quote(user)} is left to erase")

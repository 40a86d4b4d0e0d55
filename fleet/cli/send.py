"""`fleet send`: a message into the inbox of a home, whether or not a worker runs."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from fleet.audit.find import read_time
from fleet.cli.durations import read_duration
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.clock import from_us, now_us
from fleet.errors import InputError
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now, check_message
from fleet.runtime.room import Room

__all__ = ["read_input", "send"]


@click.command()
@click.option("--user", required=True, help="Who writes.")
@click.option("--id", "message_id", default="", help="The message's id; sent twice, it counts once [a new one].")
@click.option("--channel", default="", help="Where it came in; reaches gates and warmup.")
@click.option("--session", default="", help="The channel's session id.")
@click.option("--priority", type=click.IntRange(-9, 9), default=0, help="Between users, higher first: -9 to 9 [0].")
@click.option("--not-before", default="", metavar="TIME", help="Not to be routed before this time (ISO 8601, UTC).")
@click.option("--in", "delay", default="", metavar="LENGTH", help="Not to be routed for so long: 90s, 10m, 2h, 1d.")
@home_option
@json_option
@click.argument("text")
def send(
    user: str, message_id: str, channel: str, session: str, priority: int, not_before: str, delay: str,
    home: Path | None, as_json: bool, text: str,
) -> None:  # fmt: skip
    """Put TEXT into the inbox, and print the message's id once it is durable.

    TEXT `-` reads standard input. The same id again changes nothing, and says so. With exit code 75 the inbox or the
    disk is full, or the ledger is locked: nothing was sent, and the line on standard error says so.
    """
    settings = load_settings(home)
    if text == "-":
        text = read_input(settings.max_message_bytes)
    due = _due(not_before, delay)
    message = Message(user, text, message_id, channel, session, priority=priority, not_before=due)
    check_message(message, settings.max_message_bytes)
    Room(settings.home, settings.disk_reserve_mb).check()
    with Home(settings.home).open_ledger() as ledger:
        accepted = accept_now(ledger, message, settings.max_message_bytes, settings.inbox_limit)
    if as_json:
        print_json({"message_id": accepted.message_id, "new": accepted.new})
        return
    click.echo(accepted.message_id)
    if not accepted.new:
        click.echo("fleet: already accepted; nothing changed", err=True)


def _due(not_before: str, delay: str) -> datetime | None:
    """The time before which the message is not to be routed. Raises: InputError."""
    if not_before and delay:
        raise InputError("give --not-before or --in, not both; nothing was sent")
    if not_before:
        return from_us(read_time(not_before))
    return from_us(now_us() + read_duration(delay)) if delay else None


def read_input(max_bytes: int) -> str:
    """Standard input without the newline at its end. Raises: InputError if it is too long, or not UTF-8."""
    given = sys.stdin.buffer.read(max_bytes + 2)
    if len(given) > max_bytes + 1:
        raise InputError(f"the message has more than {max_bytes} bytes, and no more are accepted; nothing was sent")
    try:
        return given.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise InputError("the message is not UTF-8 text; nothing was sent") from None

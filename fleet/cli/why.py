"""`fleet why`: why a message went where it did, and what followed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.audit.explain import explain
from fleet.audit.explanation import Explanation
from fleet.audit.find import find_message, last_message, message_at, read_time
from fleet.audit.inert import name, visible
from fleet.cli.options import home_option, json_option, redact_option
from fleet.cli.output import print_json
from fleet.cli.reading import reading
from fleet.errors import InputError
from fleet.ledger.base import Ledger

if TYPE_CHECKING:
    from fleet.audit.raw import RawPart

__all__ = ["why"]


@click.command()
@click.argument("message", required=False, default="")
@click.option("--last", is_flag=True, help="The message accepted last; with --user, that user's.")
@click.option("--user", default="", metavar="U", help="The user whose message it is.")
@click.option("--at", default="", metavar="TIME", help="With --user: the message nearest to this time (ISO 8601, UTC).")
@click.option("--raw", is_flag=True, help="What the models saw and said, word for word.")
@redact_option
@json_option
@home_option
def why(
    message: str, last: bool, user: str, at: str, raw: bool, redact: bool, as_json: bool, home: Path | None
) -> None:
    """Say why a message went where it did.

    MESSAGE is a message's id or the beginning of it. Reads the ledger only: it works beside a running worker, and with
    --home naming a copied ledger file.
    """
    if bool(message) + bool(last or user) != 1 or (at and not user) or (at and last):
        raise InputError("name one message: MESSAGE, or --last, or --user U --at TIME")
    with reading(home, redact=redact) as ledger:
        found = explain(ledger, _find(ledger, message, user, at))
        parts = _raw(ledger, found) if raw else ()
    _print(found, parts, raw, as_json)


def _raw(ledger: Ledger, found: Explanation) -> tuple[RawPart, ...]:
    from fleet.audit.raw import raw_parts  # folds conversations, with all that this takes to load

    return raw_parts(ledger, found)


def _find(ledger: Ledger, message: str, user: str, at: str) -> str:
    if message:
        return find_message(ledger, message)
    return message_at(ledger, user, read_time(at)) if at else last_message(ledger, user)


def _print(found: Explanation, parts: tuple[RawPart, ...], raw: bool, as_json: bool) -> None:
    if as_json:
        print_json(found.as_dict() | ({"raw": [part.as_dict() for part in parts]} if raw else {}))
    elif raw:
        terminal = sys.stdout.isatty()
        for part in parts:
            named = f" sha256 {part.hash}" if part.hash else ""
            click.echo(f"=== {visible(part.what)}, {len(part.text.encode())} bytes{named}")
            click.echo(visible(part.text) if terminal else part.text, nl=not part.text.endswith("\n"))
        if not parts:
            click.echo(f"No model has been asked about {name(found.message.message_id)}.")
    else:
        from fleet.audit.page import render  # rich, which --json does without
        from fleet.cli.page import print_page

        print_page(render(found))

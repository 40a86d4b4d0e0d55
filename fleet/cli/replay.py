"""`fleet replay`: whether today's code reads the stored answers as they were read then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click

from fleet.audit.decisions import Filter, decisions
from fleet.audit.find import find_message, read_time
from fleet.audit.inert import inert, name
from fleet.audit.replay import Replayed, replay
from fleet.cli.options import home_option, json_option, redact_option
from fleet.cli.output import print_json
from fleet.cli.reading import reading
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import MessageDecided

__all__ = ["replay_"]


@click.command("replay")
@click.argument("messages", nargs=-1, metavar="MESSAGE…")
@click.option("--all", "every", is_flag=True, help="Every decision on record.")
@click.option("--since", default="", metavar="TIME", help="With --all: decided at this time or later (ISO 8601, UTC).")
@redact_option
@json_option
@home_option
@click.pass_context
def replay_(
    ctx: click.Context,
    messages: tuple[str, ...],
    every: bool,
    since: str,
    redact: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Read the stored answers again with today's code, and say where it comes to another action.

    MESSAGE is a message's id or the beginning of it. Asks no model and changes nothing. Exit code 1 if anything
    differs; with --json one object a decision.
    """
    if bool(messages) == every or (since and not every):
        raise InputError("name messages to replay, or say --all")
    after = Filter(since=read_time(since) if since else None)
    with reading(home) as ledger:
        named = chain.from_iterable(_decided(ledger, find_message(ledger, each)) for each in messages)
        found = replay(ledger, decisions(ledger, after) if every else named)
        if redact:
            found = _redacted(ledger, found)
        differing = _print_json(found) if as_json else _print(found, one_by_one=not every)
    if differing:
        ctx.exit(1)


def _decided(ledger: Ledger, message_id: str) -> Iterator[Stored]:
    found = [each for each in ledger.read_stream(f"message:{message_id}") if isinstance(each.event, MessageDecided)]
    if not found:
        raise InputError(f"message {message_id} is not decided yet; there is nothing to replay")
    yield from found


def _redacted(ledger: Ledger, found: Iterable[Replayed]) -> Iterator[Replayed]:
    """What was read of the answers as they are, told without personal data, nor names that the message told."""
    from fleet.audit.redact import name_words_of, redact_value  # its rules take time to compile

    for each in found:
        (stored,) = ledger.read(after=each.seq - 1, upto=each.seq)
        said = [each.then, each.now, *each.differences]
        known = name_words_of([stored.event.model_dump(mode="json"), said])
        then, now, *sentences = redact_value(said, known=known)
        yield replace(each, then=then, now=now, differences=tuple(sentences))


def _print_json(found: Iterable[Replayed]) -> int:
    differing = 0
    for each in found:
        print_json(each.as_dict())
        differing += not each.same
    return differing


def _print(found: Iterable[Replayed], *, one_by_one: bool) -> int:
    """A line for each, or for those that differ; then the sum. How many differ."""
    total = unasked = differing = 0
    for each in found:
        total += 1
        unasked += not each.asked
        differing += not each.same
        if not each.same:
            click.echo(f"{name(each.message_id)}  differs")
            for sentence in each.differences:
                click.echo(f"    {inert(sentence)[1:-1]}")
        elif one_by_one:
            click.echo(f"{name(each.message_id)}  {'the same action' if each.asked else 'no model had answered'}")
    click.echo(
        f"{total} decisions, {total - unasked} with an answer read again: "
        f"{total - unasked - differing} the same, {differing} differ"
    )
    return differing

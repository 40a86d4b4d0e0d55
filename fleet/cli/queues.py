"""`fleet inbox` and `fleet outbox`: what waits, what failed, and putting it back or dropping it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fleet.audit.find import find_message
from fleet.audit.inert import name
from fleet.audit.wording import duration
from fleet.cli.durations import read_duration
from fleet.cli.labels import who
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json, print_json_lines
from fleet.cli.page import print_page
from fleet.cli.pretty import data
from fleet.clock import iso, now_us
from fleet.errors import InputError
from fleet.ledger.base import Ledger
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home
from fleet.runtime.letters import (
    InboxEntry,
    OutboxEntry,
    dead_letters,
    drop_message,
    inbox_entries,
    outbox_entries,
    retry_message,
    retry_reply,
)

__all__ = ["inbox", "outbox"]

D = TypeVar("D")
E = TypeVar("E", InboxEntry, OutboxEntry)

_by_option = click.option("--by", default="", metavar="NAME", help="Who does it [the user of this computer].")
_user_option = click.option("--user", default="", metavar="U", help="Only this user's.")
_limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
)
_older_option = click.option("--older", default="", metavar="LENGTH", help="Only what has been so for longer: 90s, 2h.")


@click.group()
def inbox() -> None:
    """Messages that wait to be routed, and dead letters. Works beside a running worker."""


@inbox.command("list")
@_user_option
@click.option("--delayed/--due", default=None, help="Only what waits for its time, or only what is due.")
@_older_option
@_limit_option
@home_option
@json_option
def list_(user: str, delayed: bool | None, older: str, limit: int, home: Path | None, as_json: bool) -> None:
    """Messages that wait to be routed, the oldest first."""
    now = now_us()
    with Home(load_settings(home).home).read_ledger() as ledger:
        found = (
            each
            for each in inbox_entries(ledger, now, user=user)
            if delayed is None or (each.state == "delayed") == delayed
        )
        _print_inbox(_older(found, older, now), limit, now, as_json=as_json)


@inbox.command()
@_user_option
@click.option("--stage", default="", type=click.Choice(["", "routing", "turn"]), help="Only what failed there.")
@_older_option
@_limit_option
@home_option
@json_option
def dead(user: str, stage: str, older: str, limit: int, home: Path | None, as_json: bool) -> None:
    """Dead letters: messages that failed too often with an error that nobody foresaw, the oldest first."""
    now = now_us()
    with Home(load_settings(home).home).read_ledger() as ledger:
        _print_inbox(_older(dead_letters(ledger, user=user, stage=stage), older, now), limit, now, as_json=as_json)


@inbox.command()
@click.argument("messages", nargs=-1, metavar="[MESSAGE]...")
@click.option("--all", "all_", is_flag=True, help="Every dead letter; with --user, that user's.")
@_user_option
@_by_option
@home_option
@json_option
def retry(messages: tuple[str, ...], all_: bool, user: str, by: str, home: Path | None, as_json: bool) -> None:
    """Put dead letters back: to be routed, or to be answered in their thread.

    If one MESSAGE is no dead letter, none is put back.
    """
    with _writing(home) as ledger:
        ids = _chosen(messages, lambda: (each.message_id for each in dead_letters(ledger, user=user)), user, all_=all_)
        found = [find_message(ledger, each) for each in ids]
        for each, done in _do(ledger, found, ("dead",), partial(retry_message, ledger, by=by.strip() or who())):
            where = f"to be answered in {name(done.thread_id)}" if done.job_id else "to be routed"
            _told(each, f"put back, {where}", done.model_dump(mode="json", exclude={"text"}), as_json=as_json)


@inbox.command()
@click.argument("messages", nargs=-1, metavar="[MESSAGE]...")
@click.option("--all-dead", "all_", is_flag=True, help="Every dead letter; with --user, that user's.")
@_user_option
@click.option("--reason", default="", help="Why; it is on record.")
@_by_option
@home_option
@json_option
def drop(
    messages: tuple[str, ...], all_: bool, user: str, reason: str, by: str, home: Path | None, as_json: bool
) -> None:
    """Take messages that are not routed yet, or dead letters, out for good. `fleet why` says who did.

    If one MESSAGE is neither, none is dropped.
    """
    if not reason.isprintable():
        raise InputError("a reason is one printable line; nothing was dropped")
    with _writing(home) as ledger:
        ids = _chosen(messages, lambda: (each.message_id for each in dead_letters(ledger, user=user)), user, all_=all_)
        found = [find_message(ledger, each) for each in ids]
        act = partial(drop_message, ledger, by=by.strip() or who(), reason=reason)
        for each, done in _do(ledger, found, ("inbox", "dead"), act):
            _told(each, "dropped", done.model_dump(mode="json"), as_json=as_json)


@click.group()
def outbox() -> None:
    """Replies that are not delivered. Works beside a running worker."""


@outbox.command("list")
@_user_option
@click.option("--state", default="", type=click.Choice(["", "waiting", "failed"]), help="Only in this state.")
@_older_option
@_limit_option
@home_option
@json_option
def replies(user: str, state: str, older: str, limit: int, home: Path | None, as_json: bool) -> None:
    """Replies that wait for their delivery, then those that their channel refused too often."""
    now = now_us()
    with Home(load_settings(home).home).read_ledger() as ledger:
        _print_outbox(_older(outbox_entries(ledger, user=user, state=state), older, now), limit, now, as_json=as_json)


@outbox.command("retry")
@click.argument("reply_ids", nargs=-1, metavar="[REPLY]...")
@click.option("--all", "all_", is_flag=True, help="Every reply that failed; with --user, that user's.")
@_user_option
@_by_option
@home_option
@json_option
def retry_(reply_ids: tuple[str, ...], all_: bool, user: str, by: str, home: Path | None, as_json: bool) -> None:
    """Put replies that their channel refused too often back into the outbox.

    If one REPLY is none of those, none is put back.
    """
    with _writing(home) as ledger:
        failed = (each.reply_id for each in outbox_entries(ledger, user=user, state="failed"))
        ids = _chosen(reply_ids, lambda: failed, user, all_=all_)
        for each, done in _do(ledger, ids, ("undelivered",), partial(retry_reply, ledger, by=by.strip() or who())):
            _told(each, "put back, to be delivered", done.model_dump(mode="json"), as_json=as_json)


def _writing(home: Path | None) -> SqliteLedger:
    place = Home(load_settings(home).home)
    place.read_ledger().close()  # a home without a ledger is not made for this
    return place.open_ledger()


def _chosen(given: Sequence[str], every: Callable[[], Iterable[str]], user: str, *, all_: bool) -> list[str]:
    """The ids that a command is about: those given, or every one."""
    if bool(given) == all_ or (user and not all_):
        raise InputError("name them one by one, or ask for all of them (--user narrows that); nothing was done")
    return list(dict.fromkeys(every() if all_ else given))


def _do(
    ledger: Ledger, ids: Sequence[str], queues: tuple[str, ...], act: Callable[[str], D]
) -> Iterator[tuple[str, D]]:
    """Do it for each. What cannot be done is tried first, so that its refusal comes before anything is done."""
    there = {each: any(ledger.pending_entry(queue, each) for queue in queues) for each in ids}
    for each in sorted(ids, key=lambda each: there[each]):
        yield each, act(each)


def _told(which: str, what: str, event: dict[str, Any], *, as_json: bool) -> None:
    print_json(event) if as_json else click.echo(f"{name(which)}: {what}")


def _older(found: Iterable[E], older: str, now: int) -> Iterator[E]:
    """Those that have been as they are for longer than that; "": all."""
    least = read_duration(older) if older else 0
    return (each for each in found if now - each.since >= least)


def _print_inbox(found: Iterator[InboxEntry], limit: int, now: int, *, as_json: bool) -> None:
    entries = list(islice(found, limit))
    if as_json:
        print_json_lines(each.as_dict() for each in entries)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("message", "user", "since (UTC)", "for", "state"):
        table.add_column(title, no_wrap=True)
    table.add_column("about", ratio=1)
    for each in entries:
        state = f"{each.state} at {each.stage}" if each.stage else each.state
        if each.state == "delayed":
            state = f"until {iso(each.not_before)[:19]}"
        if each.priority:
            state += f", priority {each.priority}"
        about = f"{each.attempts} attempts: {each.error}" if each.error else each.text
        _row(table, each.message_id, each.user, each.since, now, state, each.state in ("dead", "failing"), about)
    _page(table, "nothing waits there", more=next(found, None) is not None)


def _print_outbox(found: Iterator[OutboxEntry], limit: int, now: int, *, as_json: bool) -> None:
    entries = list(islice(found, limit))
    if as_json:
        print_json_lines(each.as_dict() for each in entries)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("reply", "user", "since (UTC)", "for", "state"):
        table.add_column(title, no_wrap=True)
    table.add_column("about", ratio=1)
    for each in entries:
        about = f"{each.attempts} attempts: {each.error}" if each.error else each.text
        _row(table, each.reply_id, each.user, each.since, now, each.state, each.state == "failed", about)
    _page(table, "every reply is delivered", more=next(found, None) is not None)


def _row(table: Table, key: str, user: str, since: int, now: int, state: str, bad: bool, about: str) -> None:
    style = "yellow" if bad else ""
    age = duration(max(0, now - since))
    table.add_row(
        data(key, width=40), data(user, width=24), iso(since)[:19], age, Text(state, style), data(about, width=200)
    )


def _page(table: Table, nothing: str, *, more: bool) -> None:
    if not table.row_count:
        print_page(Text(nothing))
        return
    print_page(Group(table, Text("there are more: --limit", style="dim")) if more else table)

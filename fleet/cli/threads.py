"""`fleet threads`: what was talked about, read from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.find import read_time
from fleet.cli.conversation import Conversation, entry_of, find_thread, read_conversation, recent_threads
from fleet.cli.options import home_option, json_option, load_settings, redact_option
from fleet.cli.output import print_json
from fleet.cli.page import print_page
from fleet.cli.pretty import data, indented, lines
from fleet.cli.reading import say_forgotten
from fleet.clock import iso
from fleet.runtime.home import Home

__all__ = ["print_threads", "threads"]


@click.group()
def threads() -> None:
    """List threads, or show one conversation. Works beside a worker, and on a copied ledger file (--home FILE)."""


@threads.command("list")
@click.option("--user", default="", help="Only this user's.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@redact_option
@home_option
@json_option
def list_(user: str, limit: int, redact: bool, home: Path | None, as_json: bool) -> None:
    """Threads by their latest activity, newest first."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        say_forgotten(ledger, user)
        found = recent_threads(ledger, user=user, limit=limit)
        if redact:
            found = (each.redacted() for each in found)
        if as_json:
            for each in found:
                print_json(each.as_json())
        else:
            print_threads(found)


@threads.command()
@click.argument("thread")
@click.option("--at", default="", metavar="TIME", help="As it was at this time (ISO 8601, UTC).")
@redact_option
@home_option
@json_option
def show(thread: str, at: str, redact: bool, home: Path | None, as_json: bool) -> None:
    """One conversation in order. THREAD is an id, or the beginning of one."""
    with Home(load_settings(home).home).read_ledger() as ledger:
        told = read_conversation(ledger, find_thread(ledger, thread), read_time(at) if at else None)
    told = told.redacted() if redact else told
    entries = [entry for entry in map(entry_of, told.events) if entry is not None]
    if as_json:
        print_json({**told.as_json(), "entries": entries})
        return
    print_page(Group(_heading(told), *map(_line, entries)))


def print_threads(found: Iterable[Conversation]) -> None:
    """Print threads as a table for people."""
    table = Table(box=None, pad_edge=False)
    for name in ("thread", "user", "agent", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("messages", justify="right")
    table.add_column("latest activity", no_wrap=True)
    table.add_column("about", ratio=1)
    for each in found:
        table.add_row(
            each.thread_id,
            data(each.user, width=24),
            data(each.agent),
            f"{each.status}, with {each.taken_over}" if each.taken_over else each.status,
            str(each.messages),
            iso(each.latest_at)[:19],
            data(each.name or each.last_reply, width=60),
        )
    print_page(table if table.row_count else Text("no threads yet"))


def _heading(told: Conversation) -> Text:
    return Text.assemble(
        (told.thread_id, "bold"), "  ", data(told.user), " with ", data(told.agent), f"  {told.status}  ",
        data(f"taken over by {told.taken_over}  " if told.taken_over else "", "yellow"),
        data(f"{told.locale}  " if told.locale else ""), data(told.name, "italic"),
    )  # fmt: skip


def _line(entry: dict[str, Any]) -> RenderableType:
    """One entry for people: when, what, whose words."""
    when = f"{entry['at'][11:19]} "
    match entry["kind"]:
        case "message":
            head = Text.assemble((when, "dim"), data(f"{entry['user']}:", "bold"))
            return Group(head, indented(lines(entry["text"]), 4))
        case "decision":
            chosen = data(f"{entry['action']} {entry['agent']}", "cyan")
            by = f" (fallback: {entry['fallback']})" if entry["fallback"] else ""
            return Text.assemble((when, "dim"), "→ ", chosen, by, "  ", data(entry["reason"], "dim"))
        case "task":
            head = Text.assemble((when, "dim"), data(f"a task of {entry['parent']}:", "bold"))
            return Group(head, indented(lines(entry["text"]), 4))
        case "model":
            calls = ", ".join(f"{call['tool']}({_arguments(call['arguments'])})" for call in entry["calls"])
            said = data(f"calls {calls}" if calls else "answers", "dim")
            return Text.assemble((when, "dim"), data(entry["model"], "dim"), " ", said)
        case "intent":
            return Text.assemble((when, "dim"), data(f"about to run {entry['tool']}", "yellow"))
        case "tool":
            style = "red" if entry["error"] else "dim"
            came = data(entry["content"], style, 400)
            return Text.assemble((when, "dim"), data(entry["tool"], style), (" → ", style), came)
        case "event":
            return Text.assemble((when, "dim"), data(f"{entry['name']} {_arguments(entry['data'])}", "green"))
        case "reply":
            who = entry["by"] or "agent" if entry["delivered_to_user"] else "agent, for its supervisor"
            why = data(entry["reason"], "red")
            head = Text.assemble((when, "dim"), data(f"{who} ({entry['result']}):", "bold"), " ", why)
            return Group(head, indented(lines(entry["text"]), 4))
        case "recap":
            about = f"turns 1 to {entry['last_turn']} in short, for the agent from here on ({entry['model']}):"
            return Group(Text.assemble((when, "dim"), data(about, "green")), indented(lines(entry["text"]), 4))
        case "locale":
            about = f"locale set to {entry['locale']}" if entry["locale"] else "locale as messages say again"
            return Text.assemble((when, "dim"), data(about, "green"))
        case "reminder":
            about = f"reminder {entry['reminder_id']} {entry['what']}"
            about += f" for {entry['due_at'][:19]}Z: {entry['note']}" if entry["what"] == "set" else ""
            about += f" by {entry['by']}" if entry.get("by") else ""
            return Text.assemble((when, "dim"), data(about, "green"))
        case "takeover":
            said = data(f"{entry['what']} by {entry['by']}", "yellow")
            return Text.assemble((when, "dim"), said)
        case _:
            word = "was not taken" if entry["failed"] else "delivered"
            return Text.assemble((when, "dim"), (f"{word} (attempts: {entry['attempts']})", "dim"))


def _arguments(given: dict[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())

"""Decisions as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from fleet.audit.inert import inert, name
from fleet.clock import iso
from fleet.ledger.base import Stored
from fleet.ledger.events import Decision, MessageDecided

__all__ = ["decision_line", "decision_table"]

_TEXT = 40  # characters of a message, or of a thread's name
_WHERE = {"drop": "dropped", "error": "error", "human": "a person", "cancelled": "called off", "answer": "an answer"}


def decision_table(found: Iterable[Stored]) -> Table:
    """One row a decision, in the order given."""
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    for title in ("decided (UTC)", "message", "user"):
        table.add_column(title, no_wrap=title != "user", overflow="fold")
    for title in ("text", "where it went", "by"):
        table.add_column(title, overflow="fold")
    for stored in found:
        event = stored.event
        if isinstance(event, MessageDecided):
            decision = event.decision
            table.add_row(
                *(Text(cell) for cell in (iso(stored.at)[:19], name(event.message_id), name(event.user))),
                Text(_said(event)),
                Text(_where(decision), style="" if decision.thread_id else "yellow"),
                Text(_by(decision), style="yellow" if decision.fallback else ""),
            )
    return table


def decision_line(stored: Stored) -> str:
    """The same as one line of plain text."""
    event = stored.event
    if not isinstance(event, MessageDecided):
        raise TypeError(f"event {stored.seq} is a {event.TYPE}, no decision")
    who = f"{iso(stored.at)[:19]}  {name(event.message_id)}  {name(event.user)}"
    return f"{who}  {_said(event)}  {_where(event.decision)}  {_by(event.decision)}"


def _said(event: MessageDecided) -> str:
    return _short(event.text)


def _short(words: str) -> str:
    """Somebody's words on one inert line; with … where they are cut."""
    text = " ".join(words.split())
    return inert(text if len(text) <= _TEXT else f"{text[: _TEXT - 1].rstrip()}…")


def _where(decision: Decision) -> str:
    if not decision.thread_id:
        return _WHERE.get(decision.outcome, decision.outcome)
    sign = "+ new" if decision.new_thread else "→"
    title = f" {_short(decision.name)}" if decision.name else ""
    return f"{sign} {name(decision.thread_id)} {name(decision.agent)}{title}"


def _by(decision: Decision) -> str:
    if decision.joined:
        return f"joined {name(decision.joined)}"
    refused = [each.verdict or "no answer" for each in decision.attempts if each.verdict != "ok"]
    after = f" after {', '.join(refused)}" if refused else ""
    return f"{f'fallback: {decision.fallback}' if decision.fallback else decision.by}{after}"

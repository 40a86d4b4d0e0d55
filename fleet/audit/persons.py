"""What persons do about a turn: approvals asked and settled, calls that were looked into, threads taken over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fleet.audit.explanation import Step
from fleet.ledger import events as ev
from fleet.ledger.base import Ledger, Stored

__all__ = ["BY_PERSONS", "TAKEOVERS", "asked_step", "held_by", "settled_steps", "takeover_step"]

# Steps that come whenever somebody finds the time, and are no part of a turn.
BY_PERSONS = (
    ev.ConfirmationSettled.TYPE, ev.CallResolved.TYPE, ev.ThreadTakenOver.TYPE, ev.ThreadReleased.TYPE
)  # fmt: skip
TAKEOVERS = (ev.ThreadTakenOver, ev.ThreadReleased)


def held_by(ledger: Ledger, thread_id: str) -> str:
    """Who has taken the thread over and not given it back; "" for nobody."""
    for stored in reversed(ledger.read_stream(f"takeover:{thread_id}")):
        if isinstance(stored.event, TAKEOVERS):
            return stored.event.by if isinstance(stored.event, ev.ThreadTakenOver) else ""
    return ""


def takeover_step(stored: Stored) -> Step:
    """A person takes a thread over or gives it back, or a turn stands back for one."""
    event = stored.event
    data: dict[str, Any] = {"by": getattr(event, "by", "")}
    if isinstance(event, ev.TurnSetAside):
        data |= {"turn": event.turn, "withheld": event.withheld}
    return Step(stored.at, stored.seq, event.TYPE, None, data)


def asked_step(stored: Stored, event: ev.ConfirmationAsked) -> Step:
    """A call waits for somebody's approval."""
    data: dict[str, Any] = {"confirm_id": event.confirm_id, "tool": event.tool, "call_id": event.call_id}
    data |= {"arguments": event.arguments, "approver": event.approver, "expires_at": event.expires_at}
    return Step(stored.at, stored.seq, event.TYPE, None, data)


def settled_steps(ledger: Ledger, turn: Iterable[Stored]) -> list[Step]:
    """How what this turn's events asked of persons was settled, and what they settle themselves; each once, by seq."""
    found: dict[int, Step] = {}
    for stored in turn:
        event = stored.event
        streams: list[str] = []
        if isinstance(event, ev.ConfirmationSettled):
            streams = [stored.stream]
        elif isinstance(event, ev.ConfirmationAsked):
            streams = [f"confirm:{event.confirm_id}"]
        elif isinstance(event, ev.ToolReturned) and event.unknown:
            streams = [f"call:{event.job_id}:{event.call_id}"]
        for stream in streams:
            for each in ledger.read_stream(stream):
                step = _settled(each, stored)
                if step is not None:
                    found.setdefault(each.seq, step)
    return list(found.values())


def _settled(stored: Stored, since: Stored) -> Step | None:
    """The step of an answer; it took from the question on, where that is at hand."""
    event = stored.event
    took = stored.at - since.at if since.seq < stored.seq else None
    if isinstance(event, ev.ConfirmationSettled):
        data: dict[str, Any] = {"confirm_id": event.confirm_id, "verdict": event.verdict, "by": event.by}
        data["message_id"] = event.message_id
        return Step(stored.at, stored.seq, event.TYPE, took, data, event.verdict != "approved")
    if isinstance(event, ev.CallResolved):
        data = {"tool": event.tool, "call_id": event.call_id, "took_effect": event.took_effect}
        data |= {"note": event.note, "by": event.by}
        return Step(stored.at, stored.seq, event.TYPE, took, data)
    return None

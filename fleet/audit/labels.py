"""Labels: what would have been right for a message, as somebody said afterwards. Events like all the others."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import DecisionLabelled

__all__ = ["Label", "labels", "labels_of", "right"]


@dataclass(frozen=True)
class Label:
    """What was said last about a message, `at` in microseconds since 1970; either `thread_id` or `agent` is set."""

    message_id: str
    user: str
    thread_id: str
    agent: str
    note: str
    by: str
    at: int


def labels(ledger: Ledger) -> dict[str, Label]:
    """Every labelled message's label, by message id, in the order in which they were labelled first."""
    found: dict[str, Label] = {}
    for stored in ledger.read(types=(DecisionLabelled.TYPE,)):
        if isinstance(stored.event, DecisionLabelled):
            found[stored.event.message_id] = _said(stored, stored.event)
    return found


def labels_of(ledger: Ledger, message_id: str) -> tuple[Label, ...]:
    """Everything that was said about one message, in order: the last one counts."""
    stream = ledger.read_stream(f"label:{message_id}")
    return tuple(_said(stored, stored.event) for stored in stream if isinstance(stored.event, DecisionLabelled))


def _said(stored: Stored, event: DecisionLabelled) -> Label:
    return Label(event.message_id, event.user, event.thread_id, event.agent, event.note, event.by, stored.at)


def right(label: Label, outcome: str, thread_id: str, agent: str) -> bool:
    """Whether an action is what the label asks for."""
    if label.thread_id:
        return outcome == "dispatch_to" and thread_id == label.thread_id
    return outcome == "start_new_thread" and agent == label.agent

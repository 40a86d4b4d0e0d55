"""Failed attempts, dead letters, and what operators did about them, as steps and sentences of `fleet why`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.audit.explanation import State, Step
from fleet.audit.inert import inert, name
from fleet.clock import iso
from fleet.ledger.base import Stored
from fleet.ledger.events import (
    MessageAccepted,
    MessageDead,
    MessageDropped,
    MessageFailed,
    MessageRetried,
    ReplyRetried,
    TurnFailed,
)

__all__ = ["LETTERS", "letter_step", "standing"]

LETTERS = (MessageFailed, MessageDead, MessageDropped, MessageRetried, ReplyRetried, TurnFailed)

_SAID = 300  # characters of an error within a sentence


def letter_step(stored: Stored) -> Step:
    """One of these events as a step of the timeline."""
    event = stored.event
    data: dict[str, Any] = {}
    if isinstance(event, (MessageFailed, TurnFailed)):
        data = {"attempt": event.attempt, "error": event.error, "trace": event.trace}
    elif isinstance(event, MessageDead):
        data = {"stage": event.stage, "attempts": event.attempts, "error": event.error, "trace": event.trace}
    elif isinstance(event, MessageDropped):
        data = {"by": event.by, "reason": event.reason}
    elif isinstance(event, MessageRetried):
        data = {"by": event.by, "stage": "turn" if event.job_id else "routing"}
    elif isinstance(event, ReplyRetried):
        data = {"by": event.by, "reply_id": event.reply_id}
    trouble = not isinstance(event, (MessageRetried, ReplyRetried))
    return Step(stored.at, stored.seq, event.TYPE, None, data, trouble)


def standing(accepted: MessageAccepted, letters: Sequence[Stored], until: int = 0) -> tuple[State, str, str]:
    """Where a message stands that is not decided: the state, where it went, what came of it.

    `until` is when the question about it expires, 0 if nobody is asked.
    """
    last = letters[-1].event if letters else None
    if isinstance(last, MessageDropped):
        why = f": {inert(last.reason, _SAID)}" if last.reason else ""
        return "dropped", f"Nowhere: {name(last.by)} dropped it{why}.", "It was dropped; nobody answers it."
    if isinstance(last, MessageDead):
        times = f"{last.attempts} attempt{'s' * (last.attempts != 1)}"
        return (
            "dead",
            f"To the dead letters: routing it failed in {times}, with {inert(last.error, _SAID)}.",
            f"Nobody answers it, unless `fleet inbox retry {name(accepted.message_id)}` puts it back.",
        )
    if until:
        where = f"Nowhere yet: its user is asked where it belongs, and may answer until {iso(until)}."
        return "asked", where, "Nothing has followed yet."
    waits = "it is accepted and waits in the inbox"
    if isinstance(last, MessageFailed):
        where = f"Nowhere yet: routing it failed with {inert(last.error, _SAID)}, and it is tried again."
    elif isinstance(last, MessageRetried):
        where = f"Nowhere yet: {name(last.by)} put it back into the inbox, and it waits for a worker's decision."
    elif accepted.not_before:
        where = f"Nowhere yet: {waits}; it is not routed before {iso(accepted.not_before)}."
    else:
        where = f"Nowhere yet: {waits} for a worker's decision."
    return "inbox", where, "Nothing has followed yet."

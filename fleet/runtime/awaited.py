"""Waiting for what comes of one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    Event,
    MessageDead,
    MessageDecided,
    MessageDropped,
    MessageRetried,
    QuestionAsked,
    TurnEnded,
)

__all__ = ["awaited", "stands_for"]


@contextmanager
def awaited(
    ledger: Ledger, message_id: str, listeners: list[Callable[[Stored], None]]
) -> Iterator[asyncio.Future[str]]:
    """A future of the reply that ends the message's turn, "" if nothing is replied; it may be done already.

    A message that was put back from the dead letters is waited for again. If its user is asked about it, the question
    is the reply; and of a message that answers a question the reply is that to the message it was asked about.

    `listeners` are told of every applied event; one more is among them until the block ends.
    """
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    wanted = message_id

    def listen(stored: Stored) -> None:
        nonlocal wanted
        reply = _reply_in(stored.event, wanted)
        if about := _settled_by(stored.event, wanted):
            wanted, reply = about, _reply_on_record(ledger, about)
        if reply is not None and not done.done():
            done.set_result(reply)

    listeners.append(listen)
    try:
        wanted = stands_for(ledger, message_id)
        known = _reply_on_record(ledger, wanted)
        if known is not None and not done.done():
            done.set_result(known)
        yield done
    finally:
        listeners.remove(listen)


def stands_for(ledger: Ledger, message_id: str) -> str:
    """The message that is answered in this one's place: the one whose question it has settled, else itself."""
    decided = (each.event for each in ledger.read_stream(f"message:{message_id}"))
    return next(filter(None, (_settled_by(each, message_id) for each in decided)), message_id)


def _reply_in(event: Event, message_id: str) -> str | None:
    """What an event says about a message's end: the reply, "" where there is none; None if it says nothing."""
    if isinstance(event, TurnEnded) and message_id in event.message_ids:
        return event.reply
    if isinstance(event, QuestionAsked) and message_id in (event.message_id, *event.covers):
        return event.text
    settled = (isinstance(event, MessageDecided) and not event.decision.thread_id) or (
        isinstance(event, MessageDead) and event.stage == "routing"
    )
    if (settled or isinstance(event, MessageDropped)) and getattr(event, "message_id", "") == message_id:
        return ""
    return None


def _settled_by(event: Event, message_id: str) -> str:
    """The message whose question this one has answered, if the event says so."""
    return event.decision.answer_to if isinstance(event, MessageDecided) and event.message_id == message_id else ""


def _reply_on_record(ledger: Ledger, message_id: str) -> str | None:
    """What became of a message so far; None if nothing has, or somebody has put it back since."""
    found = ledger.read_stream(f"message:{message_id}")
    jobs = {each.event.decision.job_id for each in found if isinstance(each.event, MessageDecided)}
    found += [step for job_id in jobs if job_id for step in ledger.read_stream(f"job:{job_id}")]
    reply: str | None = None
    for stored in sorted(found, key=lambda each: each.seq):
        said = _reply_in(stored.event, message_id)
        begins = isinstance(stored.event, (MessageRetried, MessageDecided))
        reply = said if begins or said is not None else reply
    return reply

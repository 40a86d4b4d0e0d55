"""Waiting for what comes of one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import MessageAccepted, MessageDecided, TurnEnded

__all__ = ["awaited"]


@contextmanager
def awaited(
    ledger: Ledger, message_id: str, listeners: list[Callable[[Stored], None]]
) -> Iterator[asyncio.Future[str]]:
    """A future of the reply that ends the message's turn, "" if nothing is replied; it may be done already.

    `listeners` are told of every applied event; one more is among them until the block ends.
    """
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def listen(stored: Stored) -> None:
        event = stored.event
        if done.done():
            return
        if isinstance(event, TurnEnded) and message_id in event.message_ids:
            done.set_result(event.reply)
        elif isinstance(event, MessageDecided) and event.message_id == message_id and not event.decision.thread_id:
            done.set_result("")

    listeners.append(listen)
    try:
        for stored in ledger.read_stream(f"message:{message_id}"):
            if isinstance(stored.event, MessageDecided) and stored.event.decision.job_id:
                for step in ledger.read_stream(f"job:{stored.event.decision.job_id}"):
                    listen(step)
            elif not isinstance(stored.event, MessageAccepted):
                listen(stored)
        yield done
    finally:
        listeners.remove(listen)

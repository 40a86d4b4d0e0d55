"""Traces while a worker runs: each message's, once it has come to its end. A lossy copy that holds nobody up.

The worker hands over ids and goes on; a thread reads the ledger by itself, makes the same spans as an export, and sends
them. What does not fit into its queue, or is not taken, is lost and counted: `fleet audit export` sends it later.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import closing, suppress

from fleet.audit.otel import Receiver
from fleet.errors import FleetError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import MessageDecided, ReplyDelivered, ReplyFailed, TurnEnded
from fleet.log import log

__all__ = ["LiveTraces"]

_ROOM = 10_000  # messages that wait
_REPLIES = 10_000  # replies on their way, remembered
_AT_ONCE = 100  # messages in one go
_LAST_S = 5.0  # how long the end waits for what is left


class LiveTraces:
    """A listener for a running fleet's events that sends traces to a collector; close it when the fleet has ended.

    `open_ledger` opens the ledger for reading, for the thread's own use. The receiver is closed with it.
    """

    def __init__(self, receiver: Receiver, open_ledger: Callable[[], Ledger]) -> None:
        self._receiver, self._open = receiver, open_ledger
        self._waiting: queue.Queue[str | None] = queue.Queue(_ROOM)
        self._replies: dict[str, tuple[str, ...]] = {}
        self._handed = self._sent = 0
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="fleet-traces", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """How many messages' traces were not sent; while it runs, those that wait are among them."""
        return self._handed - self._sent

    def __call__(self, stored: Stored) -> None:
        """Take note of one event; neither waits nor raises."""
        event = stored.event
        if isinstance(event, MessageDecided) and not event.decision.thread_id:
            self._hand_over(event.message_id)
        elif isinstance(event, TurnEnded):
            if event.reply_id and event.deliver:  # whole once the reply is delivered
                self._replies[event.reply_id] = event.message_ids
                if len(self._replies) > _REPLIES:
                    self._hand_over(*self._replies.pop(next(iter(self._replies))))
            else:
                self._hand_over(*event.message_ids)
        elif isinstance(event, (ReplyDelivered, ReplyFailed)):
            self._hand_over(*self._replies.pop(event.reply_id, ()))

    def close(self) -> None:
        """Send what waits, for a few seconds at most, and say what was lost."""
        for message_ids in self._replies.values():  # not delivered before the end: as far as they have come
            self._hand_over(*message_ids)
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_LAST_S)
        self._thread.join(_LAST_S)
        if self.lost:
            log("traces.lost", level=logging.WARNING, messages=self.lost)

    def _hand_over(self, *message_ids: str) -> None:
        for message_id in message_ids:
            self._handed += 1
            with suppress(queue.Full):
                self._waiting.put_nowait(message_id)

    def _run(self) -> None:
        with closing(self._open()) as ledger, closing(self._receiver):
            while True:
                ids, ended = self._next()
                if ids:
                    self._send(ledger, ids)
                if ended:
                    return

    def _next(self) -> tuple[list[str], bool]:
        """What waits, up to so many; whether it was the last."""
        found: list[str] = []
        entry = self._waiting.get()
        while entry is not None:
            found.append(entry)
            if len(found) == _AT_ONCE or self._waiting.empty():
                return found, False
            entry = self._waiting.get()
        return found, True

    def _send(self, ledger: Ledger, ids: list[str]) -> None:
        try:
            decided = [
                stored
                for message_id in ids
                for stored in ledger.read_stream(f"message:{message_id}")
                if isinstance(stored.event, MessageDecided)
            ]
            self._receiver.send(ledger, decided)
        except FleetError as error:
            if not self._failing:  # said once, until it works again
                log("traces.failed", level=logging.WARNING, error=error.message)
            self._failing = True
        else:
            self._sent += len(ids)
            if self._failing:
                log("traces.sent_again")
            self._failing = False

"""What every event of the ledger is."""

from __future__ import annotations

from typing import ClassVar, Literal

from fleet.ledger.decision import Record

__all__ = ["Event", "Queue"]

Queue = Literal["inbox", "turns", "outbox", "dead", "undelivered", "steps", "reminders"]


class Event(Record):
    """One thing that happened. Subclasses are the vocabulary; `TYPE` is the name in the ledger."""

    TYPE: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        """The queue entries, as (queue, key), that this event begins."""
        return ()

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        """The queue entries that this event ends."""
        return ()

    def blobs(self) -> tuple[str, ...]:
        """The hashes of the blobs that this event names."""
        return ()

    def body(self) -> bytes:
        """The payload as stored: compact JSON, defaults left out."""
        return self.model_dump_json(exclude_defaults=True).encode()

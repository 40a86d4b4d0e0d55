"""What is on record of payloads that were erased: that a user was forgotten, and what stands where a payload was."""

from __future__ import annotations

from fleet.ledger.event import Event, Queue

__all__ = ["Erased", "UserForgotten"]


class UserForgotten(Event):
    """Every payload of a user that came before this was erased, on the word of `by`. Stream: user:NAME.

    The counts are of what was erased, messages being among the events; `closed` are the queue entries, as (queue, key),
    that were open and are no more.
    """

    TYPE = "user.forgotten"
    user: str
    by: str = ""
    reason: str = ""
    erased_events: int = 0
    erased_messages: int = 0
    erased_blobs: int = 0
    closed: tuple[tuple[Queue, str], ...] = ()

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return self.closed


class Erased(Event):
    """Stands where an event of type `kind` was, whose payload has been erased. Read, never appended."""

    kind: str

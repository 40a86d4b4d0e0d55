"""What is kept about a thread besides its turns: the locale that it is answered in."""

from __future__ import annotations

from fleet.ledger.event import Event

__all__ = ["LocaleSet"]


class LocaleSet(Event):
    """A tool call set the thread's locale, a BCP 47 tag, on record with the call's result. Stream: job:ID.

    It counts from the next turn on, before what messages and the application say; "" gives that back to them.
    """

    TYPE = "thread.locale"
    job_id: str
    thread_id: str
    user: str
    turn: int
    call_id: str
    locale: str

"""What is kept about a thread besides its turns: the locale that it is answered in, the recap of its oldest turns."""

from __future__ import annotations

from fleet.ledger.event import Event

__all__ = ["HistoryCompacted", "LocaleSet"]


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


class HistoryCompacted(Event):
    """The oldest turns of a job are shown to its model in short from here on. Stream: job:ID.

    `recap` is all that stands for the turns 1 to `last_turn`; those from `first_turn` on were put into it now, in
    addition to the recap before. The turns themselves stay on record. `model` wrote it.
    """

    TYPE = "history.compacted"
    job_id: str
    thread_id: str
    user: str
    first_turn: int
    last_turn: int
    recap: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    latency_us: int = 0

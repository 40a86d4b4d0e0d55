"""What a ledger is, whichever database holds it: the values it takes and gives, and its methods.

Positions in the whole history are `seq`, from 1 without gaps; positions in one stream are `version`, from 1 without
gaps. Times are whole microseconds since 1970 UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from fleet.ledger.events import Event

__all__ = ["Blob", "Draft", "Ledger", "Pending", "Progress", "Stored", "VerifyReport", "Watch"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """One event of the history. `at` is when it was committed; it never falls as `seq` rises.

    `user` is "" for an event of nobody. `chain` is the hash chain up to and with this event, as hex.
    """

    seq: int
    stream: str
    version: int
    at: int
    user: str
    event: Event
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """One entry of a queue: something begun and not yet ended. `seq` is the event that began it, `user` its user."""

    queue: str
    key: str
    seq: int
    user: str


@dataclass(frozen=True, slots=True)
class Blob:
    """A bulky body, kept once however many events name it. `hash` is the SHA-256 of the raw bytes, as hex.

    `like` is the hash of a blob that says much of the same, in the ledger or in the same draft, and whose own `like`
    is "": this one is then kept as what it differs by. It must hold nothing of any user, so that it never has to go.
    """

    hash: str
    body: bytes
    like: str = ""

    @classmethod
    def of(cls, text: str | bytes, like: str = "") -> Blob:
        """The blob that holds this text (as UTF-8) or these bytes."""
        body = text.encode() if isinstance(text, str) else text
        return cls(hashlib.sha256(body).hexdigest(), body, like)


@dataclass(frozen=True, slots=True)
class Draft:
    """Events to append to one stream, together or not at all.

    `expected` is the stream's version as the writer knows it (0: the stream is new); `user` is whose history this
    belongs to; `blobs` are the bodies that the events name, durable with them. The drafts `beside` it, of other
    streams, stand or fall with it: if one of them is stale, none is written. One without events asks no more than
    that its stream has not moved on.
    """

    stream: str
    expected: int
    events: tuple[Event, ...]
    user: str = ""
    blobs: tuple[Blob, ...] = ()
    beside: tuple[Draft, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` went through and found.

    `problems` are sentences that name the seq, stream, queue entry or hash, in the order found: at most a hundred,
    then one that says how many more. `seq` and `chain` are the last event's, as stored.
    """

    events: int
    streams: int
    blobs: int
    pending: int
    seq: int
    chain: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Watch(Protocol):
    """A running watch for other processes' commits; ends with `close` or the `with` block."""

    def close(self) -> None:
        """Stop watching."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Ledger(Protocol):
    """The append-only history: the truth. Any process may read it and append to it at any time."""

    async def append(self, draft: Draft) -> tuple[Stored, ...]:
        """Append the draft's events, then those of the drafts beside it; they are durable when this returns.

        Drafts of many tasks share one commit; each stands or falls alone. The events returned, and those handed to
        subscribers, are the draft's own objects. A task cancelled while it waits does not call its draft back.
        Raises: StaleWriteError when a stream is not at `expected`; LedgerError when nothing could be written.
        """
        ...

    def append_now(self, draft: Draft) -> tuple[Stored, ...]:
        """The same for a caller without an event loop: returns when durable."""
        ...

    def fence(self, seq: int) -> None:
        """From now on refuse every append of this object once another worker's `fleet.started` comes after `seq`.

        The refusal, a TakenOverError that names the other worker, is decided in the transaction that would append.
        """
        ...

    def read(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        types: Sequence[str] = (),
        user: str = "",
        newest_first: bool = False,
        before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Stored]:
        """Events with `after` < seq < `before` and seq <= `upto`, of these types (none: all) and this user ("": all).

        Streams page by page in bounded memory and holds no transaction between pages, so events committed while it
        runs are seen too, unless `newest_first`. Starting costs no more on a long history than on a short one. An event
        whose payload was erased comes as `Erased`; asked for types, it is left out.
        """
        ...

    def read_stream(self, stream: str, *, after: int = 0) -> list[Stored]:
        """The stream's events of a version above `after`, in order, `Erased` where a payload was erased.

        Empty for a stream that does not exist.
        """
        ...

    def version(self, stream: str) -> int:
        """The stream's version: 0 if it does not exist."""
        ...

    def find_streams(self, prefix: str, limit: int = 10) -> list[str]:
        """Names of streams that begin with exactly `prefix`, in code point order, at most `limit`."""
        ...

    def head(self) -> tuple[int, str]:
        """The last event's seq and chain; (0, "") when there is none."""
        ...

    def pending(self, queue: str, *, after_seq: int = 0, limit: int | None = None) -> list[Pending]:
        """The queue's entries opened after `after_seq`, in seq order."""
        ...

    def pending_entry(self, queue: str, key: str) -> Pending | None:
        """The queue's entry with this key; None if it holds none."""
        ...

    def pending_count(self, queue: str) -> int:
        """How many entries the queue holds."""
        ...

    def blob(self, hash: str) -> bytes:  # noqa: A002 - the field's name
        """The body with this hash, checked against it.

        Raises: LedgerError naming the hash when there is none; TamperedError when the body does not match it.
        """
        ...

    def subscribe(self, fn: Callable[[Sequence[Stored]], None]) -> Callable[[], None]:
        """Call `fn` on the running event loop with every batch that this ledger object commits; returns the end of it.

        Batches come in seq order, once durable, before the `append` calls of that batch return. Events of other
        processes do not come this way: see `watch`.
        """
        ...

    def watch(self, fn: Callable[[], None]) -> Watch:
        """Call `fn` on the running event loop soon after another process committed events. It may be called in vain."""
        ...

    def verify(self, progress: Progress | None = None) -> VerifyReport:
        """Check everything that can be checked, from the file alone, in bounded memory; changes nothing.

        The hash chain, payload digests, gaps in seq, stream versions, queues against what the events amount to, blobs
        against their hashes, and the database's own integrity. `progress` gets (events done, events in all).
        """
        ...

    def close(self) -> None:
        """Write what was handed in, then let go of the database. Later calls raise LedgerError."""
        ...

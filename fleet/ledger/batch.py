"""One transaction: a batch of drafts written together, each of which stands or falls alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fleet.clock import now_us
from fleet.errors import LedgerError, StaleWriteError, UnstorableError
from fleet.ledger.base import Draft, Stored
from fleet.ledger.blobs import write_blobs
from fleet.ledger.chain import GENESIS, digest_of, link
from fleet.ledger.events import EVENT_TYPES, Event
from fleet.ledger.pack import pack
from fleet.ledger.statements import delete, insert, lookup

__all__ = ["MAX_BODY", "Names", "Outcome", "Prepared", "Written", "write_batch"]

MAX_BODY = 64 * 1024 * 1024  # bytes; far below SQLite's limit, which would fail a whole batch
_CACHED_USERS = 100_000

Outcome = tuple[Stored, ...] | LedgerError


class Payload(NamedTuple):
    """An event with what is stored of it."""

    event: Event
    body: bytes
    digest: bytes


class Part(NamedTuple):
    """A draft of one stream with what is stored of its events."""

    draft: Draft
    payloads: tuple[Payload, ...]

    @classmethod
    def of(cls, draft: Draft) -> Part:
        """Serialise the events. Raises: UnstorableError for what could not be read back."""
        if not draft.stream:
            raise UnstorableError("events need a stream; nothing was written")
        payloads = []
        try:
            draft.stream.encode()
            draft.user.encode()
            for event in draft.events:
                body = event.body()
                payloads.append(Payload(event, body, digest_of(body)))
        except ValueError as error:  # half a surrogate pair in a text; pydantic's errors are ValueErrors too
            raise UnstorableError(
                f"an event for {draft.stream!r} cannot be stored: {error}; nothing was written"
            ) from error
        for event, _, _ in payloads:
            if EVENT_TYPES.get(event.TYPE) is not type(event):
                raise UnstorableError(f"{type(event).__name__} is not in the ledger's vocabulary; nothing was written")
        for size in [len(payload.body) for payload in payloads] + [len(blob.body) for blob in draft.blobs]:
            if size > MAX_BODY:
                raise UnstorableError(f"a body of {size} bytes is above {MAX_BODY}; nothing was written")
        for blob in draft.blobs:
            if digest_of(blob.body).hex() != blob.hash:
                raise UnstorableError(f"blob {blob.hash} has a body of another hash; nothing was written")
        return cls(draft, tuple(payloads))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A draft and those beside it, ready to be written: whatever could be wrong with them alone has been found."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, draft: Draft) -> Prepared:
        """Serialise them. Raises: UnstorableError."""
        return cls((Part.of(draft), *map(Part.of, draft.beside)))


class Names:
    """The numbers of names already stored. Numbers never change, so what is known stays right across commits."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}
        self.users: dict[str, int] = {}

    def forget(self) -> None:
        """Know nothing again: after a rollback, numbers given in it belong to nobody."""
        self.kinds.clear()
        self.users.clear()


class _Head(NamedTuple):
    """Where the ledger ends, read inside the transaction."""

    seq: int
    at: int
    chain: bytes
    last_stream: int
    last_user: int


class Written(NamedTuple):
    """What a batch came to: seq before and after it, each draft's outcome, all its events; whether to commit at all."""

    before: int
    after: int
    outcomes: list[Outcome]
    events: list[Stored]
    changed: bool


def write_batch(connection: sqlite3.Connection, names: Names, batch: Sequence[Prepared]) -> Written:
    """Write the drafts in the open transaction; the caller commits.

    Raises: sqlite3.Error, after which the caller rolls back and the whole batch has failed.
    """
    head = _read_head(connection)
    streams = _Streams(connection, batch, head.last_stream)
    outcomes: list[Outcome] = []
    accepted: list[tuple[int, Part]] = []
    for prepared in batch:
        refused = streams.claim(prepared)
        outcomes.append(refused or ())
        if refused is None:
            accepted.extend((len(outcomes) - 1, part) for part in prepared.parts)
    users = _users(connection, names, accepted, head.last_user)
    at = max(now_us(), head.at)
    seq, chain = head.seq, head.chain
    rows: list[tuple[object, ...]] = []
    events: list[Stored] = []
    firsts: dict[int, int] = {}  # place of a draft → the first of its events
    for place, (draft, payloads) in accepted:
        first = firsts.setdefault(place, len(events))
        for version, (event, body, digest) in enumerate(payloads, draft.expected + 1):
            seq += 1
            kind, v = event.TYPE, event.VERSION
            chain = link(chain, seq, version, v, at, draft.stream, kind, draft.user, digest)
            number = names.kinds.get(kind) or _new_kind(connection, names, kind)
            rows.append(
                (
                    seq,
                    streams.number(draft.stream),
                    version,
                    number,
                    v,
                    at,
                    users.get(draft.user),
                    digest,
                    chain,
                    pack(body),
                )
            )
            events.append(Stored(seq, draft.stream, version, at, draft.user, event, chain.hex()))
        outcomes[place] = tuple(events[first:])
    insert(connection, "INSERT INTO streams(id, name)", streams.new)
    insert(connection, _INSERT_EVENTS, rows)
    blobs = [blob for _, (draft, _) in accepted for blob in draft.blobs]
    write_blobs(connection, blobs)
    _write_pending(connection, events)
    return Written(head.seq, seq, outcomes, events, bool(events or blobs))


_INSERT_EVENTS = "INSERT INTO events(seq, stream, version, kind, v, at, user, digest, chain, body)"
_FIND_USERS = "SELECT group_concat(want.i || ' ' || users.id) FROM want CROSS JOIN users ON users.name = want.key"
_FIND_STREAMS = """
SELECT group_concat(want.i || ' ' || streams.id || ' ' ||
                    coalesce((SELECT max(version) FROM events WHERE stream = streams.id), 0))
FROM want CROSS JOIN streams ON streams.name = want.key
"""


def _read_head(connection: sqlite3.Connection) -> _Head:
    row = connection.execute(
        "SELECT seq, at, chain, (SELECT max(id) FROM streams), coalesce((SELECT max(id) FROM users), 0) "
        "FROM events ORDER BY seq DESC LIMIT 1"
    ).fetchall()
    return _Head(*row[0]) if row else _Head(0, 0, GENESIS, 0, 0)


class _Streams:
    """The batch's streams: their numbers and versions, as the transaction sees them and as it moves them."""

    def __init__(self, connection: sqlite3.Connection, batch: Sequence[Prepared], last: int) -> None:
        self.new: list[tuple[int, str]] = []
        self._last = last
        names = {part.draft.stream for prepared in batch for part in prepared.parts}
        found = lookup(connection, _FIND_STREAMS, list(names))
        self._numbers = {name: numbers[0] for name, numbers in found.items()}
        self._versions = {name: numbers[1] for name, numbers in found.items()}

    def claim(self, prepared: Prepared) -> StaleWriteError | None:
        """Move the streams on by the events of their drafts, all of them, or say why not."""
        for draft, _ in prepared.parts:
            version = self._versions.get(draft.stream, 0)
            if version != draft.expected:
                return StaleWriteError(
                    f"stream {draft.stream} is at version {version}, not {draft.expected}: it moved on since it was "
                    "read; nothing was written"
                )
        for draft, payloads in prepared.parts:
            self._versions[draft.stream] = draft.expected + len(payloads)
        return None

    def number(self, name: str) -> int:
        """The stream's number; a new one, if it is new."""
        number = self._numbers.get(name)
        if number is None:
            self._last += 1
            number = self._numbers[name] = self._last
            self.new.append((number, name))
        return number


def _users(
    connection: sqlite3.Connection, names: Names, accepted: Sequence[tuple[int, Part]], last: int
) -> dict[str, int]:
    """The users' numbers; new users are inserted. "" has none."""
    if len(names.users) > _CACHED_USERS:
        names.users.clear()
    wanted = {draft.user for _, (draft, payloads) in accepted if draft.user and payloads}
    unknown = sorted(wanted.difference(names.users))
    if unknown:
        names.users.update((name, number) for name, (number,) in lookup(connection, _FIND_USERS, unknown).items())
        new = [(last + place, name) for place, name in enumerate((u for u in unknown if u not in names.users), 1)]
        insert(connection, "INSERT INTO users(id, name)", new)
        names.users.update((name, number) for number, name in new)
    return names.users


def _new_kind(connection: sqlite3.Connection, names: Names, kind: str) -> int:
    connection.execute("INSERT OR IGNORE INTO kinds(name) VALUES (?)", (kind,))
    names.kinds.update(connection.execute("SELECT name, id FROM kinds").fetchall())
    return names.kinds[kind]


def _write_pending(connection: sqlite3.Connection, events: Sequence[Stored]) -> None:
    """Bring the queues up to these events: an entry begins with the first event that opens it, until one closes it."""
    opened: dict[tuple[str, str], tuple[int, str]] = {}
    closed: dict[str, dict[str, None]] = {}
    for stored in events:
        for entry in stored.event.closes():
            opened.pop(entry, None)
            closed.setdefault(entry[0], {})[entry[1]] = None
        for entry in stored.event.opens():
            opened.setdefault(entry, (stored.seq, stored.user))
    for queue, keys in closed.items():
        delete(connection, "DELETE FROM pending WHERE queue = ? AND key", queue, list(keys))
    rows = [(*entry, *begun) for entry, begun in opened.items()]
    insert(connection, "INSERT OR IGNORE INTO pending(queue, key, seq, user)", rows)

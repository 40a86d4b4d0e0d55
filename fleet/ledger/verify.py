"""Checking a ledger: everything that can be known from the file alone."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet.errors import LedgerError
from fleet.ledger.base import Progress, VerifyReport
from fleet.ledger.blobs import raw_body
from fleet.ledger.bodies import ERASED, Bodies, Place
from fleet.ledger.chain import GENESIS, digest_of, link
from fleet.ledger.events import Event, UserForgotten, read_event
from fleet.ledger.schema import open_for_reading

__all__ = ["verify"]

_PAGE = 1000
_MAX_PROBLEMS = 100
_HASH = re.compile("[0-9a-f]{64}")


def verify(path: Path, progress: Progress | None = None) -> VerifyReport:
    """Check the ledger at `path` as `Ledger.verify` says; beside a running worker, up to the head as it is now.

    Memory: a page of events, the queues' entries and the problems. Raises: LedgerError when the file cannot be opened.
    """
    connection, _ = open_for_reading(path)
    try:
        connection.text_factory = _text
        return _Check(connection, Bodies(path)).run(progress)
    finally:
        connection.close()


class _Check:
    def __init__(self, connection: sqlite3.Connection, bodies: Bodies) -> None:
        self._connection, self._bodies = connection, bodies
        self._problems: list[str] = []
        self._unlisted = 0
        self._open: dict[tuple[str, str], tuple[int, str]] = {}
        self._found: set[str] = set()
        self._erased: dict[str, list[str]] = {}  # user → their events without a payload, until they are forgotten

    def run(self, progress: Progress | None) -> VerifyReport:
        events = streams = blobs = seq = 0
        chain = ""
        pending: list[Any] = []
        try:
            # The queues and the head belong together; everything else only grows, so needs no transaction around it.
            self._connection.execute("BEGIN")
            pending = self._rows("SELECT queue, key, seq, user FROM pending ORDER BY seq, key")
            last = self._rows("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1")
            self._connection.execute("COMMIT")
            if last:
                seq, chain = last[0][0], _hex(last[0][1])
            for (line,) in self._rows("PRAGMA integrity_check(10)"):
                if line != "ok":
                    self._problem(f"the database is damaged: {line}")
            events = self._events(seq, progress)
            streams = self._streams(seq)
            self._queues(pending)
            blobs = self._blobs()
        except sqlite3.Error as error:
            self._problem(f"the database cannot be read to its end: {error}")
        if self._unlisted:
            self._problems.append(f"and {self._unlisted} more")
        return VerifyReport(events, streams, blobs, len(pending), seq, chain, tuple(self._problems))

    def _events(self, head: int, progress: Progress | None) -> int:
        """Walk the history once: gaps, digests, chain, order of time, and what each payload says."""
        count = before = latest = 0
        # What the chain may be before this event: as stored, and as computed where the two differ. So an altered link
        # is one problem, at its own event, and not one at every event after it.
        believed: set[bytes] = {GENESIS}
        for row in self._pages(_EVENTS, head):
            seq, stream, version, kind, v, at, user, digest, chain, stored = row
            what = f"event {seq} ({kind}, {stream} version {version})"
            body = self._raw(stored)
            if seq != before + 1:
                self._problem(_gap(before + 1, seq - 1))
            before = seq
            header = (seq, version, v, at, stream, kind, user or "")
            actual = digest if body is None or stored == ERASED else _digest(body)
            links = _links(believed, header, digest)
            if chain in links:
                believed = {chain}
                if actual != digest:
                    self._problem(f"the payload of {what} was altered: it does not match its digest")
            elif chain in _links(believed, header, actual):
                believed = {chain}
                self._problem(f"the digest of {what} was altered: the payload and the chain agree without it")
            else:
                believed = links | ({chain} if isinstance(chain, bytes) else set())
                self._problem(f"{what} does not fit the hash chain: it was altered, or something before it is gone")
            if isinstance(at, int):
                if at < latest:
                    self._problem(f"{what} has an earlier time than the event before it")
                latest = at
            if stored == ERASED:
                self._erased.setdefault(user or "", []).append(what)
            else:
                self._payload(what, seq, kind, v, user or "", body, stored)
            count += 1
            if progress is not None and (count % _PAGE == 0 or seq == head):
                progress(count, head)
        if before < head:
            self._problem(_gap(before + 1, head))
        for user, events in self._erased.items():
            for what in events:
                self._problem(f"the payload of {what} is erased, and no later event says that {user!r} was forgotten")
        return count

    def _raw(self, stored: Any) -> Any:
        """The payload as it was hashed, None if it is nowhere; what cannot be read stays, and matches no digest."""
        if not isinstance(stored, bytes) or stored == ERASED:
            return stored
        try:
            return self._bodies.read(stored)
        except OSError:
            return None
        except ValueError:
            return stored

    def _payload(self, what: str, seq: int, kind: Any, v: Any, user: str, body: Any, stored: Any) -> None:
        """Read the payload, follow the queues through it, and look for the blobs that it names."""
        if body is None:
            place = Place.of(stored) if stored else None
            where = f": there is no archive/{place.name}" if place else ""
            self._problem(f"the payload of {what} is missing{where}")
            return
        try:
            event = read_event(kind, v, body)
        except (LedgerError, LookupError, TypeError, ValueError) as error:
            self._problem(f"{what} cannot be read: {str(error).splitlines()[0]}")
            return
        if isinstance(event, UserForgotten):
            self._forgotten(event.user, seq)
        for entry in event.closes():
            self._open.pop(entry, None)
        for entry in event.opens():
            self._open.setdefault(entry, (seq, user))
        for hash_ in _blobs_of(event):
            if hash_ not in self._found:
                if not self._rows("SELECT 1 FROM blobs WHERE hash = ?", bytes.fromhex(hash_)):
                    self._problem(f"blob {hash_}, named by {what}, is missing")
                    continue
                if len(self._found) >= _PAGE:
                    self._found.clear()
                self._found.add(hash_)

    def _forgotten(self, user: str, seq: int) -> None:
        """Everything of the user's before this was to be erased; what was, is as it should be."""
        self._erased.pop(user, None)
        for (left,) in self._rows(_LEFT, user, seq, UserForgotten.TYPE):
            self._problem(f"event {left} of {user!r} still has its payload, which event {seq} says was erased")

    def _streams(self, head: int) -> int:
        """Versions are 1, 2, 3 … in the order of seq; returns the number of streams."""
        count = expected = before = 0
        current: Any = None
        for stream, version, seq in self._pages(_VERSIONS, head, start=(-1, 0)):
            if stream != current:
                current, expected, before = stream, 1, 0
                count += 1
            if version != expected or seq < before:
                name = self._rows("SELECT name FROM streams WHERE id = ?", stream)
                self._problem(
                    f"stream {name[0][0] if name else stream} has version {version} at event {seq} "
                    f"where version {expected} should follow event {before}"
                )
            expected, before = (version if isinstance(version, int) else expected) + 1, seq
        return count

    def _queues(self, rows: list[Any]) -> None:
        """The queues hold exactly what the events opened and did not close."""
        for queue, key, seq, user in rows:
            begun = self._open.pop((queue, key), None)
            if begun is None:
                self._problem(f"queue {queue} holds {key} (event {seq}), which no event leaves open")
            elif begun != (seq, user):
                self._problem(
                    f"queue {queue} holds {key} for event {seq} and user {user!r} "
                    f"instead of for event {begun[0]} and user {begun[1]!r}"
                )
        for (queue, key), (seq, _) in self._open.items():
            self._problem(f"queue {queue} lacks {key}, which event {seq} opened and none closed")

    def _blobs(self) -> int:
        count = 0
        for _, hash_, size, stored, base in self._pages(_BLOBS, 2**63 - 1):
            body = raw_body(size, stored, base)
            if body is None or hashlib.sha256(body).digest() != hash_:
                self._problem(f"blob {_hex(hash_)} was altered: its body does not match its hash")
            count += 1
        return count

    def _pages(self, sql: str, head: int, start: tuple[int, ...] = (0,)) -> Iterator[Any]:
        """All rows of a query by its first columns, in pages, so that no read transaction lasts long."""
        after = start
        while page := self._rows(sql, head, *after):
            yield from page
            after = page[-1][: len(start)]

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def _problem(self, sentence: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(sentence)
        else:
            self._unlisted += 1


_EVENTS = """
SELECT e.seq, s.name, e.version, k.name, e.v, e.at, u.name, e.digest, e.chain, e.body
FROM events e LEFT JOIN streams s ON s.id = e.stream LEFT JOIN kinds k ON k.id = e.kind
  LEFT JOIN users u ON u.id = e.user
WHERE e.seq <= ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT 500
"""
_LEFT = """
SELECT seq FROM events INDEXED BY events_by_user WHERE user = (SELECT id FROM users WHERE name = ?1) AND seq < ?2
  AND body IS NOT x'00' AND kind IS NOT (SELECT id FROM kinds WHERE name = ?3) ORDER BY seq LIMIT 1
"""
_VERSIONS = """
SELECT stream, version, seq FROM events INDEXED BY events_by_stream
WHERE (stream, version) > (?2, ?3) AND seq <= ?1 ORDER BY stream, version LIMIT 5000
"""
_BLOBS = """
SELECT b.id, b.hash, b.size, b.body, base.body FROM blobs b LEFT JOIN blobs base ON base.id = b.base
WHERE b.id <= ?1 AND b.id > ?2 ORDER BY b.id LIMIT 50
"""


def _links(believed: set[bytes], header: tuple[Any, ...], digest: Any) -> set[bytes]:
    """The chain's possible values after this event; none, if a column is not even of the right kind."""
    seq, version, v, at, stream, kind, user = header
    try:
        return {link(previous, seq, version, v, at, stream, kind, user, digest) for previous in believed}
    except (TypeError, ValueError, AttributeError, struct.error):
        return set()


def _digest(body: Any) -> bytes:
    return digest_of(body) if isinstance(body, bytes) else b""


def _blobs_of(event: Event) -> Iterator[str]:
    """The blobs that an event names, where it names any."""
    return (name for name in event.blobs() if _HASH.fullmatch(name))


def _gap(first: int, last: int) -> str:
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"


def _hex(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)


def _text(raw: bytes) -> str:
    """Text as it is, with whatever was damaged in it replaced: the chain will tell."""
    return raw.decode("utf-8", "replace")

"""Reading the ledger's file: short queries, page by page, so that no reader ever stands in the writer's way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fleet.errors import LedgerError
from fleet.ledger.base import Pending, Stored
from fleet.ledger.blobs import read_blob
from fleet.ledger.bodies import ERASED, Bodies
from fleet.ledger.events import Erased, read_event
from fleet.ledger.schema import log_of, open_for_reading, refusal

__all__ = ["Reader"]

# Rows of a page: few at first, for those who stop after a few.
_PAGES = (50, 200, 500)

_LAST = 2**63 - 1  # above every seq
_COLUMNS = "SELECT e.seq, s.name, e.version, e.kind, e.v, e.at, u.name, e.body, e.chain "
_BODY = 7
_NAMES = "CROSS JOIN streams s ON s.id = e.stream LEFT JOIN users u ON u.id = e.user "


class Reader:
    """A read-only connection, shared by threads; opened when first needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bodies = Bodies(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._immutable = False
        self._closed = False
        self._kinds: dict[int, str] = {}

    def open(self) -> None:
        """Open the file now, for the error that this may raise."""
        with self._lock:
            self._connect()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a short query, in a read transaction that ends with it."""
        with self._lock:
            try:
                return self._connect().execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise refusal(self.path, error) from error

    def events(
        self,
        after: int,
        upto: int | None,
        types: Sequence[str],
        user: str,
        newest_first: bool,
        before: int | None,
        limit: int | None,
    ) -> Iterator[Stored]:
        """Events as `Ledger.read` says."""
        low, high = after + 1, min(_LAST if upto is None else upto, _LAST if before is None else before - 1)
        left = _LAST if limit is None else limit
        sizes = iter(_PAGES)
        size = 0
        while left > 0 and low <= high:
            size = next(sizes, size)
            asked = min(size, left)
            page = self._page(tuple(types), user, newest_first, (low, high, asked))
            for row in page:
                if not types or row[_BODY] != ERASED:
                    left -= 1
                    yield self._stored(row)
            if len(page) < asked:
                return
            if newest_first:
                high = page[-1][0] - 1
            else:
                low = page[-1][0] + 1

    def stream(self, name: str, after: int) -> list[Stored]:
        """A stream's events above version `after`."""
        rows = self.rows(
            _COLUMNS + "FROM streams s CROSS JOIN events e INDEXED BY events_by_stream ON e.stream = s.id "
            "LEFT JOIN users u ON u.id = e.user WHERE s.name = ? AND e.version > ? ORDER BY e.version",
            (name, after),
        )
        return [self._stored(row) for row in rows]

    def version(self, name: str) -> int:
        """A stream's version; 0 if there is none."""
        sql = "SELECT max(version) FROM events WHERE stream = (SELECT id FROM streams WHERE name = ?)"
        return int(self.rows(sql, (name,))[0][0] or 0)

    def find_streams(self, prefix: str, limit: int) -> list[str]:
        """Names that begin with `prefix`: a range of the index, so no character in it needs escaping."""
        sql = "SELECT name FROM streams WHERE name >= ? ORDER BY name LIMIT ?"
        names = [name for (name,) in self.rows(sql, (prefix, max(limit, 0)))]
        return [name for name in names if name.startswith(prefix)]

    def head(self) -> tuple[int, str]:
        """The last seq and its chain."""
        rows = self.rows("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1")
        return (rows[0][0], rows[0][1].hex()) if rows else (0, "")

    def pending(self, queue: str, after_seq: int, limit: int | None) -> list[Pending]:
        """A queue's entries in seq order."""
        sql = "SELECT queue, key, seq, user FROM pending WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?"
        return [Pending(*row) for row in self.rows(sql, (queue, after_seq, -1 if limit is None else limit))]

    def pending_entry(self, queue: str, key: str) -> Pending | None:
        """One entry of a queue; None if the queue does not hold it."""
        rows = self.rows("SELECT queue, key, seq, user FROM pending WHERE queue = ? AND key = ?", (queue, key))
        return Pending(*rows[0]) if rows else None

    def pending_count(self, queue: str) -> int:
        """How many entries a queue holds."""
        return int(self.rows("SELECT count(*) FROM pending WHERE queue = ?", (queue,))[0][0])

    def blob(self, hash_: str) -> bytes:
        """A blob's body, checked."""
        with self._lock:
            try:
                return read_blob(self._connect(), hash_)
            except sqlite3.Error as error:
                raise refusal(self.path, error) from error

    def data_version(self) -> int:
        """A number that changes when another connection has committed; costs next to nothing to ask."""
        return int(self.rows("PRAGMA data_version")[0][0])

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise LedgerError(f"the ledger {self.path} is closed")
        if self._connection is not None and self._immutable and log_of(self.path).exists():
            self._connection.close()  # somebody began to write after all
            self._connection = None
        if self._connection is None:
            self._connection, self._immutable = open_for_reading(self.path)
        return self._connection

    def _page(self, types: tuple[str, ...], user: str, newest_first: bool, span: tuple[int, int, int]) -> list[Any]:
        kinds: tuple[int, ...] = ()
        if types:
            kinds = tuple(sorted(number for number, name in self._all_kinds(types).items() if name in types))
            if not kinds:
                return []
        return self.rows(_page_sql(kinds, bool(user), newest_first), (*span, user) if user else span)

    def _all_kinds(self, wanted: tuple[str, ...] = ()) -> dict[int, str]:
        if not wanted or not set(wanted) <= set(self._kinds.values()):
            self._kinds = dict(self.rows("SELECT id, name FROM kinds"))
        return self._kinds

    def _stored(self, row: Any) -> Stored:
        seq, stream, version, number, v, at, user, body, chain = row
        kind = self._kinds.get(number) or self._all_kinds()[number]
        if body is None:
            raise LedgerError(f"the payload of event {seq} ({kind}) has been erased")
        if body == ERASED:
            return Stored(seq, stream, version, at, user or "", Erased(kind=kind), chain.hex())
        try:
            event = read_event(kind, v, self._bodies.read(body))
        except OSError as error:
            where = f"{error.filename}: {error.strerror}"
            raise LedgerError(f"the payload of event {seq} ({kind}) is archived and cannot be read: {where}") from None
        except (LookupError, TypeError, ValueError) as error:
            raise LedgerError(f"event {seq} ({kind} v{v}) cannot be read: {type(error).__name__}") from error
        return Stored(seq, stream, version, at, user or "", event, chain.hex())


@cache
def _page_sql(kinds: tuple[int, ...], user: bool, newest_first: bool) -> str:
    """One page in seq order, walking only rows of these kinds, or of this user (?4), between ?1 and ?2, at most ?3.

    Several kinds are merged from their index, each already in order, which SQLite does without sorting.
    """
    down = "DESC" if newest_first else "ASC"
    if user:
        among = f"AND +e.kind IN ({', '.join(map(str, kinds))}) " if kinds else ""
        return (
            f"{_COLUMNS}FROM events e INDEXED BY events_by_user {_NAMES}"  # noqa: S608 - only numbers are put in
            f"WHERE e.user = (SELECT id FROM users WHERE name = ?4) {among}"
            f"AND e.seq BETWEEN ?1 AND ?2 ORDER BY e.seq {down} LIMIT ?3"
        )
    if not kinds:
        return f"{_COLUMNS}FROM events e {_NAMES}WHERE e.seq BETWEEN ?1 AND ?2 ORDER BY e.seq {down} LIMIT ?3"
    picks = " UNION ALL ".join(
        f"SELECT seq FROM events INDEXED BY events_by_kind WHERE kind = {kind} AND seq BETWEEN ?1 AND ?2"  # noqa: S608
        for kind in kinds
    )
    return (
        f"{_COLUMNS}FROM (SELECT seq FROM ({picks}) ORDER BY seq {down} LIMIT ?3) AS pick "  # noqa: S608
        f"CROSS JOIN events e ON e.seq = pick.seq {_NAMES}ORDER BY pick.seq {down}"
    )

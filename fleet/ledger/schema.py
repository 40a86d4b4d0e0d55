"""The ledger's file: its tables, how it is made, and how a connection to it is opened.

Stream, type and user names are stored once and events point at them by number, which keeps rows and indexes small;
the view `history` shows events with their names and payloads as text, for reading by hand. Every index ends in seq
by itself, since that is the table's rowid.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from fleet.errors import LedgerError, LedgerUnavailableError

__all__ = [
    "SCHEMA",
    "is_busy",
    "log_of",
    "open_for_reading",
    "open_for_writing",
    "refusal",
    "wait_for_turn",
]

SCHEMA = 1

_APPLICATION = 0x464C4554  # "FLET", in the file's header

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
# What goes by itself when somebody makes room, lets go, or mounts the disk for writing again…
_PASSING = _BUSY | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}
# …and what does not: what is read is wrong, the file is another one, or the disk may have dropped what it took (after
# a failed fsync the system may call the next one a success without having written).
_LASTING = frozenset(
    {
        sqlite3.SQLITE_READONLY_DBMOVED,
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",  # macOS: fsync alone leaves the data in the drive's cache
    "checkpoint_fullfsync = ON",
    "cache_size = -8192",
    "journal_size_limit = 67108864",
)

_TABLES = """
CREATE TABLE kinds(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE streams(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE events(
  seq INTEGER PRIMARY KEY,                        -- from 1, without gaps
  stream INTEGER NOT NULL REFERENCES streams(id),
  version INTEGER NOT NULL,                       -- place in the stream, from 1, without gaps
  kind INTEGER NOT NULL REFERENCES kinds(id),
  v INTEGER NOT NULL,                             -- version of the kind's fields
  at INTEGER NOT NULL,                            -- microseconds since 1970 UTC, never falling
  user INTEGER REFERENCES users(id),              -- NULL: nobody's
  digest BLOB NOT NULL,                           -- SHA-256 of body
  chain BLOB NOT NULL,                            -- see fleet/ledger/chain.py
  body BLOB                                       -- JSON, packed if long (pack.py), archived or erased (bodies.py)
);
CREATE UNIQUE INDEX events_by_stream ON events(stream, version);
CREATE INDEX events_by_kind ON events(kind);
CREATE INDEX events_by_user ON events(user) WHERE user IS NOT NULL;
CREATE TABLE blobs(
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,                      -- SHA-256 of the raw body
  size INTEGER NOT NULL,                          -- bytes of the raw body
  body BLOB NOT NULL,                             -- packed (fleet/ledger/pack.py), primed with the base's raw body
  base INTEGER REFERENCES blobs(id)               -- NULL: primed as events are
);
CREATE TABLE pending(
  queue TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, user TEXT NOT NULL, PRIMARY KEY(queue, key)
) WITHOUT ROWID;
CREATE INDEX pending_by_seq ON pending(queue, seq);
CREATE VIEW history AS
  SELECT e.seq, datetime(e.at / 1000000, 'unixepoch') AS utc, s.name AS stream, e.version, k.name AS type, e.v,
         coalesce(u.name, '') AS user, lower(hex(e.chain)) AS chain,
         CASE substr(e.body, 1, 1) WHEN x'00' THEN '(erased)' WHEN x'01' THEN '(packed)' WHEN x'02' THEN '(archived)'
           ELSE CAST(e.body AS TEXT) END AS body
  FROM events e JOIN streams s ON s.id = e.stream JOIN kinds k ON k.id = e.kind LEFT JOIN users u ON u.id = e.user;
"""


def open_for_writing(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection that may append; makes the file (mode 0600, in a folder of mode 0700) if there is none.

    The connection commits durably (`synchronous=FULL`) and waits for nobody: waiting for other writers is the
    caller's matter. Raises: LedgerError with one line, also when others hold the file for `busy_s` seconds.
    """
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        empty = os.fstat(fd).st_size == 0
        os.close(fd)
        if empty:
            _sync_folder(path.parent)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error.strerror or error}") from error
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        wait_for_turn(lambda: _prepare(connection, path), path, busy_s)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection that cannot write, and whether it takes the file for one that never changes.

    It does so when no write-ahead log lies beside the file: then a copy in a read-only folder can be read, and reading
    leaves nothing behind. Raises: LedgerError with one line.
    """
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}")
    log = log_of(path)
    if not log.exists():
        return _connect(path, "mode=ro&immutable=1"), True
    try:
        return _connect(path, "mode=ro"), False
    except LedgerError as error:
        cause = error.__cause__
        if not isinstance(cause, sqlite3.Error) or cause.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            raise
        if log.stat().st_size == 0:
            return _connect(path, "mode=ro&immutable=1"), True
        raise LedgerError(
            f"the ledger {path} has recent events in {log.name}, which cannot be read in a folder without "
            "write permission; copy both files to another folder"
        ) from error


def log_of(path: Path) -> Path:
    """The write-ahead log that lies beside the ledger while anyone has it open for writing."""
    return path.with_name(path.name + "-wal")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds what was asked for, so that a later try may succeed."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BUSY


def refusal(path: Path, error: sqlite3.Error) -> LedgerError:
    """What SQLite said about this file, as one line; a LedgerUnavailableError for what may go by itself."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_NOTADB:
        return LedgerError(f"{path} is not a ledger: {error}")
    passing = (code & 0xFF) in _PASSING and code not in _LASTING
    kind = LedgerUnavailableError if passing else LedgerError
    return kind(f"the ledger {path} cannot be used: {error}")


def wait_for_turn(action: Callable[[], object], path: Path, busy_s: float) -> None:
    """Do `action`, again and again while another process is in the way, for at most `busy_s` seconds.

    Tries every 2 ms: SQLite's own wait grows to 0.1 s, and would hardly ever meet the gap between two commits of a
    busy worker. Raises: LedgerUnavailableError when the time is up; LedgerError for anything else that SQLite refuses.
    """
    deadline = time.monotonic() + busy_s
    while True:
        try:
            action()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise refusal(path, error) from error
            if time.monotonic() >= deadline:
                raise LedgerUnavailableError(
                    f"the ledger {path} has been locked by another process for {busy_s:g} s; nothing was written"
                ) from error
            time.sleep(0.002)
        else:
            return


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = None
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?{mode}",
            uri=True,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        _check(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise refusal(path, error) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if not _is_new(connection):
        _check(connection, path)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if _is_new(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _is_new(connection):  # under the lock: another process may have made the tables just now
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        _check(connection, path)


def _is_new(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        what = "is empty" if _is_new(connection) else "is a database, but no ledger of fleet"
        raise LedgerError(f"{path} {what}")
    if schema > SCHEMA:
        raise LedgerError(
            f"the ledger {path} was written by a newer fleet (schema {schema}, this one knows {SCHEMA}); update fleet"
        )


def _sync_folder(folder: Path) -> None:
    """Make the new file's name durable, where the system can sync a folder."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

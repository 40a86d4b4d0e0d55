"""Forgetting a user: every payload of theirs out of the ledger's file, its log and its archives, on record."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from fleet.errors import LedgerError
from fleet.ledger.archive import blank_erased
from fleet.ledger.base import Draft, Stored
from fleet.ledger.batch import Names, Prepared, write_batch
from fleet.ledger.bodies import ERASED
from fleet.ledger.event import Event
from fleet.ledger.events import EVENT_TYPES, MessageAccepted, UserForgotten
from fleet.ledger.reader import Reader
from fleet.ledger.schema import open_for_writing, wait_for_turn

__all__ = ["forget_user", "scrub"]

_NAMES_BLOBS = tuple(kind for kind, event in EVENT_TYPES.items() if event.blobs is not Event.blobs)


def forget_user(path: Path, user: str, *, by: str, reason: str, busy_s: float) -> Stored | None:
    """Erase every payload of the user's events, and the blobs that nobody else's name, in one transaction.

    With it goes a `user.forgotten` event, which closes what was left to do for them. Their rows stay, with digests and
    chain, so that the history still verifies. The file's free pages still hold what was erased: call `scrub`.
    Returns the event; None if nothing of theirs was left. Raises: LedgerError; nothing was erased then.
    """
    reader = Reader(path)
    connection = open_for_writing(path, busy_s)
    try:
        head, _ = reader.head()
        own = _named_by(reader, user)
        shared = _named_by_others(reader, user, own, 0)  # most of the work, before anybody has to wait for it
        wait_for_turn(lambda: connection.execute("BEGIN IMMEDIATE"), path, busy_s)
        known, own = own, _named_by(reader, user)
        shared |= _named_by_others(reader, user, own, head if own == known else 0)
        event = _erase(connection, user, sorted(own - shared), by, reason)
        if event is None:
            return None
        stream = f"user:{user}"
        version = reader.version(stream)
        written = write_batch(connection, Names(), [Prepared.of(Draft(stream, version, (event,), user))])
        outcome = written.outcomes[0]
        if isinstance(outcome, LedgerError):
            raise outcome
        connection.execute("COMMIT")
        return outcome[0]
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {path} cannot be changed: {error}; nothing was erased") from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.close()
        reader.close()


def scrub(path: Path, busy_s: float) -> None:
    """Leave nothing of what was erased: in archives, in the file's free pages, in its log.

    Rewrites the file, so it needs room for a second one. Raises: LedgerError if others keep the file busy.
    """
    connection = open_for_writing(path, busy_s)
    try:
        blank_erased(path, connection)
        wait_for_turn(lambda: connection.execute("VACUUM"), path, busy_s)
        late = time.monotonic() + busy_s
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() >= late:
                raise LedgerError(
                    f"another process has been reading {path} for {busy_s:g} s, and what was erased is still in its "
                    "log; end it and try again"
                )
            time.sleep(0.01)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {path} cannot be rewritten: {error}; try again") from error
    finally:
        connection.close()


def _named_by(reader: Reader, user: str) -> set[str]:
    """The blobs that the user's events name."""
    found = reader.events(0, None, _NAMES_BLOBS, user, newest_first=False, before=None, limit=None)
    return {hash_ for stored in found for hash_ in stored.event.blobs()}


def _named_by_others(reader: Reader, user: str, hashes: set[str], after: int) -> set[str]:
    """Those of the blobs that somebody else's events name too."""
    found = reader.events(after, None, _NAMES_BLOBS, "", newest_first=False, before=None, limit=None)
    return {hash_ for stored in found if stored.user != user for hash_ in stored.event.blobs() if hash_ in hashes}


def _erase(connection: sqlite3.Connection, user: str, blobs: list[str], by: str, reason: str) -> UserForgotten | None:
    """Erase within the open transaction; what is to be recorded about it."""
    theirs = (
        "user = (SELECT id FROM users WHERE name = ?) AND body IS NOT x'00' "
        "AND kind IS NOT (SELECT id FROM kinds WHERE name = ?)"
    )
    values = (user, UserForgotten.TYPE)
    (events,) = connection.execute(f"SELECT count(*) FROM events WHERE {theirs}", values).fetchone()  # noqa: S608
    if not events:
        return None
    (messages,) = connection.execute(
        f"SELECT count(*) FROM events WHERE {theirs} AND kind = (SELECT id FROM kinds WHERE name = ?)",  # noqa: S608
        (*values, MessageAccepted.TYPE),
    ).fetchone()
    closed = connection.execute("SELECT queue, key FROM pending WHERE user = ? ORDER BY seq", (user,)).fetchall()
    connection.execute(f"UPDATE events SET body = ? WHERE {theirs}", (ERASED, *values))  # noqa: S608
    return UserForgotten(
        user=user,
        by=by,
        reason=reason,
        erased_events=events,
        erased_messages=messages,
        erased_blobs=_drop(connection, blobs),
        closed=tuple((queue, key) for queue, key in closed),
    )


def _drop(connection: sqlite3.Connection, hashes: list[str]) -> int:
    """Drop blobs, except those that others are kept by; how many went."""
    before = connection.total_changes
    for hash_ in hashes:
        connection.execute("DELETE FROM blobs WHERE hash = ? AND base IS NOT NULL", (bytes.fromhex(hash_),))
    bases = {base for (base,) in connection.execute("SELECT DISTINCT base FROM blobs WHERE base IS NOT NULL")}
    for hash_ in hashes:
        row = connection.execute("SELECT id FROM blobs WHERE hash = ?", (bytes.fromhex(hash_),)).fetchone()
        if row is not None and row[0] not in bases:
            connection.execute("DELETE FROM blobs WHERE id = ?", row)
    return connection.total_changes - before

"""Blobs in the ledger's file: packed, each kept once, many as what they differ from another by."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable

from fleet.errors import LedgerError, TamperedError
from fleet.ledger.base import Blob
from fleet.ledger.pack import PRIMER, pack, unpack
from fleet.ledger.statements import insert, lookup

__all__ = ["BlobRow", "raw_body", "read_blob", "write_blobs"]

BlobRow = tuple[int, bytes, bytes | None]  # size, stored body, stored body of the blob that it is like


def write_blobs(connection: sqlite3.Connection, blobs: Iterable[Blob]) -> None:
    """Insert, in the open transaction, those of the blobs that are not there yet."""
    wanted = {bytes.fromhex(blob.hash): blob for blob in blobs}
    there = lookup(connection, _KNOWN, list(wanted))
    missing = {hash_: blob for hash_, blob in wanted.items() if hash_ not in there}
    plain = [(hash_, len(blob.body), pack(blob.body)) for hash_, blob in missing.items() if not blob.like]
    insert(connection, "INSERT INTO blobs(hash, size, body)", plain)
    bases = {like: _base(connection, like) for like in {blob.like for blob in missing.values() if blob.like}}
    alike = [
        (hash_, len(blob.body), *_differing(blob.body, bases[blob.like]))
        for hash_, blob in missing.items()
        if blob.like
    ]
    insert(connection, "INSERT INTO blobs(hash, size, body, base)", alike)


def read_blob(connection: sqlite3.Connection, hash_: str) -> bytes:
    """The body with this hash, checked. Raises: LedgerError if there is none, TamperedError if it is another body."""
    try:
        key = bytes.fromhex(hash_)
    except ValueError:
        raise LedgerError(f"{hash_!r} is no blob's hash") from None
    row = connection.execute(_ONE, (key,)).fetchone()
    if row is None:
        raise LedgerError(f"the ledger holds no blob {hash_}")
    body = raw_body(*row)
    if body is None or hashlib.sha256(body).digest() != key:
        raise TamperedError(f"blob {hash_} is not what was recorded: its body does not match its hash")
    return body


def raw_body(size: int, stored: bytes, base: bytes | None) -> bytes | None:
    """The body of a row; None if what is stored cannot be that."""
    try:
        body = unpack(stored, PRIMER if base is None else unpack(base))
    except (TypeError, ValueError):
        return None
    return body if len(body) == size else None


def _base(connection: sqlite3.Connection, hash_: str) -> tuple[int, bytes] | None:
    """The number and body of a blob that others may be kept by; None if there is none such."""
    row = connection.execute(
        "SELECT id, size, body FROM blobs WHERE hash = ? AND base IS NULL", (bytes.fromhex(hash_),)
    ).fetchone()
    body = None if row is None else raw_body(row[1], row[2], None)
    return None if body is None else (row[0], body)


def _differing(body: bytes, base: tuple[int, bytes] | None) -> tuple[bytes, int | None]:
    return (pack(body), None) if base is None else (pack(body, base[1]), base[0])


_KNOWN = "SELECT group_concat(want.i) FROM want CROSS JOIN blobs ON blobs.hash = want.key"
_ONE = """
SELECT b.size, b.body, base.body FROM blobs b LEFT JOIN blobs base ON base.id = b.base WHERE b.hash = ?
"""

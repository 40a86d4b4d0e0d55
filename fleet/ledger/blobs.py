"""Blobs in the ledger's file: compressed, each kept once."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable

from fleet.errors import LedgerError, TamperedError
from fleet.ledger.base import Blob
from fleet.ledger.statements import insert, lookup

__all__ = ["read_blob", "unpack", "write_blobs"]


def write_blobs(connection: sqlite3.Connection, blobs: Iterable[Blob]) -> None:
    """Insert, in the open transaction, those of the blobs that are not there yet."""
    wanted = {bytes.fromhex(blob.hash): blob.body for blob in blobs}
    there = lookup(connection, _KNOWN, list(wanted))
    insert(
        connection,
        "INSERT INTO blobs(hash, size, body)",
        [(hash_, len(body), _pack(body)) for hash_, body in wanted.items() if hash_ not in there],
    )


def read_blob(connection: sqlite3.Connection, hash_: str) -> bytes:
    """The body with this hash, checked. Raises: LedgerError if there is none, TamperedError if it is another body."""
    try:
        key = bytes.fromhex(hash_)
    except ValueError:
        raise LedgerError(f"{hash_!r} is no blob's hash") from None
    row = connection.execute("SELECT size, body FROM blobs WHERE hash = ?", (key,)).fetchone()
    if row is None:
        raise LedgerError(f"the ledger holds no blob {hash_}")
    body = unpack(*row)
    if body is None or hashlib.sha256(body).digest() != key:
        raise TamperedError(f"blob {hash_} is not what was recorded: its body does not match its hash")
    return body


def unpack(size: int, stored: bytes) -> bytes | None:
    """The raw body of a row; None if the stored bytes cannot be that."""
    try:
        body = stored if len(stored) == size else zlib.decompress(stored)
    except (TypeError, zlib.error):
        return None
    return body if len(body) == size else None


_KNOWN = "SELECT group_concat(want.i) FROM want CROSS JOIN blobs ON blobs.hash = want.key"


def _pack(body: bytes) -> bytes:
    # A window no larger than the body, and little memory beside it: for 1.8 kB, the same bytes in 70 us instead of
    # 300, most of which zlib.compress() spends on making room for 32 kB.
    window = min(15, max(9, len(body).bit_length()))
    packer = zlib.compressobj(6, zlib.DEFLATED, window, max(1, window - 7))
    packed = packer.compress(body) + packer.flush()
    return packed if len(packed) < len(body) else body

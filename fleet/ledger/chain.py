"""The hash chain: each event is bound to everything before it.

    chain[0] = 32 zero bytes
    chain[n] = SHA-256(chain[n-1] ‖ header[n] ‖ digest[n])
    digest[n] = SHA-256(body[n])
    header[n] = seq ‖ version ‖ v ‖ at ‖ text(stream) ‖ text(type) ‖ text(user)

with the four numbers as signed 64-bit big-endian, and text(x) as the length of x's UTF-8 in 32 bits, big-endian,
then the UTF-8. Every length is in there, so no two headers spell the same bytes. The payload enters by its digest
only: a body can be erased later and the chain still holds.
"""

from __future__ import annotations

import hashlib
import struct

__all__ = ["GENESIS", "digest_of", "link"]

GENESIS = bytes(32)

_NUMBERS = struct.Struct(">qqqq")
_LENGTH = struct.Struct(">I")


def digest_of(body: bytes) -> bytes:
    """The payload's digest: 32 bytes."""
    return hashlib.sha256(body).digest()


def link(
    previous: bytes, seq: int, version: int, v: int, at: int, stream: str, kind: str, user: str, digest: bytes
) -> bytes:
    """The chain's value at `seq`, 32 bytes, from its value before it."""
    parts = [previous, _NUMBERS.pack(seq, version, v, at)]
    for text in (stream, kind, user):
        raw = text.encode()
        parts += (_LENGTH.pack(len(raw)), raw)
    parts.append(digest)
    return hashlib.sha256(b"".join(parts)).digest()

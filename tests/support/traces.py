"""Where in a folder's files some words can still be found: as they are, escaped in JSON, or deflated."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path

from fleet.ledger.pack import PRIMER, unpack


def traces(home: Path, words: str) -> list[str]:
    """The files that hold the words anywhere, each with how: `plain` or `deflated`.

    A packed body of the ledger begins with 1, a deflated row of the graph with the two bytes that zlib begins with.
    """
    sought = {words.encode(), json.dumps(words)[1:-1].encode()}
    dictionaries = [PRIMER, *_bases(home / "ledger.db")]
    found = []
    for path in sorted(each for each in home.rglob("*") if each.is_file()):
        raw = path.read_bytes()
        if any(each in raw for each in sought):
            found.append(f"{path.name} plain")
        ones = _ones(raw)
        texts = [_inflated(raw[place + 5 :], known) for place in ones for known in dictionaries]
        texts += [_inflated(raw[place + 1 :], b"") for place in ones if raw[place - 1 : place] == b"x"]
        if any(each in text for text in texts for each in sought):
            found.append(f"{path.name} deflated")
    return found


def _ones(raw: bytes) -> list[int]:
    places = []
    place = raw.find(b"\x01")
    while place >= 0:
        places.append(place)
        place = raw.find(b"\x01", place + 1)
    return places


def _inflated(stored: bytes, dictionary: bytes) -> bytes:
    """As much as can be inflated from here; most places are no beginning, and give nothing."""
    unpacker = zlib.decompressobj(-15, zdict=dictionary)
    said = b""
    try:
        for start in range(0, min(len(stored), 1 << 16), 64):
            said += unpacker.decompress(stored[start : start + 64])
            if unpacker.eof or len(said) > 1 << 20:
                break
    except zlib.error:
        pass
    return said


def _bases(ledger: Path) -> list[bytes]:
    """The blobs that others are kept by, which deflate takes as a dictionary."""
    if not ledger.exists():
        return []
    connection = sqlite3.connect(ledger)
    rows = connection.execute("SELECT body FROM blobs WHERE id IN (SELECT base FROM blobs)").fetchall()
    connection.close()
    return [unpack(body) for (body,) in rows]

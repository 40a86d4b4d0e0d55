"""Whether a graph's file is, byte for byte, what was last committed to it.

dbzero opens many a file in which bits have flipped, and answers wrong (measured: of 40 flipped bits 10 were refused, 9
gave another graph). So a hash of the file is kept beside it, and a file of another hash is not opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fleet.clock import now_us

__all__ = ["Mark", "mark", "mark_of", "read_mark", "whole"]

_AT_ONCE = 8 << 20  # bytes: each piece waits for the interpreter twice, in a worker that has other things to do


@dataclass(frozen=True)
class Mark:
    """What was written down about a file: its hash, the event at which it stands, its commits, when this was.

    `closed` says that nobody had it open. `size` and `changed_at` are what the file system said when it was hashed:
    while it says so in the same process, the file need not be hashed again.
    """

    sha256: str
    applied: int
    commits: int
    closed: bool
    at: int
    size: int = 0
    changed_at: int = 0


def mark(file: Path, applied: int, commits: int, *, closed: bool, known: Mark | None = None) -> Mark:
    """Write down what `file` holds now. Nothing may write to it meanwhile.

    `known` is what this process found of it before: it is hashed again only if it was changed since.
    """
    beside = mark_of(file)
    fresh = beside.with_suffix(".new")
    size, changed_at = _stated(file)
    unchanged = known is not None and (known.size, known.changed_at) == (size, changed_at)
    sha256 = known.sha256 if known is not None and unchanged else _hash(file)
    made = Mark(sha256, applied, commits, closed, now_us(), size, changed_at)
    fresh.write_text(json.dumps(asdict(made)), "utf-8")
    fresh.replace(beside)
    return made


def mark_of(file: Path) -> Path:
    """Where the mark of a graph's file lies."""
    return file.with_name("mark")


def read_mark(file: Path) -> Mark | None:
    """What was last written down about `file`; None if nothing was that can be read."""
    try:
        return Mark(**json.loads(mark_of(file).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def whole(file: Path) -> Mark | None:
    """What was last written down about `file`, if it is the same still; else None."""
    said = read_mark(file)
    try:
        size, changed_at = _stated(file)
        same = said is not None and said.sha256 == _hash(file)
    except OSError:
        return None
    return replace(said, size=size, changed_at=changed_at) if said is not None and same else None


def _hash(file: Path) -> str:
    total, piece = hashlib.sha256(), memoryview(bytearray(_AT_ONCE))
    with file.open("rb", buffering=0) as opened:
        while read := opened.readinto(piece):
            total.update(piece[:read])
    return total.hexdigest()


def _stated(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns

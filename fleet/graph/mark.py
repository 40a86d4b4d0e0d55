"""Whether a graph's file is, byte for byte, what was last committed to it.

dbzero opens many a file in which bits have flipped, and answers wrong (measured: of 40 flipped bits 10 were refused, 9
gave another graph). So a hash of the file is kept beside it, and a file of another hash is not opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet.clock import now_us

__all__ = ["Mark", "mark", "mark_of", "read_mark", "whole"]


@dataclass(frozen=True)
class Mark:
    """What was written down about a file: its hash, the event at which it stands, its commits, when this was.

    `closed` says that nobody had it open.
    """

    sha256: str
    applied: int
    commits: int
    closed: bool
    at: int


def mark(file: Path, applied: int, commits: int, *, closed: bool) -> None:
    """Write down what `file` holds now. Nothing may write to it meanwhile."""
    beside = mark_of(file)
    fresh = beside.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(Mark(_hash(file), applied, commits, closed, now_us()))), "utf-8")
    fresh.replace(beside)


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
        return said if said is not None and said.sha256 == _hash(file) else None
    except OSError:
        return None


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

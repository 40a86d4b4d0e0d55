"""Whether a graph's file is, byte for byte, what was last committed to it.

dbzero opens many a file in which bits have flipped, and answers wrong (measured: of 40 flipped bits 10 were refused, 9
gave another graph). So a hash of the file is kept beside it, and a file of another hash is not opened.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

__all__ = ["Marked", "is_marked", "mark", "mark_of"]

Marked = Literal["", "committed", "closed"]


def mark_of(file: Path) -> Path:
    """Where the mark of a graph's file lies."""
    return file.with_name("mark")


def mark(file: Path, *, closed: bool) -> None:
    """Write down what `file` holds now; `closed` if nobody has it open. Nothing may write to it meanwhile."""
    beside = mark_of(file)
    fresh = beside.with_suffix(".new")
    fresh.write_text(json.dumps({"sha256": _hash(file), "closed": closed}), "utf-8")
    fresh.replace(beside)


def is_marked(file: Path) -> Marked:
    """How `file` was when it was marked, if it is the same still; "" if it is not, or there is none."""
    try:
        said = json.loads(mark_of(file).read_text("utf-8"))
        if said["sha256"] != _hash(file):
            return ""
        return "closed" if said["closed"] else "committed"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

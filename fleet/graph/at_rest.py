"""Commits and copies of a graph's file keep out of each other's way.

The file changes at commits alone, so a copy taken between two of them is a whole graph. Who commits, and who copies,
holds a lock on `graph.lock` beside the folder; the operating system lets go of it when a process ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: a copy that a commit fell into does not open, and is taken again
    fcntl = None

__all__ = ["at_rest"]


@contextmanager
def at_rest(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the graph of `folder` still; False, without `wait`, if another process does so just now.

    A home that cannot be written to has no worker that could commit, and needs no lock.
    """
    lock = folder.with_name(f"{folder.name}.lock")
    if fcntl is None:
        yield True
        return
    try:
        handle = lock.open("a", encoding="utf-8")
    except OSError:
        yield True
        return
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True

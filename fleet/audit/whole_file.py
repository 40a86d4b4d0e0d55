"""Putting a file in place whole: written beside it and renamed, so that nobody ever reads half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fleet.errors import InputError

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """What is written to the file that this yields stands at `path` once the block ends; if it raises, nothing changes.

    The file is for its owner only (0600). Raises: InputError for a path that cannot be written, or is no plain file.
    """
    target = path.resolve()  # a link stays one
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is no plain file; nothing was written")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk, most likely
            raise InputError(f"{path} cannot be written: {error.strerror or error}; it is as it was") from None
        raise

"""A consistent copy of a ledger and its archives, also of one that is being written to."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import quote

from fleet.errors import LedgerError
from fleet.ledger.archive import changing_history
from fleet.ledger.bodies import Bodies
from fleet.ledger.schema import open_for_reading, refusal

__all__ = ["copy_ledger"]


def copy_ledger(source: Path, to: Path) -> None:
    """Copy the ledger `source` into the new file `to` (mode 0600), as it is at one moment; durable on return.

    Its archives go into the folder where those of `to` are. Writers go on meanwhile: the copy is taken in one read
    transaction, and nobody archives or erases meanwhile. What was begun and not finished is removed.
    Raises: LedgerError.
    """
    writable = os.access(source.parent, os.W_OK)
    with changing_history(source) if writable else nullcontext():
        _copy_file(source, to)
        archives = Bodies.folder(source)
        try:
            if archives.is_dir():
                shutil.copytree(archives, Bodies.folder(to))
        except (OSError, shutil.Error) as error:
            to.unlink(missing_ok=True)
            shutil.rmtree(Bodies.folder(to), ignore_errors=True)
            raise LedgerError(f"the archives of {source} cannot be copied: {error}") from None


def _copy_file(source: Path, to: Path) -> None:
    try:
        os.close(os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise LedgerError(f"{to} cannot be made: {error.strerror or error}") from None
    try:
        _copy(source, to)
        with to.open("rb") as written:
            os.fsync(written)
    except BaseException as error:
        to.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise refusal(source, error) from error
        raise


def _copy(source: Path, to: Path) -> None:
    open_for_reading(source)[0].close()  # a ledger, and of no newer fleet
    if os.access(source, os.W_OK) and os.access(source.parent, os.W_OK):
        # With its locks: a file that nobody has open now may be written to in a moment.
        reading = sqlite3.connect(f"file:{quote(str(source))}?mode=rw", uri=True, timeout=10.0)
    else:
        reading, _ = open_for_reading(source)
    writing = sqlite3.connect(to)
    try:
        reading.backup(writing, pages=-1)  # all at once: in steps, each write of others would begin it again
    finally:
        writing.close()
        reading.close()

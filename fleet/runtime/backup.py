"""Backups: a consistent copy of a running fleet's ledger, and a home made of one again.

The graph is not in a backup: it is what the ledger amounts to, and the next worker builds it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fleet.clock import now
from fleet.errors import InputError, LedgerError
from fleet.ledger.base import VerifyReport
from fleet.ledger.copy import copy_ledger
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.hold import Hold
from fleet.runtime.home import Home

__all__ = ["Restored", "backup", "restore"]


@dataclass(frozen=True)
class Restored:
    """What a home holds now, and the folder with what it held before; None if that was nothing."""

    found: VerifyReport
    before: Path | None


def backup(home: Home, to: Path) -> VerifyReport:
    """Copy the ledger of `home` into the folder `to`, which is a home then, and check the copy; a worker may run.

    Raises: InputError if `to` holds anything; HomeError if there is no ledger; LedgerError. Nothing is left half-done.
    """
    with home.read_ledger() as ledger:
        source = ledger.path
    try:
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise InputError(f"{to} is there already; name a folder that is not, for the backup")
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the backup {to} cannot be made: {error.strerror or error}") from None
    made = Home(to)
    try:
        _take(source, made)
    except BaseException:
        to.rmdir()
        raise
    with made.read_ledger() as copy:
        return copy.verify()


def restore(source: Path, home: Home, *, force: bool) -> Restored:
    """Make `home` hold what the backup `source` (a folder, or a ledger's file) holds.

    What `home` held goes, with `force` only, into a folder of its own inside it. No worker may run, and nobody should
    be sending. Raises: InputError if the backup does not hold, or without `force` if `home` has a ledger;
    HomeBusyError; LedgerError. Nothing is changed then.
    """
    if not source.exists():
        raise InputError(f"there is no backup at {source}")
    with Home(source).read_ledger() as ledger:
        file, found = ledger.path, ledger.verify()
    if found.problems:
        raise InputError(f"the backup {source} does not hold, and nothing was changed: {found.problems[0]}")
    home.create()
    if home.ledger_file.exists() and home.ledger_file.samefile(file):
        raise InputError(f"{source} is what the home {home.path} holds; there is nothing to restore")
    if home.ledger_file.exists() and not force:
        raise InputError(
            f"home {home.path} holds a ledger{_extent(home)}; --force puts it aside and restores {source} in its place"
        )
    with Hold(home.path, "fleet store restore"):
        before = _take(file, home)
    return Restored(found, before)


def _take(file: Path, home: Home) -> Path | None:
    """Copy the ledger `file` into `home`, and only when it is there put aside what the home held; where that is now."""
    part = home.path / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        copy_ledger(file, part / home.ledger_file.name)
        before = _put_aside(home)
        for path in sorted(part.iterdir(), key=lambda each: each.name == home.ledger_file.name):  # the ledger last
            path.replace(home.path / path.name)
    finally:
        shutil.rmtree(part)
    return before


def _extent(home: Home) -> str:
    try:
        with SqliteLedger.open(home.ledger_file, readonly=True) as ledger:
            return f" of {ledger.head()[0]} events"
    except LedgerError:
        return ""


def _put_aside(home: Home) -> Path | None:
    """Move ledger and graph, with their copies, into a new folder of the home; None if there are none."""
    there = [path for path in home.path.iterdir() if path.name.startswith(("ledger.db", "graph", "archive"))]
    if not there:
        return None
    before = home.path / f"before-{now():%Y%m%dT%H%M%S%f}"
    before.mkdir(mode=0o700)
    for path in sorted(there, key=lambda each: each.name != "ledger.db"):  # the ledger first: then it is whole there
        path.replace(before / path.name)
    return before

"""The home folder: one ledger, one graph, one worker at a time."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fleet.errors import HomeError
from fleet.ledger.sqlite import SqliteLedger

__all__ = ["Home"]

_GRAPH = re.compile(r"graph(-[1-9][0-9]*)?")


class Home:
    """Where one fleet lives. Nothing is made before it is needed; what is made is for its owner only (0700)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def ledger_file(self) -> Path:
        """The ledger: one SQLite file."""
        return self.path / "ledger.db"

    @property
    def graph_folder(self) -> Path:
        """The graph's folder: `graph`, or `graph-2` and so on after a takeover."""
        return self.graph_folders[-1]

    @property
    def next_graph_folder(self) -> Path:
        """The folder after that one; not there yet."""
        return self.path / f"graph-{_number(self.graph_folder.name) + 1}"

    @property
    def graph_folders(self) -> list[Path]:
        """The folders that were the graph's and are still there, in order; the last one is today's."""
        try:
            names = [name for name in os.listdir(self.path) if _GRAPH.fullmatch(name)]  # noqa: PTH208 - names alone
        except OSError:
            names = []
        return [self.path / name for name in sorted(names or ["graph"], key=_number)]

    def create(self) -> None:
        """Make the folder if it is not there, mode 0700.

        Raises: HomeError in one line if it cannot be made, read or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(f"home {self.path} cannot be made: {error.strerror}; choose another with --home") from None
        if not self.path.is_dir() or not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise HomeError(f"home {self.path} cannot be read and written by this user; choose another with --home")

    @property
    def writable(self) -> bool:
        """Whether this user may write into the folder."""
        return os.access(self.path, os.W_OK | os.X_OK)

    def open_ledger(self) -> SqliteLedger:
        """The ledger, for appending and reading. Raises: HomeError, LedgerError."""
        self.create()
        return SqliteLedger.open(self.ledger_file)

    def read_ledger(self) -> SqliteLedger:
        """The ledger for reading only, beside a running worker or on a copy. `path` may be the ledger file itself.

        Raises: HomeError if there is none yet.
        """
        file = self.path if self.path.is_file() else self.ledger_file
        try:
            there = file.exists()
        except OSError as error:
            raise HomeError(f"home {self.path} cannot be read: {error.strerror}") from None
        if not there:
            if self.path.is_dir() and not os.access(self.path, os.R_OK | os.X_OK):
                raise HomeError(f"home {self.path} cannot be read by this user")
            raise HomeError(f"there is no fleet in {self.path}; start one with `fleet demo` or `fleet send`")
        return SqliteLedger.open(file, readonly=True)


def _number(name: str) -> int:
    """Which one a graph's folder is: 1 for `graph`, 2 for `graph-2`."""
    return int(name.partition("-")[2] or 1)

"""The home folder: one ledger, one graph, one worker at a time."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from fleet.errors import HomeBusyError, HomeError
from fleet.ledger.sqlite import SqliteLedger

if sys.platform != "win32":
    import fcntl

__all__ = ["Home"]


class Home:
    """Where one fleet lives. Nothing is made before it is needed; what is made is for its owner only (0700)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Any = None

    @property
    def ledger_file(self) -> Path:
        """The ledger: one SQLite file."""
        return self.path / "ledger.db"

    @property
    def graph_folder(self) -> Path:
        """The graph's folder."""
        return self.path / "graph"

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

    def hold(self) -> None:
        """Become the one worker of this home; the operating system lets go when the process ends, however it ends.

        Raises: HomeBusyError that names the holder.
        """
        if sys.platform == "win32":  # the graph's own lock still keeps a second worker out
            return
        handle = (self.path / "worker.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise HomeBusyError(
                f"home {self.path} is held by another worker ({holder}); stop it or use --home"
            ) from None
        handle.truncate(0)
        handle.write(f"pid {os.getpid()} on {socket.gethostname()}")
        handle.flush()
        self._lock = handle

    def release(self) -> None:
        """Let another worker have the home."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

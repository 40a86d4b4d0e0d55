"""Room on the disk: new messages are refused while less than the reserve is left.

What is accepted already is still routed and answered out of the reserve, and the graph commits into it; so a disk that
fills up stops the senders first, each with a clear error, and the worker only when nothing at all is left.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from fleet.errors import LedgerUnavailableError

__all__ = ["Room"]

_MIB = 1 << 20
_LOOK_S = 0.25  # between two looks at the disk: a worker writes some 10 MiB in that time
_START_MB = 16  # a new graph, the log of the first commits


class Room:
    """The room on the disk that `home` is on, or will be. Asking costs a look at the clock, seldom one at the disk."""

    def __init__(self, home: Path, reserve_mb: int) -> None:
        self._home, self._reserve_mb = home, reserve_mb
        self._looked = float("-inf")

    def check(self) -> None:
        """Whether a message may be accepted. Raises: LedgerUnavailableError while less than the reserve is left."""
        if not self._reserve_mb or time.monotonic() - self._looked < _LOOK_S:
            return
        free = self._free()
        if free < self._reserve_mb * _MIB:
            raise LedgerUnavailableError(
                f"the disk of home {self._home} has {free // _MIB} MiB left, and the last {self._reserve_mb} MiB are "
                "kept for what is accepted already (FLEET_DISK_RESERVE_MB); nothing was sent, try again later"
            )
        self._looked = time.monotonic()

    def check_start(self) -> None:
        """Whether a worker may start: one that cannot write its first events does no good. Raises: as `check`."""
        free = self._free()
        if free < _START_MB * _MIB:
            raise LedgerUnavailableError(
                f"the disk of home {self._home} has {free // _MIB} MiB left, and a worker needs {_START_MB} to start; "
                "make room and start it again"
            )

    def _free(self) -> int:
        """Bytes that this user may still write."""
        there = next((each for each in (self._home, *self._home.absolute().parents) if each.exists()), self._home)
        return shutil.disk_usage(there).free

"""Waking other processes after a commit, and being woken by theirs.

Whoever watches a ledger hangs a bell, a named pipe in the folder `bells` beside the file; whoever commits writes a
byte to every bell but its own. As a net, where pipes cannot be had or a ring went astray, the watcher also looks at
SQLite's data_version four times a second, which reads a few bytes of shared memory.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fleet.errors import LedgerError
from fleet.ledger.reader import Reader

if TYPE_CHECKING:
    import asyncio

__all__ = ["LOOK_S", "Bell", "Bells"]

LOOK_S = 0.25  # seconds between two looks at data_version

_counter = itertools.count(1)


class Bells:
    """The bells beside one ledger's file."""

    def __init__(self, ledger: Path) -> None:
        self._folder = ledger.with_name("bells")
        self._own: set[str] = set()

    def hang(self) -> tuple[int, Path] | None:
        """Hang a bell: a file descriptor, readable when somebody rings, and its path. None where that cannot be."""
        name = f"{os.getpid()}-{next(_counter)}"
        making = self._folder / f".{name}"  # under a name that nobody rings, until it is open
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            making.unlink(missing_ok=True)
            os.mkfifo(making, 0o600)
            fd = os.open(making, os.O_RDWR | os.O_NONBLOCK)
            self._own.add(name)
            making.rename(self._folder / name)
        except (OSError, AttributeError):  # a read-only folder, or a system without named pipes
            return None
        return fd, self._folder / name

    def ring(self) -> None:
        """Wake everyone who watches through another handle. Bells whose owner has died are taken down."""
        with contextlib.suppress(OSError):  # no bells
            for name in os.listdir(self._folder):  # noqa: PTH208 - after every commit: twice as fast as Path objects
                if name not in self._own and not name.startswith("."):
                    _ring(self._folder / name)


class Bell:
    """One watch: calls `fn` on the loop when the bell rings, or when a look finds events that are not ours.

    `ours` gives the last seq that this process knows to have written.
    """

    def __init__(self, bells: Bells, reader: Reader, ours: Callable[[], int], fn: Callable[[], None]) -> None:
        import asyncio  # whoever only reads does without

        loop = self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._ours = ours
        self._fn = fn
        self._hung = bells.hang()
        if self._hung is not None:
            loop.add_reader(self._hung[0], self._rung)
        self._data_version = reader.data_version()  # before the head, so that no commit falls between the two
        self._seen = reader.head()[0]
        self._timer: asyncio.TimerHandle | None = loop.call_later(LOOK_S, self._again)

    def wake(self) -> None:
        """Call the watcher soon, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._call)

    def look(self) -> None:
        """Look now whether there are events of others since the last look, and call the watcher if so."""
        data_version = self._reader.data_version()
        if data_version == self._data_version:
            return
        self._data_version = data_version
        head = self._reader.head()[0]
        news = head > max(self._seen, self._ours())
        self._seen = head
        if news:
            self._call()

    def close(self) -> None:
        """Stop watching."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        if self._hung is not None:
            fd, path = self._hung
            with contextlib.suppress(RuntimeError):  # the loop is closed, and knows no descriptors any more
                self._loop.remove_reader(fd)
            os.close(fd)
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _rung(self) -> None:
        if self._hung is not None:
            with contextlib.suppress(BlockingIOError):
                os.read(self._hung[0], 65536)
        self._call()

    def _again(self) -> None:
        self._timer = self._loop.call_later(LOOK_S, self._again)
        with contextlib.suppress(LedgerError):  # in the way of another process for a moment; the next look will tell
            self.look()

    def _call(self) -> None:
        if self._timer is not None:
            self._fn()


def _ring(bell: Path) -> None:
    """Ring one bell; never waits."""
    try:
        fd = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody has it open
            bell.unlink(missing_ok=True)
        return
    try:
        with contextlib.suppress(OSError):  # full, so rung often enough; or its owner went away just now
            os.write(fd, b"!")
    finally:
        os.close(fd)

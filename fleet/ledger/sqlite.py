"""The ledger in one SQLite file: write-ahead log, every commit synced to the disk, any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fleet.errors import LedgerError
from fleet.ledger.base import Draft, Pending, Progress, Stored, VerifyReport
from fleet.ledger.doorbell import Bell, Bells
from fleet.ledger.events import build_events
from fleet.ledger.reader import Reader
from fleet.ledger.schema import open_for_writing
from fleet.ledger.verify import verify

if TYPE_CHECKING:
    from fleet.ledger.writer import Writer

__all__ = ["BUSY_S", "SqliteLedger"]

BUSY_S = 10.0  # seconds; a commit takes milliseconds, so whoever holds the file this long is stuck


class SqliteLedger:
    """The `Ledger` of one home. Methods say what they do in `fleet.ledger.base.Ledger`.

    Reading methods may be called from any thread; `append`, `subscribe`, `watch` and `close` belong to the event loop.
    """

    def __init__(self, path: Path, reader: Reader, writer: Writer | None, bells: Bells, watches: list[Bell]) -> None:
        self.path = path
        self._reader = reader
        self._writer = writer
        self._bells = bells
        self._watches = watches

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, busy_s: float = BUSY_S) -> Self:
        """Open the ledger's file, making it (mode 0600, in a folder of mode 0700) unless `readonly`.

        `busy_s` is how long a write waits for other processes. With `readonly` nothing is written, and a copied file in
        a read-only folder will do. Raises: LedgerError in one line for a file that is missing (`readonly`), cannot be
        opened, is no ledger, or was written by a newer fleet.
        """
        reader = Reader(path)
        bells = Bells(path)
        watches: list[Bell] = []
        if readonly:
            reader.open()
            return cls(path, reader, None, bells, watches)
        from fleet.ledger.writer import Writer  # with asyncio, which readers do without

        build_events()

        def committed(known: int, before: int) -> None:
            bells.ring()
            if before != known:  # another process was there in between
                for watch in tuple(watches):
                    watch.wake()

        return cls(path, reader, Writer(open_for_writing(path, busy_s), path, busy_s, committed), bells, watches)

    @property
    def commits(self) -> int:
        """Transactions that this object has committed."""
        return 0 if self._writer is None else self._writer.commits

    async def append(self, draft: Draft) -> tuple[Stored, ...]:
        """Append the draft's events; durable on return."""
        return await self._writing().append(draft)

    def append_now(self, draft: Draft) -> tuple[Stored, ...]:
        """The same without an event loop."""
        return self._writing().append_now(draft)

    def fence(self, seq: int) -> None:
        """Append nothing any more once another worker has begun after event `seq`."""
        self._writing().fence = seq

    def read(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        types: Sequence[str] = (),
        user: str = "",
        newest_first: bool = False,
        before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Stored]:
        """Events in seq order, or newest first."""
        return self._reader.events(after, upto, types, user, newest_first, before, limit)

    def read_stream(self, stream: str, *, after: int = 0) -> list[Stored]:
        """A stream's events, in order."""
        return self._reader.stream(stream, after)

    def version(self, stream: str) -> int:
        """A stream's version."""
        return self._reader.version(stream)

    def find_streams(self, prefix: str, limit: int = 10) -> list[str]:
        """Streams whose names begin with `prefix`."""
        return self._reader.find_streams(prefix, limit)

    def head(self) -> tuple[int, str]:
        """The last event's seq and chain."""
        return self._reader.head()

    def pending(self, queue: str, *, after_seq: int = 0, limit: int | None = None) -> list[Pending]:
        """A queue's entries, in seq order."""
        return self._reader.pending(queue, after_seq, limit)

    def pending_entry(self, queue: str, key: str) -> Pending | None:
        """One entry of a queue."""
        return self._reader.pending_entry(queue, key)

    def pending_count(self, queue: str) -> int:
        """How many entries a queue holds."""
        return self._reader.pending_count(queue)

    def blob(self, hash: str) -> bytes:  # noqa: A002 - the field's name
        """A blob's body."""
        return self._reader.blob(hash)

    def subscribe(self, fn: Callable[[Sequence[Stored]], None]) -> Callable[[], None]:
        """Call `fn` with every batch committed here."""
        return self._writing().subscribe(fn)

    def watch(self, fn: Callable[[], None]) -> Bell:
        """Call `fn` when another process, or another ledger object, committed events."""
        writer = self._writer
        if writer is not None:
            writer.bind()
        bell = Bell(self._bells, self._reader, lambda: writer.last_seq if writer is not None else 0, fn)
        self._watches.append(bell)
        return bell

    def verify(self, progress: Progress | None = None) -> VerifyReport:
        """Check everything that can be checked."""
        return verify(self.path, progress)

    def close(self) -> None:
        """Write what was handed in, then let go of the file."""
        for watch in self._watches:
            watch.close()
        self._watches.clear()
        self._reader.close()  # first: the last to close folds the log into the file, which a reader cannot
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _writing(self) -> Writer:
        if self._writer is None:
            raise LedgerError(f"the ledger {self.path} was opened for reading only")
        return self._writer

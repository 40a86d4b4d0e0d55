"""Archives: payloads moved out of the ledger's file into JSONL files in the folder `archive` beside it.

A line is one event: {"seq", "stream", "version", "at", "type", "v", "user", "digest", "body"}, its body as it was
written, byte for byte. The row stays in the ledger with its digest and its place in the chain, and says where the
payload is; whoever reads the event is given it from there.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fleet.errors import LedgerError, LedgerUnavailableError
from fleet.ledger.bodies import ERASED, Bodies, Place
from fleet.ledger.pack import unpack
from fleet.ledger.schema import open_for_writing, wait_for_turn

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: nothing keeps two of them apart
    fcntl = None

__all__ = ["Archive", "Archived", "blank_erased", "changing_history"]

_AT_ONCE = 500  # rows of one transaction
_SEQ = re.compile(rb'\{"seq":([0-9]+),')


@dataclass(frozen=True)
class Archived:
    """What a run moved: how many events, how many bytes of their payloads, and into which file (None: nothing)."""

    events: int
    bytes: int
    file: Path | None


@contextmanager
def changing_history(ledger: Path) -> Iterator[None]:
    """Be the only process that archives or erases. Raises: LedgerUnavailableError if another one is at it."""
    with ledger.with_name("history.lock").open("a", encoding="utf-8") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LedgerUnavailableError(
                    f"another process archives or erases in {ledger.parent} just now; try again when it is done"
                ) from None
        yield


class Archive:
    """A run that moves payloads into a new archive; other processes read and write the ledger meanwhile.

    Hold `changing_history` around it, and use it with `with`.
    """

    def __init__(self, ledger: Path, busy_s: float) -> None:
        self._ledger, self._busy_s = ledger, busy_s
        self._connection = open_for_writing(ledger, busy_s)
        self.moved = Archived(0, 0, None)

    def quiet(self, prefix: str, before: int) -> Iterator[str]:
        """Streams whose names begin with `prefix`, to which nothing was added since `before` (microseconds since 1970).

        Only those of which the ledger's file itself holds payloads; no payload is read to know that.
        """
        last = prefix
        while names := self._connection.execute(_STREAMS, (last, prefix + "\U0010ffff")).fetchall():
            for (name,) in names:
                (quiet,) = self._connection.execute(
                    f"SELECT EXISTS ({_HELD}) AND ({_NEWEST}) < ?", (name, name, before)
                )
                if quiet[0]:
                    yield name
            last = names[-1][0]

    def move(self, streams: Iterable[str]) -> None:
        """Move what the ledger's file holds of these streams' payloads; `moved` says what all calls came to.

        Each is durable in the archive before its row gives it up, so a crash leaves at worst a line that no row names.
        Raises: LedgerError, OSError; what was moved until then stays moved.
        """
        try:
            for rows in _chunks(self._connection, streams):
                self._move(rows)
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self._ledger} cannot be archived: {error}") from error

    def _move(self, rows: list[_Row]) -> None:
        file = self.moved.file or _new_file(Bodies.folder(self._ledger))
        with file.open("ab") as archive:
            places = [(_write(archive, file.name, row), row[0]) for row in rows]
            archive.flush()
            os.fsync(archive.fileno())
        wait_for_turn(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._ledger, self._busy_s)
        try:
            self._connection.executemany(
                "UPDATE events SET body = ? WHERE seq = ?", [(place.body(), seq) for place, seq in places]
            )
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        size = self.moved.bytes + sum(place.size for place, _ in places)
        self.moved = Archived(self.moved.events + len(rows), size, file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._connection.close()


def blank_erased(ledger: Path, connection: sqlite3.Connection) -> int:
    """Overwrite, in every archive, the lines of events whose payloads have been erased; how many that were."""
    blanked = 0
    folder = Bodies.folder(ledger)
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        with path.open("r+b") as archive:
            start = 0
            for line in archive:
                length = len(line) - line.endswith(b"\n")
                found = _SEQ.match(line)
                seq = int(found[1]) if found else 0
                if connection.execute("SELECT 1 FROM events WHERE seq = ? AND body = ?", (seq, ERASED)).fetchone():
                    archive.seek(start)
                    archive.write(json.dumps({"erased": seq}).encode()[:length].ljust(length))
                    archive.seek(start + len(line))
                    blanked += 1
                start += len(line)
            archive.flush()
            os.fsync(archive.fileno())
    return blanked


_Row = tuple[int, str, int, str, int, int, str | None, bytes, bytes]


def _chunks(connection: sqlite3.Connection, streams: Iterable[str]) -> Iterator[list[_Row]]:
    """The rows that hold their payloads themselves, some hundred at a time."""
    rows: list[_Row] = []
    for stream in streams:
        rows += connection.execute(_HELD, (stream,)).fetchall()
        if len(rows) >= _AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


_STREAMS = "SELECT name FROM streams WHERE name > ? AND name < ? ORDER BY name LIMIT 1000"
_NEWEST = """
SELECT e.at FROM streams s CROSS JOIN events e INDEXED BY events_by_stream ON e.stream = s.id
WHERE s.name = ? ORDER BY e.version DESC LIMIT 1
"""
_HELD = """
SELECT e.seq, s.name, e.version, k.name, e.v, e.at, u.name, e.digest, e.body
FROM streams s CROSS JOIN events e INDEXED BY events_by_stream ON e.stream = s.id JOIN kinds k ON k.id = e.kind
  LEFT JOIN users u ON u.id = e.user
WHERE s.name = ? AND e.body IS NOT NULL AND substr(e.body, 1, 1) NOT IN (x'00', x'02') ORDER BY e.version
"""


def _write(archive: IO[bytes], name: str, row: _Row) -> Place:
    """One line; where its body came to lie."""
    seq, stream, version, kind, v, at, user, digest, stored = row
    told = {"seq": seq, "stream": stream, "version": version, "at": at, "type": kind, "v": v, "user": user or ""}
    head = json.dumps({**told, "digest": digest.hex()}, separators=(",", ":"), ensure_ascii=False).encode()
    body = unpack(stored)
    start = archive.tell() + len(head) - 1 + len(b',"body":')
    archive.write(head[:-1] + b',"body":' + body + b"}\n")
    return Place(name, start, len(body))


def _new_file(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    number = 1 + max((int(each.stem) for each in folder.glob("*.jsonl") if each.stem.isdigit()), default=0)
    path = folder / f"{number:06}.jsonl"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path

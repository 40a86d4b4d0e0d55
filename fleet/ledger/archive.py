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
from typing import IO, Any

from fleet.errors import LedgerError
from fleet.ledger.bodies import ERASED, Bodies, Place
from fleet.ledger.pack import unpack
from fleet.ledger.schema import open_for_writing, wait_for_turn

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: nothing keeps two of them apart
    fcntl = None

__all__ = ["Archived", "archive_streams", "blank_erased", "changing_history"]

_AT_ONCE = 500  # rows of one transaction
_SEQ = re.compile(rb'\{"seq":([0-9]+),')


@dataclass(frozen=True)
class Archived:
    """What one run moved: how many events, how many bytes of their payloads, and into which file (None: nothing)."""

    events: int
    bytes: int
    file: Path | None


@contextmanager
def changing_history(ledger: Path) -> Iterator[None]:
    """Be the only process that archives or erases. Raises: LedgerError if another one is at it."""
    with ledger.with_name("history.lock").open("a", encoding="utf-8") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LedgerError(
                    f"another process archives or erases in {ledger.parent} just now; try again when it is done"
                ) from None
        yield


def archive_streams(ledger: Path, streams: Iterable[str], busy_s: float) -> Archived:
    """Move the payloads of these streams' events into a new archive, where they are not in one.

    Each is durable there before its row gives it up, so a crash leaves at worst a line that no row names. Other
    processes read and write meanwhile. Raises: LedgerError, OSError; what was moved until then stays moved.
    """
    folder = Bodies.folder(ledger)
    folder.mkdir(mode=0o700, exist_ok=True)
    connection = open_for_writing(ledger, busy_s)
    events = size = 0
    file: Path | None = None
    try:
        for rows in _chunks(connection, streams):
            if file is None:
                file = _new_file(folder)
            with file.open("ab") as archive:
                places = [(_write(archive, file.name, row), row[0]) for row in rows]
                archive.flush()
                os.fsync(archive.fileno())
            wait_for_turn(lambda: connection.execute("BEGIN IMMEDIATE"), ledger, busy_s)
            connection.executemany(
                "UPDATE events SET body = ? WHERE seq = ?", [(place.body(), seq) for place, seq in places]
            )
            connection.execute("COMMIT")
            events += len(rows)
            size += sum(place.size for place, _ in places)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {ledger} cannot be archived: {error}; what was moved until then is in {file}") \
            from error  # fmt: skip
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.close()
    return Archived(events, size, file)


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
    number = 1 + max((int(each.stem) for each in folder.glob("*.jsonl") if each.stem.isdigit()), default=0)
    path = folder / f"{number:06}.jsonl"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path

"""The fence: a worker whose home another one has taken over can append no more.

Each worker begins with a `fleet.started`. Its appends hold only as long as no later one is in the ledger, which is
looked up inside the very transaction that appends: one step in an index, once a transaction.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fleet.errors import TakenOverError
from fleet.ledger.events import FleetStarted, read_event
from fleet.ledger.pack import unpack

__all__ = ["check_fence"]

_LATER = """
SELECT v, body FROM events INDEXED BY events_by_kind
WHERE kind = (SELECT id FROM kinds WHERE name = 'fleet.started') AND seq > ? LIMIT 1
"""


def check_fence(connection: sqlite3.Connection, path: Path, seq: int) -> None:
    """Raises: TakenOverError that names the worker, if one began after event `seq`; sqlite3.Error."""
    for version, body in connection.execute(_LATER, (seq,)).fetchall():
        later = read_event(FleetStarted.TYPE, version, unpack(body))
        who = f"pid {later.pid} on {later.host}" if isinstance(later, FleetStarted) else "unknown"
        raise TakenOverError(f"home {path.parent} was taken over by another worker ({who}); nothing more was written")

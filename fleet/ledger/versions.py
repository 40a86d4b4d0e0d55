"""Which versions a ledger's file and its events are of."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from fleet.ledger.events import EVENT_TYPES
from fleet.ledger.schema import open_for_reading, refusal

__all__ = ["Versions", "versions_of"]


@dataclass(frozen=True)
class Versions:
    """The file's schema, and how many of its events are of an older version of their type than today's."""

    schema: int
    older: int


def versions_of(path: Path) -> Versions:
    """Look at the ledger's file; takes a moment for each million events. Raises: LedgerError as opening it does."""
    connection, _ = open_for_reading(path)
    try:
        schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
        counted = connection.execute(
            "SELECT k.name, e.v, count(*) FROM events e JOIN kinds k ON k.id = e.kind GROUP BY k.name, e.v"
        ).fetchall()
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    finally:
        connection.close()
    return Versions(schema, sum(n for name, v, n in counted if name in EVENT_TYPES and v < EVENT_TYPES[name].VERSION))

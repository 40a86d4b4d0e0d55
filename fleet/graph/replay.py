"""Replaying many events into an open graph, with a commit for many of them."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.errors import FleetError, GraphError
from fleet.graph.apply import AppReducers, apply
from fleet.graph.db import Database
from fleet.graph.living import LivingRoot
from fleet.ledger.base import Stored

__all__ = ["cannot_apply", "replay"]

# Events between two commits: what is not committed costs memory, and time beyond some 100,000 rows.
_COMMIT_EVERY = 60_000


def replay(database: Database, root: LivingRoot, events: Iterable[Stored], reducer_of: AppReducers) -> int:
    """Apply the events that come next in the open graph, and commit; returns how many there were.

    `_chain` says where it came to. Raises: GraphError if an event cannot be applied; the graph is then marked, to be
    built again.
    """
    changing, durable = root.changing, root.durable
    count, stored = 0, None
    for stored in events:
        try:
            apply(changing, stored, reducer_of)
        except Exception as error:
            durable._broken = True
            if isinstance(error, FleetError):
                raise
            raise cannot_apply(stored, error) from error
        count += 1
        if count % _COMMIT_EVERY == 0:
            root.write()
            database.commit()
    if stored is not None:
        root.write()
        durable._chain = stored.chain
        database.commit()
    return count


def cannot_apply(stored: Stored, error: Exception) -> GraphError:
    """What is said of an event that a reducer, or the graph, does not take."""
    return GraphError(
        f"event {stored.seq} ({stored.event.TYPE} in {stored.stream}) cannot be applied: "
        f"{type(error).__name__}: {error}"
    )

"""A root in memory alone, changed by the very code that changes the graph: to see how something was at a moment.

Its records are the durable ones' own classes, without the database; so a history folded here cannot come out
differently from the graph.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeVar, cast

from fleet.graph.db import plain_of
from fleet.graph.living import LivingRoot
from fleet.graph.records import DispatcherRecord, FleetRoot

__all__ = ["ScratchRoot"]

T = TypeVar("T")


class ScratchRoot(LivingRoot):
    """An empty root. Give it events with `fleet.graph.apply.change`, in order; it may be those of one user only."""

    def __init__(self) -> None:
        agents: dict[str, Any] = {}
        root = SimpleNamespace(
            task_agents=agents,
            dispatcher=plain_of(DispatcherRecord)(agents),
            users={},
            threads={},
            jobs={},
            state={},
            applied=0,
        )
        super().__init__(cast("FleetRoot", root))

    def new(self, kind: type[T], *fields: Any) -> T:
        """A new record of this kind, in memory."""
        return plain_of(kind)(*fields)

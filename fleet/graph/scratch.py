"""A root in memory alone, changed by the very code that changes the graph: to see how something was at a moment.

Its records are of the graph's own classes, without the database; so a history folded here cannot come out differently
from the graph.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from fleet.graph.db import plain_of
from fleet.graph.living import LivingRoot
from fleet.graph.records import DispatcherRecord
from fleet.graph.shelf import Record

__all__ = ["ScratchRoot"]

T = TypeVar("T")


class ScratchRoot(LivingRoot):
    """An empty root. Give it events with `fleet.graph.apply.change`, in order; it may be those of one user only."""

    def __init__(self) -> None:
        self.task_agents = {}
        self.dispatcher = plain_of(DispatcherRecord)(self.task_agents)
        self.users, self.threads, self.jobs = (cast("Any", {}) for _ in range(3))
        self.state: dict[str, Any] = {}
        self.applied = 0

    def new(self, kind: type[T], *fields: Any) -> T:
        """A new record of this kind, in memory."""
        return kind(*fields) if issubclass(kind, Record) else plain_of(kind)(*fields)

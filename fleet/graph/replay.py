"""Replaying many events into an open graph: records change in memory, and are written once for many events.

Writing a field of a durable object takes 1 to 10 µs, and a message's events write some forty of them, most of them
several times. So the records that a replay meets are taken into memory as they are, changed there by the same `apply`,
and what has changed is written before each commit. The application's own objects are changed where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, cast

from fleet.errors import FleetError, GraphError
from fleet.graph.apply import AppReducers, apply
from fleet.graph.db import Database, fields_of, plain_of
from fleet.graph.living import LivingRoot, Records
from fleet.graph.records import AgentRecord, FleetRoot, JobRecord, ThreadRecord, UserRecord
from fleet.ledger.base import Stored

__all__ = ["replay"]

T = TypeVar("T")
# Events between two commits. What is not committed costs memory, and time beyond some 100,000 objects; each commit
# writes anew the pages of the large dicts that it touches: with 20,000 a million threads took 5 GB half-way.
_COMMIT_EVERY = 60_000
_AT_HAND = 50_000  # records of one kind that stay in memory between two commits; about 100 MB

_Fields = dict[str, Any]


def replay(database: Database, root: FleetRoot, events: Iterable[Stored], reducer_of: AppReducers) -> int:
    """Apply the events that come next in the open graph, and commit; returns how many there were.

    No other reference into the graph may be used to change it meanwhile. `_chain` says where it came to.
    Raises: GraphError if an event cannot be applied; the graph is then marked, to be built again.
    """
    living = _Replaying(root)
    count, stored = 0, None
    for stored in events:
        try:
            apply(living, stored, reducer_of)
        except Exception as error:
            root._broken = True
            if isinstance(error, FleetError):
                raise
            raise cannot_apply(stored, error) from error
        count += 1
        if count % _COMMIT_EVERY == 0:
            living.write(stored.chain)
            database.commit()
    if stored is not None:
        living.write(stored.chain)
        database.commit()
    return count


def cannot_apply(stored: Stored, error: Exception) -> GraphError:
    """What is said of an event that a reducer, or the graph, does not take."""
    return GraphError(
        f"event {stored.seq} ({stored.event.TYPE} in {stored.stream}) cannot be applied: "
        f"{type(error).__name__}: {error}"
    )


class _Replaying(LivingRoot):
    """The root whose records are in memory until `write`."""

    def __init__(self, durable: FleetRoot) -> None:
        super().__init__(durable)
        self._made: dict[int, tuple[Any, tuple[Any, ...]]] = {}
        self._held = {
            name: _Held(getattr(durable, name), kind, self._made)
            for name, kind in (
                ("task_agents", AgentRecord), ("users", UserRecord), ("threads", ThreadRecord), ("jobs", JobRecord),
            )
        }  # fmt: skip
        self.task_agents = cast("dict[str, AgentRecord]", self._held["task_agents"])
        self.users = cast("Records[UserRecord]", self._held["users"])
        self.threads = cast("Records[ThreadRecord]", self._held["threads"])
        self.jobs = cast("Records[JobRecord]", self._held["jobs"])
        self._was = fields_of(durable.dispatcher)
        self.dispatcher = _in_memory(type(durable.dispatcher), self._was)

    def new(self, kind: type[T], *fields: Any) -> T:
        """A record in memory; it becomes durable when it is written."""
        record = plain_of(kind)(*fields)
        self._made[id(record)] = (record, fields)  # holds on to the record, or another could take its id
        return record

    @property
    def applied(self) -> int:
        """The ledger's seq up to which this is current."""
        return self._applied

    @applied.setter
    def applied(self, seq: int) -> None:
        self._applied = seq

    def write(self, chain: str) -> None:
        """Bring the durable records up to what is in memory; `chain` is the ledger's at the last event."""
        for held in self._held.values():
            held.write()
        self._made.clear()
        _write(self.durable.dispatcher, self._was, vars(self.dispatcher))
        self._was = _copied(vars(self.dispatcher))
        self.durable.applied = self._applied
        self.durable._chain = chain


class _Held(Generic[T]):
    """A durable dict of records by id, of which those that are asked for are in memory."""

    def __init__(self, durable: Any, kind: type[T], made: dict[int, tuple[Any, tuple[Any, ...]]]) -> None:
        self._durable, self._kind, self._made = durable, kind, made
        self._records: dict[str, T] = {}
        self._was: dict[str, _Fields] = {}
        self._touched: set[str] = set()

    def get(self, key: str) -> T | None:
        """The record, or None."""
        record = self._records.get(key)
        if record is None:
            durable = self._durable.get(key)
            if durable is None:
                return None
            was = self._was[key] = fields_of(durable)
            record = self._records[key] = _in_memory(self._kind, was)
        self._touched.add(key)
        return record

    def __getitem__(self, key: str) -> T:
        record = self.get(key)
        if record is None:
            raise KeyError(key)
        return record

    def __setitem__(self, key: str, record: T) -> None:
        self._records[key] = record
        self._touched.add(key)

    def write(self) -> None:
        """Write what has changed since the last time."""
        for key in self._touched:
            record = self._records[key]
            now, was = vars(record), self._was.get(key)
            if was is None:
                arguments = self._made[id(record)][1]
                durable, was = self._kind(*arguments), vars(plain_of(self._kind)(*arguments))
                _write(durable, was, now)
                self._durable[key] = durable
            else:
                _write(self._durable[key], was, now)
            self._was[key] = _copied(now)
        self._touched.clear()
        if len(self._records) > _AT_HAND:
            self._records.clear()
            self._was.clear()


def _in_memory(kind: type[T], fields: _Fields) -> T:
    plain = plain_of(kind)
    record = object.__new__(plain)
    vars(record).update(_copied(fields))
    return record


def _copied(fields: _Fields) -> _Fields:
    return {name: value.copy() if type(value) is list else value for name, value in fields.items()}


def _write(durable: Any, was: _Fields, now: _Fields) -> None:
    """Write the fields that differ; a list that has only grown is appended to."""
    for name, value in now.items():
        before = was.get(name)
        if value == before:
            continue
        if type(value) is list and type(before) is list and value[: len(before)] == before:
            durable_list = getattr(durable, name)
            for item in value[len(before) :]:
                durable_list.append(item)
        else:
            setattr(durable, name, value)

"""Shelves: how users, threads and jobs lie in the graph's file, each record one row.

Measured on dbzero 0.7.0: a durable object of twenty fields takes 2 kB and 100 µs to make, and a dict of a million of
them is written anew by each commit, since what belongs to a few thousand new ids lies on all of its pages: a million
threads made a file of 4.8 GB in 815 s. A row takes a twentieth of that. Rows stand in the order in which their records
were made, on pages of their own, so that a commit writes the rows that changed. New ones are written several at once; a
row that changes later gets a place of its own on its page.
A page is a dict: what is assigned to an item of a durable list is lost, or ends the next process that reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

from pydantic_core import from_json, to_json

from fleet.errors import GraphError
from fleet.graph.db import memo
from fleet.graph.numbers import Numbers

__all__ = ["Record", "Shelf", "Shelved"]

T = TypeVar("T", bound="Record")
_ON_A_PAGE = 1024  # rows; what stands on a page under a higher number are rows that were written together
_TOGETHER = 8
_DEFLATED = 200  # bytes; longer ones are stored deflated, which takes some 8 µs


class Record:
    """What a shelf holds: a dataclass of fields str, int, bool, None and lists of str, with defaults for late ones.

    Its `id` is one of them. `place` is its row's number.
    """

    __slots__ = ("__weakref__", "place")

    kinds: ClassVar[dict[str, type[Record]]] = {}
    id: str
    place: int

    def __init_subclass__(cls) -> None:
        Record.kinds[cls.__name__] = cls


@memo(id="fleet/Shelf")
class Shelf:
    """Rows of records of one kind, JSON arrays as bytes, on pages of so many; `runs` tell which row an id has.

    `names` are the fields in a row's order; a field that came later stands last, and shorter rows have its default.
    """

    count: int = 0

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.names: list[str] = []
        self.pages: list[dict[int, bytes]] = []
        self.runs: list[bytes] = []

    def counted(self) -> Iterator[bytes]:
        """What of it counts in a digest: every record's fields, by value, in the order in which they were made.

        Raises: GraphError if one cannot be found by its id.
        """
        shelved = Shelved(self, Record.kinds[self.kind])
        yield to_json(shelved.names)
        for record in shelved:
            if record.place not in shelved.numbers.of(record.id):
                raise GraphError(f"the {self.kind} in row {record.place} cannot be found by its id")
            yield to_json(shelved.values_of(record))
        if len(shelved.numbers) != len(shelved):
            raise GraphError(f"{len(shelved.numbers)} ids of {len(shelved)} rows of {self.kind}")


class Shelved(Generic[T]):
    """The records of a shelf, read from it and written to it; nothing is kept at hand but its pages and runs.

    Raises: GraphError if the shelf has fields that records do not have (any more).
    """

    def __init__(self, shelf: Shelf, kind: type[T]) -> None:
        if not isinstance(shelf, Shelf):
            raise GraphError("it was written by another version of fleet")
        self.names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self.values_of = attrgetter(*self.names)
        self.numbers = Numbers(shelf.runs)
        self._shelf, self._kind = shelf, kind
        self._count = shelf.count
        self._written = list(shelf.names)
        self._row_of = self.values_of
        if unknown := {*self._written} - {*self.names}:
            raise GraphError(f"it was written by another version of fleet: {shelf.kind} has {', '.join(unknown)}")
        self._pages: list[dict[int, bytes]] = list(shelf.pages)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        for start in range(0, self._count, _TOGETHER):
            page, first = self._pages[start // _ON_A_PAGE], start % _ON_A_PAGE
            together = page.get(_ON_A_PAGE + first // _TOGETHER)
            rows = from_json(_inflated(together)) if together is not None else []
            for number in range(min(_TOGETHER, self._count - start)):
                own = page.get(first + number)
                yield self._made(start + number, rows[number] if own is None else from_json(_inflated(own)))

    def find(self, key: str) -> tuple[T, int] | None:
        """The record with this id, or None, and how many bytes of JSON it is about."""
        for number in self.numbers.of(key):
            page, at = self._pages[number // _ON_A_PAGE], number % _ON_A_PAGE
            if (own := page.get(at)) is not None:
                row = _inflated(own)
                values, size = from_json(row), len(row)
            else:
                row = _inflated(page[_ON_A_PAGE + at // _TOGETHER])
                values, size = from_json(row)[at % _TOGETHER], len(row) // _TOGETHER
            record = self._made(number, values)
            if record.id == key:
                return record, size
        return None

    def write(self, changed: Iterable[T]) -> int:
        """Write records into their rows; how many bytes of JSON those are.

        New ones come in the order of their places, which follow on the last row.
        """
        self._name()
        new: list[T] = []
        size = 0
        for record in changed:
            if record.place < self._count:
                row = to_json(self._row_of(record))
                self._page(record.place)[record.place % _ON_A_PAGE] = _deflated(row)
                size += len(row)
            else:
                new.append(record)
        at = 0
        while at < len(new):
            place = new[at].place
            page, number = self._page(place), place % _ON_A_PAGE
            if number % _TOGETHER or len(new) - at < _TOGETHER:
                row = to_json(self._row_of(new[at]))
                at += 1
            else:
                rows = [self._row_of(record) for record in new[at : at + _TOGETHER]]
                number, row = _ON_A_PAGE + number // _TOGETHER, to_json(rows)
                at += _TOGETHER
            page[number] = _deflated(row)
            size += len(row)
        if new:
            self.numbers.enter({record.id: record.place for record in new})
            self._count += len(new)
            self._shelf.count = self._count
        return size

    def _name(self) -> None:
        """See to it that rows have every field that records have."""
        if late := [name for name in self.names if name not in self._written]:
            for name in late:
                self._shelf.names.append(name)
            self._written += late
        self._row_of = attrgetter(*self._written)

    def _page(self, place: int) -> dict[int, bytes]:
        at = place // _ON_A_PAGE
        if at == len(self._pages):
            self._shelf.pages.append({})
            self._pages.append(self._shelf.pages[at])
        return self._pages[at]

    def _made(self, place: int, values: list[Any]) -> T:
        record = self._kind(**dict(zip(self._written, values, strict=False)))
        record.place = place
        return record


def _deflated(row: bytes) -> bytes:
    return zlib.compress(row, 1) if len(row) > _DEFLATED else row


def _inflated(row: bytes) -> bytes:
    return row if row.startswith(b"[") else zlib.decompress(row)

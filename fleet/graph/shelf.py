"""Shelves: how users, threads and jobs lie in the graph's file, each record one row of bytes.

Measured on dbzero 0.7.0: a durable object of twenty fields takes 2 kB and 100 µs to make, and a dict of a million of
them is written anew by each commit, since what belongs to a few thousand new ids lies on all of its pages: a million
threads made a file of 4.8 GB in 815 s. A row takes a tenth of that. Rows stand in the order in which their records
were made, on pages of their own, so that a commit writes the rows that changed; only a row's number is found by its id.
A page is a dict: what is assigned to an item of a durable list is lost, or ends the next process that reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from typing import ClassVar, Generic, TypeVar

from pydantic_core import from_json, to_json

from fleet.errors import GraphError
from fleet.graph.db import memo

__all__ = ["Record", "Shelf", "Shelved"]

T = TypeVar("T", bound="Record")
_ON_A_PAGE = 1024  # rows
_DEFLATED = 200  # bytes; a longer row is stored deflated, which takes 8 µs


class Record:
    """What a shelf holds: a dataclass of fields str, int, bool, None and lists of str, with defaults for late ones.

    `place` is its row's number.
    """

    __slots__ = ("__weakref__", "place")

    kinds: ClassVar[dict[str, type[Record]]] = {}
    place: int

    def __init_subclass__(cls) -> None:
        Record.kinds[cls.__name__] = cls


@memo(id="fleet/Shelf")
class Shelf:
    """Rows of records of one kind: JSON arrays, as bytes, so many on a page; `numbers` has each id's row.

    `names` are the fields in a row's order; a field that came later stands last, and shorter rows have its default.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.names: list[str] = []
        self.pages: list[dict[int, bytes]] = []
        self.numbers: dict[str, int] = {}

    def counted(self) -> Iterator[bytes]:
        """What of it counts in a digest: every record's fields, by value, in the order in which they were made.

        Raises: GraphError if one cannot be found by its id.
        """
        shelved = Shelved(self, Record.kinds[self.kind])
        yield to_json(shelved.names)
        for number, record in enumerate(shelved):
            if self.numbers.get(shelved.id_of(record)) != number:
                raise GraphError(f"the {self.kind} in row {number} cannot be found by its id")
            yield to_json(shelved.values_of(record))
        if len(self.numbers) != len(shelved):
            raise GraphError(f"{len(self.numbers)} ids of {len(shelved)} rows of {self.kind}")


class Shelved(Generic[T]):
    """The records of a shelf, read from it and written to it one by one; nothing is kept at hand but the pages.

    Raises: GraphError if the shelf has fields that records do not have (any more).
    """

    def __init__(self, shelf: Shelf, kind: type[T]) -> None:
        if not isinstance(shelf, Shelf):
            raise GraphError("it was written by another version of fleet")
        self.names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self.values_of = attrgetter(*self.names)
        self.id_of = attrgetter("id")
        self._shelf, self._kind = shelf, kind
        self._written = list(shelf.names)
        if unknown := {*self._written} - {*self.names}:
            raise GraphError(f"it was written by another version of fleet: {shelf.kind} has {', '.join(unknown)}")
        self._row_of = attrgetter(*self._written) if len(self._written) > 1 else None
        self._numbers = shelf.numbers
        self._pages: list[dict[int, bytes]] = list(shelf.pages)

    def __len__(self) -> int:
        return _ON_A_PAGE * (len(self._pages) - 1) + len(self._pages[-1]) if self._pages else 0

    def __iter__(self) -> Iterator[T]:
        for rows in self._pages:
            for number in range(len(rows)):
                yield self._read(rows[number])[0]

    def number_of(self, key: str) -> int | None:
        """The row of the record with this id."""
        found: int | None = self._numbers.get(key)
        return found

    def read(self, number: int) -> tuple[T, int]:
        """The record in a row, and how many bytes the row has."""
        record, size = self._read(self._pages[number // _ON_A_PAGE][number % _ON_A_PAGE])
        record.place = number
        return record, size

    def write(self, record: T) -> int:
        """Write a record into its row, which may be the next one; how many bytes that took."""
        if self._row_of is None or len(self._written) < len(self.names):
            for name in [each for each in self.names if each not in self._written]:
                self._written.append(name)
                self._shelf.names.append(name)
            self._row_of = attrgetter(*self._written)
        row = to_json(self._row_of(record))
        if len(row) > _DEFLATED:
            row = zlib.compress(row, 1)
        at, number = divmod(record.place, _ON_A_PAGE)
        if at == len(self._pages):
            self._shelf.pages.append({})
            self._pages.append(self._shelf.pages[at])
        self._pages[at][number] = row
        return len(row)

    def enter(self, numbers: dict[str, int]) -> None:
        """Let records be found by their ids, each with its row's number."""
        known = self._numbers
        for key, number in numbers.items():
            known[key] = number

    def _read(self, row: bytes) -> tuple[T, int]:
        values = from_json(row if row[0] == _BRACKET else zlib.decompress(row))
        return self._kind(**dict(zip(self._written, values, strict=False))), len(row)


_BRACKET = ord("[")

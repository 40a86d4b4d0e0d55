"""Where an event's payload is: in its row, in an archive beside the ledger, or nowhere any more.

A row's body begins with `{` (JSON as it is) or with one byte that says how it is kept: 0 erased, 1 packed, 2 archived
(then the archive's name, where in it the payload begins, and its length in bytes).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fleet.ledger.pack import unpack

__all__ = ["ERASED", "Bodies", "Place"]

ERASED = b"\x00"
_ARCHIVED = b"\x02"


class Place(NamedTuple):
    """Where an archived payload is: the archive's file name, and from which byte how many of it."""

    name: str
    start: int
    size: int

    def body(self) -> bytes:
        """What the row holds instead of the payload."""
        return _ARCHIVED + f"{self.name} {self.start} {self.size}".encode()

    @classmethod
    def of(cls, stored: bytes) -> Place | None:
        """The place that a row's body names; None if it names none. Raises: ValueError if that cannot be read."""
        if stored[:1] != _ARCHIVED:
            return None
        name, start, size = stored[1:].decode().split(" ")
        if "/" in name or "\\" in name:
            raise ValueError("an archive lies beside the ledger")
        return cls(name, int(start), int(size))


class Bodies:
    """The payloads of one ledger's events. Archives are opened for each payload: what is archived is seldom read."""

    def __init__(self, ledger: Path) -> None:
        self._folder = self.folder(ledger)

    @staticmethod
    def folder(ledger: Path) -> Path:
        """Where the archives of a ledger are."""
        return ledger.with_name("archive")

    def read(self, stored: bytes) -> bytes:
        """The payload of a row with this body, which must not be ERASED.

        Raises: ValueError for a body that cannot be read; OSError if it lies in an archive that is not there.
        """
        place = Place.of(stored)
        if place is None:
            return unpack(stored)
        with (self._folder / place.name).open("rb") as archive:
            archive.seek(place.start)
            return archive.read(place.size)

"""Which row has the record of an id: in sorted runs of numbers, a few bytes an id.

A durable dict of ids has no such order: 15,000 new ids among a million lie on most of its pages, which the next commit
writes anew. A run is written once, and merged with the one before it when that is not twice as long; so there are some
twenty runs for a million ids, and each id was written some ten times, in 8 bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import blake2b

__all__ = ["Numbers"]

_NUMBER = (1 << 28) - 1  # the bits of a row's number; the others are of its id's hash


class Numbers:
    """The rows that may have the record of an id, over `runs`: a durable list of runs, each as bytes, longest first."""

    def __init__(self, runs: list[bytes]) -> None:
        self._durable = runs
        self._runs = [array("Q", run) for run in runs]

    def __len__(self) -> int:
        return sum([len(run) for run in self._runs])

    def of(self, key: str) -> Iterator[int]:
        """Every row that may have it: its own, if it is known, and seldom another."""
        low = _hashed(key)
        for run in self._runs:
            for at in range(bisect_left(run, low), len(run)):
                if run[at] & ~_NUMBER != low:
                    break
                yield run[at] & _NUMBER

    def enter(self, numbers: Mapping[str, int]) -> None:
        """Let ids be found that were not known, each with its row's number."""
        if not numbers:
            return
        new = sorted([_hashed(key) | number for key, number in numbers.items()])
        while self._runs and len(self._runs[-1]) <= 2 * len(new):
            new = sorted(self._runs.pop().tolist() + new)
            self._durable.pop()
        self._runs.append(array("Q", new))
        self._durable.append(self._runs[-1].tobytes())


def _hashed(key: str) -> int:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") & ~_NUMBER

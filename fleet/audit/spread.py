"""How a million durations are spread, in a few hundred numbers."""

from __future__ import annotations

from math import ceil
from typing import Any

__all__ = ["Spread"]

_BITS = 7  # of a value are kept: two values of one bucket differ by less than 1 in 64


class Spread:
    """Counts of durations (whole microseconds, 0 or more) in buckets that widen with the value.

    Percentiles are within 1 % of the nearest-rank one; `n`, `total` and `largest` are exact. How much memory it takes
    depends on the magnitudes alone, not on the number of values.
    """

    __slots__ = ("_buckets", "largest", "n", "total")

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], int] = {}  # (bits dropped, the bits kept) → how many
        self.n = self.total = self.largest = 0

    def add(self, value: int) -> None:
        """Count one more. A negative one, of a clock that went back, counts as 0."""
        if value < 0:
            value = 0
        dropped = value.bit_length() - _BITS
        bucket = (dropped, value >> dropped) if dropped > 0 else (0, value)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.n += 1
        self.total += value
        if value > self.largest:
            self.largest = value

    def percentile(self, percent: float) -> int | None:
        """The value that so many percent of the values do not exceed; None if there are none."""
        wanted = max(ceil(self.n * percent / 100), 1)
        for dropped, kept in sorted(self._buckets):
            wanted -= self._buckets[dropped, kept]
            if wanted <= 0:
                return min((kept << dropped) + (1 << dropped >> 1), self.largest)
        return None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, in microseconds."""
        return {
            "n": self.n,
            "mean": round(self.total / self.n) if self.n else None,
            **{f"p{percent}": self.percentile(percent) for percent in (50, 90, 95, 99)},
            "max": self.largest if self.n else None,
        }

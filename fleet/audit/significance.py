"""Whether one of two runs over the same cases is better, or the difference may be chance.

The cases on which both runs are right, or both wrong, say nothing about which is better. McNemar's exact test asks how
often a fair coin falls as unevenly as the others did. The interval for the difference of two paired shares is
Newcombe's (Statistics in Medicine 17, 1998, pp. 2635-2650, method 10), from Wilson's for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Paired", "wilson"]

_Z = 1.959963984540054  # 95 %, two-sided
_LEVEL = 0.05


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share; (0, 1) where n is 0."""
    if not n:
        return 0.0, 1.0
    share, scale = right / n, 1 + _Z**2 / n
    middle = (share + _Z**2 / (2 * n)) / scale
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Paired:
    """Two runs over the same cases: on how many both are right, only the old, only the new, neither."""

    both: int
    old_only: int
    new_only: int
    neither: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool, bool]]) -> Paired:
        """Counted from (old is right, new is right), a pair a case."""
        counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        for old, new in pairs:
            counts[bool(old), bool(new)] += 1
        return cls(*counts.values())

    @property
    def n(self) -> int:
        """How many cases there are."""
        return self.both + self.old_only + self.new_only + self.neither

    @property
    def difference(self) -> float:
        """The new share of right ones less the old one; 0 over no case."""
        return (self.new_only - self.old_only) / self.n if self.n else 0.0

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided: 1 where the runs never differ."""
        differing, fewer = self.old_only + self.new_only, min(self.old_only, self.new_only)
        if not differing:
            return 1.0
        whole = math.lgamma(differing + 1) - differing * math.log(2)
        tail = math.fsum(
            math.exp(whole - math.lgamma(k + 1) - math.lgamma(differing - k + 1)) for k in range(fewer + 1)
        )
        return min(1.0, 2 * tail)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval for `difference`."""
        if not self.n:
            return -1.0, 1.0
        n, a, b, c, d = self.n, self.both, self.new_only, self.old_only, self.neither
        new, old = (a + b) / n, (a + c) / n
        new_low, new_high = wilson(a + b, n)
        old_low, old_high = wilson(a + c, n)
        margins = (a + b) * (c + d) * (a + c) * (b + d)
        product = a * d - b * c
        phi = (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins) if margins else 0.0
        below, above = _reach(new - new_low, old_high - old, phi), _reach(new_high - new, old - old_low, phi)
        return max(-1.0, self.difference - below), min(1.0, self.difference + above)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `noise` where the test cannot tell at 5 %."""
        if self.p_value >= _LEVEL:
            return "noise"
        return "better" if self.new_only > self.old_only else "worse"

    @property
    def sentence(self) -> str:
        """The verdict for people."""
        low, high = self.interval
        change = f"{100 * self.difference:+.1f} points (95 %: {100 * low:+.1f} to {100 * high:+.1f})"
        said = {
            "noise": "that is within noise",
            "better": "the new one is better, by more than noise",
            "worse": "the new one is worse, by more than noise",
        }
        return (
            f"{change}: right only before {self.old_only}, only now {self.new_only}, "
            f"p = {self.p_value:.2g}; {said[self.verdict]}"
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; shares from 0 to 1."""
        shares = [(self.both + only) / self.n if self.n else None for only in (self.old_only, self.new_only)]
        return {
            "n": self.n,
            "old_accuracy": shares[0],
            "new_accuracy": shares[1],
            "difference": self.difference,
            "interval": list(self.interval),
            "right_only_old": self.old_only,
            "right_only_new": self.new_only,
            "p_value": self.p_value,
            "verdict": self.verdict,
        }


def _reach(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

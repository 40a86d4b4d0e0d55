"""Whether a model is right as often as it says it is sure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fleet.audit.significance import wilson

__all__ = ["Band", "Calibration", "calibration"]

_BANDS = 10


@dataclass(frozen=True)
class Band:
    """The decisions whose confidence lies from `low` to `high`: how many, their mean confidence, how many are right."""

    low: float
    high: float
    n: int
    confidence: float
    right: int

    @property
    def accuracy(self) -> float:
        """The share of them that is right."""
        return self.right / self.n

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "from": self.low,
            "to": self.high,
            "n": self.n,
            "confidence": self.confidence,
            "accuracy": self.accuracy,
            "interval": list(wilson(self.right, self.n)),
        }


@dataclass(frozen=True)
class Calibration:
    """Decisions in bands of confidence, each a tenth wide; bands without any are left out."""

    bands: tuple[Band, ...]

    @property
    def n(self) -> int:
        """How many decisions have a confidence."""
        return sum(each.n for each in self.bands)

    @property
    def error(self) -> float:
        """The expected calibration error: how far confidence and accuracy lie apart, by how many are in each band."""
        return sum(each.n * abs(each.accuracy - each.confidence) for each in self.bands) / self.n

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"n": self.n, "expected_error": self.error, "bands": [each.as_dict() for each in self.bands]}


def calibration(pairs: Iterable[tuple[float, bool]]) -> Calibration | None:
    """Of (confidence, right) a decision; None over none."""
    bands: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in pairs:
        bands.setdefault(min(int(confidence * _BANDS), _BANDS - 1), []).append((confidence, right))
    if not bands:
        return None
    return Calibration(
        tuple(
            Band(
                at / _BANDS,
                (at + 1) / _BANDS,
                len(found),
                sum(confidence for confidence, _ in found) / len(found),
                sum(right for _, right in found),
            )
            for at, found in sorted(bands.items())
        )
    )

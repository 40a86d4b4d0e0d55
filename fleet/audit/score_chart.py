"""The score of a run as one picture: a reliability diagram, and the accuracy of each stratum with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleet.audit.calibration import Calibration
from fleet.audit.inert import visible
from fleet.audit.picture import picture
from fleet.audit.scoring import Score, interval
from fleet.audit.significance import wilson

__all__ = ["draw_score"]

_STRATA = 25  # drawn; those with most cases
_WIDTH = 40  # characters of a stratum's name


def draw_score(score: Score, model: str, path: Path) -> None:
    """Draw the score into a file, whole or not at all; the same score gives the same picture. Raises: as `picture`."""
    most = sorted(score.strata.items(), key=lambda item: (-item[1][0], item[0]))[:_STRATA]
    with picture(path, (12, max(4.5, 1.5 + 0.28 * len(most)))) as figure:
        sure, shares = figure.subplots(1, 2)
        _reliability(sure, score.calibration)
        _strata(shares, score, most)
        figure.suptitle(f"{visible(model)[:100]} on {score.n:,} labelled cases")


def _reliability(axes: Any, found: Calibration | None) -> None:
    axes.plot([0, 1], [0, 1], "--", color="grey", label="as sure as right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share that went right")
    if found is None:
        axes.set_title("this model does not say how sure it is")
        return
    ranges = [wilson(each.right, each.n) for each in found.bands]
    axes.errorbar(
        [each.confidence for each in found.bands],
        [each.accuracy for each in found.bands],
        yerr=_reach([each.accuracy for each in found.bands], ranges),
        fmt="o-",
        capsize=3,
        label="decisions, in bands of a tenth (95 %)",
    )
    for each in found.bands:
        axes.annotate(f"{each.n:,}", (each.confidence, each.accuracy), (6, -10), textcoords="offset points", size=7)
    axes.set_title(f"expected calibration error {found.error:.3f}")
    axes.legend(loc="lower right", fontsize="small")


def _strata(axes: Any, score: Score, most: list[tuple[str, tuple[int, float]]]) -> None:
    names = [visible(" ".join(name.split()))[:_WIDTH] for name, _ in most]
    rows = [("all", (score.n, score.joint_accuracy or 0.0)), *zip(names, (each for _, each in most), strict=True)]
    heights = [share for _, (_, share) in rows]
    reach = _reach(heights, [interval(share, n) for _, (n, share) in rows])
    axes.errorbar(heights, range(len(rows)), xerr=reach, fmt="o", capsize=3)
    axes.set_yticks(range(len(rows)), [f"{name} ({n:,})" for name, (n, _) in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x", alpha=0.3)
    left = len(score.strata) - len(most)
    axes.set_title("joint accuracy by stratum (95 %)" + (f"; {left} smaller ones are left out" if left else ""))


def _reach(shares: list[float], ranges: list[tuple[float, float]]) -> list[list[float]]:
    """How far each interval reaches below and above its share."""
    below = [max(0.0, share - low) for share, (low, _) in zip(shares, ranges, strict=True)]
    return [below, [max(0.0, high - share) for share, (_, high) in zip(shares, ranges, strict=True)]]

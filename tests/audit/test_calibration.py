"""Confidence held against what went right."""

from __future__ import annotations

import pytest

from fleet.audit.calibration import calibration
from fleet.audit.scoring import Outcome, Score
from fleet.audit.significance import wilson


def test_bands_of_a_tenth_and_how_far_they_are_off() -> None:
    found = calibration([(1.0, True), (0.95, False), (0.72, True), (0.78, True), (0.05, False)])
    assert found is not None
    assert [(each.low, each.high, each.n, each.right) for each in found.bands] == [
        (0.0, 0.1, 1, 0),
        (0.7, 0.8, 2, 2),
        (0.9, 1.0, 2, 1),
    ]
    assert found.error == pytest.approx((0.05 + 2 * 0.25 + 2 * 0.475) / 5)
    assert found.as_dict()["bands"][2]["interval"] == list(wilson(1, 2))


def test_who_is_as_sure_as_right_is_off_by_nothing() -> None:
    found = calibration([(0.75, True)] * 3 + [(0.75, False)])
    assert found is not None
    assert found.error == 0
    assert calibration([]) is None


def outcome(name: str, wanted: str, chosen: str, confidence: float | None) -> Outcome:
    right = wanted == chosen
    return Outcome(
        name, (), right, None, right, False, 1,
        confidence=confidence, wanted=wanted, chosen=chosen, message="" if right else f"said in {name}",
    )  # fmt: skip


def test_confusions_come_by_number_and_show_what_it_was_surest_of() -> None:
    score = Score.of(
        [
            outcome("a", "continue", "continue", 0.9),
            outcome("b", "new clerk", "continue", 0.4),
            outcome("c", "continue", "new clerk", 0.3),
            outcome("d", "new clerk", "continue", 0.8),
            outcome("e", "new clerk", "continue", 0.5),
            outcome("f", "new clerk", "continue", 0.6),
        ]
    )
    assert [(each.wanted, each.chosen, each.n) for each in score.confusions] == [
        ("new clerk", "continue", 4),
        ("continue", "new clerk", 1),
    ]
    assert [each.message for each in score.confusions[0].worst] == ["said in d", "said in f", "said in e"]
    assert score.calibration is not None
    assert score.calibration.n == 6


def test_without_confidences_there_is_no_calibration() -> None:
    score = Score.of([outcome("a", "continue", "continue", None), outcome("b", "continue", "new clerk", None)])
    assert score.calibration is None
    assert score.as_dict()["calibration"] is None
    assert [each.case_id for each in score.confusions[0].worst] == ["b"]

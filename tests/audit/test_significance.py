"""Paired runs: the test and the intervals against published figures, and against plain counting."""

from __future__ import annotations

import math
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.audit.significance import Paired, wilson


@pytest.mark.parametrize(
    ("counts", "interval"),
    [  # Newcombe 1998 (paired), table III, method 10: (both, only new, only old, neither)
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.0562, 0.3292)),
        ((54, 0, 0, 0), (-0.0664, 0.0664)),
        ((0, 30, 0, 0), (0.8395, 1.0)),
    ],
)
def test_the_interval_is_the_published_one(counts: tuple[int, ...], interval: tuple[float, float]) -> None:
    both, new_only, old_only, neither = counts
    found = Paired(both, old_only, new_only, neither).interval
    assert found == pytest.approx(interval, abs=5e-5)


def test_wilsons_interval_is_the_published_one() -> None:  # Newcombe 1998 (single proportions), 81 of 263
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_is_that_of_a_fair_coin(old_only: int, new_only: int) -> None:
    n, fewer = old_only + new_only, min(old_only, new_only)
    exact = min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)
    assert Paired(5, old_only, new_only, 3).p_value == pytest.approx(exact)


@given(*(st.integers(0, 400) for _ in range(4)))
def test_the_interval_holds_the_difference_and_turns_with_the_runs(a: int, b: int, c: int, d: int) -> None:
    one, other = Paired(a, b, c, d), Paired(a, c, b, d)
    low, high = one.interval
    assert -1 <= low <= one.difference <= high <= 1
    assert other.interval == pytest.approx((-high, -low))
    assert other.p_value == one.p_value
    assert {one.verdict, other.verdict} in ({"noise"}, {"better", "worse"})


def test_many_thousands_of_cases_take_no_time_and_no_overflow() -> None:
    found = Paired(60_000, 5_000, 5_600, 10_000)
    assert found.verdict == "better"
    assert 0 < found.p_value < 1e-6
    assert not math.isnan(sum(found.interval))


def test_few_cases_prove_nothing_and_the_sentence_says_so() -> None:
    found = Paired.of([(True, True)] * 10 + [(False, True)] * 4)
    assert (found.n, found.difference) == (14, pytest.approx(4 / 14))
    assert found.verdict == "noise"
    assert "within noise" in found.sentence
    assert Paired.of([(False, True)] * 9).verdict == "better"
    assert Paired.of([]).verdict == "noise"

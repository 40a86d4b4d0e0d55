"""Percentiles out of buckets."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.audit.spread import Spread

DURATIONS = st.lists(st.integers(0, 10**13) | st.integers(0, 300), min_size=1)


def spread_of(values: list[int]) -> Spread:
    spread = Spread()
    for value in values:
        spread.add(value)
    return spread


@given(DURATIONS, st.floats(0, 100))
def test_a_percentile_is_within_one_percent_of_the_nearest_rank(values: list[int], percent: float) -> None:
    nearest = sorted(values)[max(ceil(len(values) * percent / 100), 1) - 1]
    assert spread_of(values).percentile(percent) == pytest.approx(nearest, rel=0.01)


@given(DURATIONS)
def test_count_sum_and_largest_are_exact(values: list[int]) -> None:
    spread = spread_of(values)
    assert (spread.n, spread.total, spread.largest) == (len(values), sum(values), max(values))
    assert spread.percentile(100) <= spread.largest
    assert spread.as_dict()["max"] == max(values)


def test_small_values_are_exact_and_a_clock_that_went_back_is_zero() -> None:
    assert spread_of([*range(1, 101)]).as_dict() == {
        "n": 100, "mean": 50, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100
    }  # fmt: skip
    assert spread_of([-5]).as_dict()["max"] == 0


def test_nothing_has_no_percentiles() -> None:
    assert Spread().as_dict() == dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max")) | {"n": 0}


def test_a_million_values_need_few_buckets() -> None:
    spread = spread_of([number * 7919 % 90_000_000 for number in range(1_000_000)])
    assert spread.n == 1_000_000
    assert len(spread._buckets) < 2_000
    assert spread.percentile(50) == pytest.approx(45_000_000, rel=0.02)

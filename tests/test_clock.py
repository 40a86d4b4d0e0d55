"""The clock: aware, exact to the microsecond, frozen where a test freezes it."""

import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from fleet.clock import from_us, iso, now, now_us, to_us
from fleet.log import log


def test_a_frozen_clock_freezes_the_fleet():
    with freeze_time("2026-11-21 09:30:00.123456"):
        assert now() == datetime(2026, 11, 21, 9, 30, 0, 123456, UTC)
        assert iso(now_us()) == "2026-11-21T09:30:00.123Z"


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])))
def test_a_stored_time_is_the_same_moment(moment):
    assert from_us(to_us(moment)) == moment


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="a naive time has no place here"):
        to_us(datetime(2026, 11, 21))  # noqa: DTZ001


def test_a_log_line_is_an_event_and_its_fields_each_on_one_line(caplog):
    with caplog.at_level(logging.INFO, logger="fleet"):
        log("turn.failed", thread="thr_1", reason="no\nend", empty="")
    assert caplog.messages == ['turn.failed thread=thr_1 reason="no\\nend" empty=""']

"""The support desk's calendar: pure functions of a person, the moves on record and the day."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import ToolError
from fleet.demo.shifts import Move, check_move, day_of, free_days, shift_on, spoken, week_of

SATURDAY = date(2026, 11, 21)
MONDAY, THURSDAY, FRIDAY = date(2026, 11, 23), date(2026, 11, 26), date(2026, 11, 27)
USERS = st.text(min_size=1, max_size=20)
DAYS = st.dates(date(2025, 1, 1), date(2030, 1, 1))


@given(USERS, DAYS)
def test_everybody_works_three_weekdays_the_same_every_week(user, day):
    monday = day - timedelta(days=day.weekday())
    week = week_of(user, monday, [])
    assert len(week) == 3
    assert all(shift.day.weekday() < 5 for shift in week)
    later = week_of(user, monday + timedelta(days=7), [])
    assert [(s.day.weekday(), s.kind) for s in week] == [(s.day.weekday(), s.kind) for s in later]


@given(USERS, DAYS)
def test_a_moved_shift_is_on_the_new_day_and_nowhere_else(user, today):
    monday = today + timedelta(days=7 - today.weekday())
    shift = week_of(user, monday, [])[0]
    new_day = next(day for day in free_days(user, monday, today, []))
    assert check_move(user, shift.day, new_day, today, []) == shift
    moves = [Move(shift.day.isoformat(), new_day.isoformat())]
    moved = shift_on(user, new_day, moves)
    assert moved is not None
    assert moved.kind == shift.kind
    assert shift_on(user, shift.day, moves) is None
    assert len(week_of(user, monday, moves)) == 3
    back = [*moves, Move(new_day.isoformat(), shift.day.isoformat())]
    assert week_of(user, monday, back) == week_of(user, monday, [])


def test_the_two_people_of_the_scripted_day_have_the_shifts_that_they_talk_of():
    assert [str(shift) for shift in week_of("ana", MONDAY, [])] == [
        "Mon 23 Nov, 12:30–17:00",
        "Wed 25 Nov, 08:00–12:30",
        "Thu 26 Nov, 12:30–17:00",
    ]
    assert free_days("ben", date(2026, 11, 25), SATURDAY, []) == [MONDAY, FRIDAY]


@pytest.mark.parametrize(
    ("day", "new_day", "today", "why"),
    [
        (FRIDAY, MONDAY, SATURDAY, "no shift on Fri 27 Nov"),
        (THURSDAY, FRIDAY, THURSDAY, "too close"),
        (THURSDAY, MONDAY, date(2026, 11, 24), "too soon"),
        (THURSDAY, date(2026, 11, 28), SATURDAY, "closed on Sat 28 Nov"),
        (THURSDAY, date(2026, 12, 4), SATURDAY, "more than 7 days"),
        (THURSDAY, date(2026, 11, 25), SATURDAY, "already work on Wed 25 Nov"),
        (THURSDAY, THURSDAY, SATURDAY, "already work"),
    ],
)
def test_a_move_against_the_rules_says_which_rule(day, new_day, today, why):
    with pytest.raises(ToolError, match=why):
        check_move("ana", day, new_day, today, [])


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-27", FRIDAY),
        ("Friday", FRIDAY),
        (" fri ", FRIDAY),
        ("saturday", date(2026, 11, 28)),
        ("tomorrow", date(2026, 11, 22)),
        ("today", SATURDAY),
    ],
)
def test_a_day_is_a_date_or_a_weekday(text, day):
    assert day_of(text, SATURDAY) == day


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "27.11.", "Friday the 13th"])
def test_anything_else_is_no_day(text):
    with pytest.raises(ToolError, match="YYYY-MM-DD"):
        day_of(text, SATURDAY)


def test_days_are_written_as_people_write_them():
    assert spoken(FRIDAY) == "Fri 27 Nov"

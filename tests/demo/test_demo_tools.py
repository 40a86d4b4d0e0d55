"""The demo's tools, called as the runtime calls them, on a person of whom nothing is on record yet."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet import ToolContext, ToolError
from fleet.agents.tool import Tool
from fleet.demo.account import lookup_account_state
from fleet.demo.office import PreferencesChanged, RequestSubmitted
from fleet.demo.options import draft_options, summarize_tradeoffs
from fleet.demo.preferences import read_preferences, update_preferences
from fleet.demo.schedule import find_availability, propose_time_change, submit_request


def context(user: str = "ana", now: str = "2026-11-21T09:00:00") -> ToolContext:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    return ToolContext(user, "thr_1", "job_1", "toolu_1", "key-1", moment, {})


def call(fn: Any, given: dict[str, Any], at: ToolContext) -> str:
    tool = Tool.of(fn)
    return asyncio.run(tool.call(tool.bind(given), at))


def test_availability_tells_the_shift_and_the_free_days():
    assert call(find_availability, {"day": "Thursday"}, context()) == (
        "You work on Thu 26 Nov, 12:30–17:00 (late shift). Still free that week: Tue 24 Nov, Fri 27 Nov."
    )
    assert call(find_availability, {"day": "2026-11-27"}, context()).startswith("You are free on Fri 27 Nov.")


def test_a_proposal_changes_nothing():
    at = context()
    said = call(propose_time_change, {"day": "2026-11-26", "new_day": "2026-11-27"}, at)
    assert "would move from Thu 26 Nov to Fri 27 Nov" in said
    assert at.emitted == []


def test_a_request_is_one_event_whose_number_comes_from_the_call():
    first, second = context(), context()
    move = {"day": "2026-11-26", "new_day": "2026-11-27"}
    assert call(submit_request, move, first) == call(submit_request, move, second)
    (event,) = first.emitted
    assert isinstance(event, RequestSubmitted)
    assert (event.user, event.day, event.new_day) == ("ana", "2026-11-26", "2026-11-27")
    assert event.submitted_at == "2026-11-21T09:00:00+00:00"


def test_a_request_against_the_rules_is_no_event():
    at = context()
    with pytest.raises(ToolError, match="no shift on Fri 27 Nov"):
        call(submit_request, {"day": "2026-11-27", "new_day": "2026-11-24"}, at)
    assert at.emitted == []


def test_preferences_begin_with_the_defaults_and_change_by_one_event():
    at = context()
    assert call(read_preferences, {}, at) == (
        '{"channel": "email", "reminder_minutes": 60, "preferred_shift": "either", "digest": "weekly"}'
    )
    assert call(update_preferences, {"channel": "sms", "reminder_minutes": 30}, at) == (
        "Saved: channel sms, reminder minutes 30."
    )
    (event,) = at.emitted
    assert isinstance(event, PreferencesChanged)
    assert event.changes == {"channel": "sms", "reminder_minutes": 30}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "Nothing would change"),
        ({"channel": "email"}, "Nothing would change"),
        ({"reminder_minutes": 2}, "5 to 1440"),
        ({"channel": "pigeon"}, "channel"),
        ({"volume": 11}, "volume"),
    ],
)
def test_a_change_that_is_none_or_not_allowed_is_refused(given, why):
    at = context()
    with pytest.raises(ToolError, match=why):
        call(update_preferences, given, at)
    assert at.emitted == []


@pytest.mark.parametrize(
    ("today", "payday"),
    [
        ("2026-11-21", "Mon 30 Nov"),
        ("2026-11-30", "Mon 30 Nov"),
        ("2026-12-01", "Fri 18 Dec"),  # the 20th is a Sunday
        ("2026-12-31", "Fri 29 Jan"),
        ("2028-02-01", "Tue 29 Feb"),
    ],
)
def test_payday_is_as_the_handbook_says(today, payday):
    said = call(lookup_account_state, {"topic": "pay"}, context(now=f"{today}T12:00:00"))
    assert said == f"The next payday is {payday}."


def test_the_account_tells_shifts_leave_and_requests():
    at = context()
    assert call(lookup_account_state, {"topic": "shifts", "week": "next"}, at).startswith(
        "Next week you work Mon 23 Nov"
    )
    assert call(lookup_account_state, {"topic": "shifts"}, at).startswith("This week you work Mon 16 Nov")
    assert " of 28 days of leave left" in call(lookup_account_state, {"topic": "leave"}, at)
    assert call(lookup_account_state, {"topic": "requests"}, at) == "You have submitted no requests."


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Help me think through whether to hire or to train?", ["hire", "train"]),
        ("Should we fly, or take the train, or stay home?", ["fly", "take the train", "stay home"]),
        ("I'm torn between the early and the late shift", ["the early", "the late shift"]),
        ("Help me decide about moving house", ["moving house", "leave it as it is"]),
    ],
)
def test_options_are_in_the_words_of_the_question(question, options):
    drafted = draft_options(question)["options"]
    assert drafted[:-1] == options
    assert drafted[-1].startswith("try it small first")


def test_every_option_is_weighed_once():
    lines = summarize_tradeoffs(["hire somebody", "leave it as it is"]).splitlines()
    assert [line[:2] for line in lines] == ["1.", "2."]
    assert all("For it: " in line and "Against it: " in line and "Worth finding out: " in line for line in lines)


@pytest.mark.parametrize("given", [[], ["only one"], ["x"] * 6])
def test_tradeoffs_need_two_to_five_options(given):
    with pytest.raises(ToolError, match="two to five"):
        summarize_tradeoffs(given)


@pytest.mark.parametrize("question", ["", "  ", "?!"])
def test_no_question_has_no_options(question):
    with pytest.raises(ToolError, match="no question"):
        draft_options(question)

"""`fleet agents`: what the code declares, and what the ledger knows of it."""

from __future__ import annotations

import json

from support.commands import call, refused
from support.fleets import helper_app, open_fleet

from fleet import Message


def _agents(*options):
    return [json.loads(line) for line in call("agents", "--json", *options).stdout.splitlines()]


def test_it_works_without_a_home_and_shows_all_that_is_declared(tmp_path):
    found = {each["role"]: each for each in _agents("--home", tmp_path / "nothing")}
    assert list(found) == [
        "information_retriever", "schedule_assistant", "preferences_assistant", "sounding_board", "dispatcher",
    ]  # fmt: skip
    assert not (tmp_path / "nothing").exists()
    schedule = found["schedule_assistant"]
    assert (schedule["kind"], schedule["model"], schedule["recorded"]) == ("dialog", "offline:worker", None)
    assert [(tool["name"], tool["effect"]) for tool in schedule["tools"]] == [
        ("find_availability", "read"), ("propose_time_change", "read"), ("submit_request", "write"),
    ]  # fmt: skip
    assert schedule["tools"][0]["signature"] == "find_availability(day: str)"
    assert schedule["prompt"] == "prompts/schedule_assistant.md"
    assert schedule["warmup"] == "warmup/worker.py"
    assert schedule["examples"]["0"] == "Move a shift to another day"
    assert found["sounding_board"]["kind"] == "supervised"
    assert found["dispatcher"]["model"] == "offline:router"


async def test_with_a_home_it_says_what_is_in_force_since_when_and_how_many_threads(tmp_path):
    async with open_fleet(tmp_path, helper_app()) as fleet:
        for number in range(3):
            await fleet.accept(Message("ana", f"something new {number}"))
        await fleet.idle()
    declared, dispatcher, helper = (
        {each["role"]: each for each in _agents("--home", tmp_path, "--app", "fleet.demo:app")}[role]
        for role in ("schedule_assistant", "dispatcher", "helper")
    )
    assert declared["recorded"] is None
    assert (helper["declared"], helper["recorded"]["threads"], helper["recorded"]["retired"]) == (False, 3, False)
    assert dispatcher["recorded"]["up_to_date"] is False
    page = call("agents", "--home", tmp_path, "--app", "fleet.demo:app").stdout
    assert "helper  no longer declared" in page
    assert "not the code's; in force since 2" in page


def test_an_application_that_is_not_there_is_refused(tmp_path):
    assert "no attribute 'nothing'" in refused(call("agents", "--app", "fleet.demo:nothing", "--home", tmp_path))

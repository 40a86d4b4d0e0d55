"""A worker killed in the middle of a turn: the next one goes on from the last recorded step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.children import run_child
from support.fleets import check_exactly_once, digests, events_of, helper_app, open_fleet, scripted, use

from fleet import AppEvent, ToolContext, reducer, tool
from fleet.ledger.events import AppEventRecorded, ModelAnswered, ToolIntended, ToolReturned, TurnEnded, TurnStarted
from fleet.llm.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]


class Booked(AppEvent):
    NAME = "test_resume.booked"
    day: str


@reducer(Booked)
def add_booking(state, event):
    state["booked"] = [*list(state.get("booked") or []), event.day]


class Steps:
    """Tools that end the process, as a power cut would, when their name is `at`."""

    def __init__(self, notes: Path, at: str = "") -> None:
        self.notes, self.at = notes, at

    def note(self, what: str) -> None:
        with self.notes.open("a") as notes:
            notes.write(what + "\n")
        if what == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def tools(self):
        steps = self

        @tool(effect="read")
        def look() -> str:
            """Look."""
            steps.note("look")
            return "seen"

        @tool(effect="write", confirm="never")
        def book(context: ToolContext, day: str) -> str:
            """Book a day."""
            context.emit(Booked(day=day))
            steps.note("book")
            return "booked"

        @tool(confirm="never")
        def mail() -> str:
            """Send a mail."""
            steps.note("mail")
            return "sent"

        @tool(effect="write", confirm="never")
        def finish() -> str:
            """Take the last step."""
            steps.note("finish")
            return "finished"

        return [look, book, mail, finish]


def script():
    return [[use("look", "a"), use("book", "b", day="Friday")], [use("mail", "c")], [use("finish", "d")], "All done."]


def killed(start: Any, home: Path, notes: Path, *at: str) -> None:
    """Run a fleet on one message until it is killed at a step."""
    assert run_child(start, home, notes, *at) == -signal.SIGKILL


async def first(home: Path, notes: Path, at: str) -> None:
    model = ScriptedModel(script(), name="test:worker")
    async with open_fleet(home, helper_app(tools=Steps(notes, at).tools()), models=scripted(worker=model)) as fleet:
        await fleet.accept({"user": "ana", "text": "Book Friday", "id": "m-1"})
        await fleet.idle()


async def killed_when_unknown(home: Path, notes: Path) -> None:
    """Go on after a kill, and end as a power cut would as soon as it is durable that nobody knows about a call."""

    def cut(stored):
        if isinstance(stored.event, ToolReturned) and stored.event.unknown:
            os.kill(os.getpid(), signal.SIGKILL)

    model = ScriptedModel(["All done."], name="test:worker")
    async with open_fleet(home, helper_app(tools=Steps(notes).tools()), models=scripted(worker=model)) as fleet:
        fleet.on(cut)
        await fleet.reply_to("m-1")


async def second(home: Path, notes: Path, answers: list):
    """The fleet after the kill, to its end; its events."""
    model = ScriptedModel(answers, name="test:worker")
    async with open_fleet(home, helper_app(tools=Steps(notes).tools()), models=scripted(worker=model)) as fleet:
        reply = await fleet.reply_to("m-1")
        await fleet.idle()
        check_exactly_once(events_of(fleet))
        assert fleet.ledger.verify().ok
        booked = list(fleet._graph.root.state.get("booked") or [])
        return reply, [each.event for each in events_of(fleet)], booked, model.requests


def of(events, kind):
    return [each for each in events if isinstance(each, kind)]


async def test_a_read_that_was_cut_off_runs_again(tmp_path):
    home, notes = tmp_path / "home", tmp_path / "notes"
    killed(first, home, notes, "look")
    reply, events, booked, _ = await second(home, notes, script()[1:])
    assert reply == "All done."
    assert notes.read_text().split() == ["look", "look", "book", "mail", "finish"]
    assert booked == ["Friday"]
    assert len(of(events, TurnStarted)) == len(of(events, TurnEnded)) == 1
    assert len(of(events, ModelAnswered)) == 4, "the first answer is on record and was not asked for again"
    live, again = digests(home, tmp_path / "again")
    assert live == again


async def test_an_emitted_event_happens_once_though_its_tool_ran_twice(tmp_path):
    home, notes = tmp_path / "home", tmp_path / "notes"
    killed(first, home, notes, "book")
    reply, events, booked, _ = await second(home, notes, script()[1:])
    assert reply == "All done."
    assert notes.read_text().split().count("book") == 2
    assert booked == ["Friday"]
    assert len(of(events, AppEventRecorded)) == 1
    live, again = digests(home, tmp_path / "again")
    assert live == again


async def test_an_external_effect_that_may_have_happened_waits_for_a_person(tmp_path):
    home, notes = tmp_path / "home", tmp_path / "notes"
    killed(first, home, notes, "mail")
    reply, events, booked, requests = await second(home, notes, [])
    assert notes.read_text().split().count("mail") == 1, "it is not known whether it took effect, so it runs no more"
    assert requests == []
    (ended,) = of(events, TurnEnded)
    assert (ended.result, ended.reason) == ("blocked", "mail may have run: c")
    assert "mail" in reply
    assert "A person has to check" in reply
    assert [each.call_id for each in of(events, ToolIntended)] == ["c"]
    assert [(each.call_id, each.error) for each in of(events, ToolReturned)][-1] == ("c", True)
    assert booked == ["Friday"]
    live, again = digests(home, tmp_path / "again")
    assert live == again


async def test_a_model_does_not_go_on_from_an_effect_that_nobody_knows_of_however_often_it_is_killed(tmp_path):
    home, notes = tmp_path / "home", tmp_path / "notes"
    killed(first, home, notes, "mail")
    killed(killed_when_unknown, home, notes)
    reply, events, _, requests = await second(home, notes, ["All done."])
    assert requests == []
    assert "A person has to check" in reply
    assert [each.result for each in of(events, TurnEnded)] == ["blocked"]


async def test_a_turn_goes_on_from_its_last_recorded_step(tmp_path):
    home, notes = tmp_path / "home", tmp_path / "notes"
    killed(first, home, notes, "finish")
    reply, events, booked, requests = await second(home, notes, ["All done."])
    assert reply == "All done."
    assert notes.read_text().split() == ["look", "book", "mail", "finish", "finish"]
    assert booked == ["Friday"]
    assert len(of(events, ToolReturned)) == 4
    (request,) = requests
    shown = json.dumps(request.messages)
    assert all(said in shown for said in ("seen", "booked", "sent", "finished"))
    assert shown.count("tool_use_id") == 4


@pytest.mark.parametrize("times", [3])
async def test_killed_again_and_again_it_still_comes_to_its_end(tmp_path, times):
    home, notes = tmp_path / "home", tmp_path / "notes"
    for _ in range(times):
        killed(first, home, notes, "look")
    reply, events, _, _ = await second(home, notes, script()[1:])
    assert reply == "All done."
    assert notes.read_text().split().count("look") == times + 1
    assert len(of(events, ModelAnswered)) == 4

"""A worker killed at each point around a call that a person approves: it took effect at most once, or is blocked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.children import run_child
from support.fleets import check_exactly_once, digests, events_of, helper_app, last_words, open_fleet, scripted, use

from fleet import AppEvent, Fleet, ToolContext, reducer, tool
from fleet.ledger.base import Draft
from fleet.ledger.events import (
    AppEventRecorded,
    ConfirmationAsked,
    ConfirmationSettled,
    ModelAnswered,
    ToolIntended,
    ToolReturned,
    TurnEnded,
)
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.approvals import confirmations, cut_off_calls, resolve_call, settle
from fleet.runtime.home import Home

ROOT = Path(__file__).parents[2]


class Ordered(AppEvent):
    NAME = "test_approval_kills.ordered"
    item: str


@reducer(Ordered)
def add_order(state: Any, event: Ordered) -> None:
    state["kills"] = [*list(state.get("kills") or []), event.item]


# What is recorded around one approved call, in order; a number says the how-manieth of its kind.
RECORDS: dict[str, tuple[type, int]] = {
    "the pending call": (ConfirmationAsked, 1),
    "the question": (TurnEnded, 1),
    "the yes": (ConfirmationSettled, 1),
    "the intent": (ToolIntended, 1),
    "the result": (ToolReturned, 2),  # the first one is that it waits
    "the end": (TurnEnded, 2),
}
POINTS = [f"{when} {what}" for what in RECORDS for when in ("before", "after")]
POINTS[8:8] = ["in the tool, before its effect", "in the tool, after its effect"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Have this process end where `point` says, as a power cut would end it."""
    when, _, what = point.partition(" ")
    if what not in RECORDS:
        return
    kind, left = RECORDS[what]
    real = SqliteLedger.append

    async def append(self: SqliteLedger, draft: Draft) -> Any:
        nonlocal left
        left -= any(isinstance(each, kind) for each in draft.events)
        reached = left == 0
        if reached and when == "before":
            die()
        stored = await real(self, draft)
        if reached:
            die()
        return stored

    SqliteLedger.append = append  # type: ignore[method-assign]


def tools(notes: Path, point: str = "") -> list[Any]:
    def take_effect(key: str) -> None:
        if point == "in the tool, before its effect":
            die()
        with notes.open("a") as file:
            file.write(f"{key}\n")
        if point == "in the tool, after its effect":
            die()

    @tool
    def pay(context: ToolContext) -> str:
        """Pay."""
        take_effect(context.idempotency_key)
        return "paid"

    @tool(idempotent=True)
    def charge(context: ToolContext) -> str:
        """Charge."""
        take_effect(context.idempotency_key)
        return "charged"

    @tool(effect="write")
    def order(context: ToolContext) -> str:
        """Order."""
        context.emit(Ordered(item="tea"))
        take_effect(context.idempotency_key)
        return "ordered"

    return [pay, charge, order]


def work(request: Any) -> Any:
    """Call the tool that the user names; after that there is nothing more to do."""
    words = last_words(request) if isinstance(request.messages[-1]["content"], str) else ""
    return [use(words)] if words in ("pay", "charge", "order") else "Done."


def fleet_on(home: Path, notes: Path, point: str = "", every: int = 2000) -> Fleet:
    app = helper_app(tools=tools(notes, point))
    return open_fleet(home, app, models=scripted(worker=work), checkpoint_events=every)


async def talk(fleet: Fleet, name: str, by: str) -> str:
    """Ask for the tool and have it approved, going on from wherever the talk stands; the last reply."""
    await fleet.accept({"user": "ana", "text": name, "id": "m-1"})
    last = await fleet.reply_to("m-1")
    if by == "user":
        await fleet.accept({"user": "ana", "text": "yes", "id": "m-2"})
        last = await fleet.reply_to("m-2")
    else:
        for each in confirmations(fleet.ledger):
            with Home(fleet.settings.home).open_ledger() as ledger:
                settle(ledger, each.id, approved=True, by=by)
        fleet._others()
    await fleet.idle()
    return last


async def first(home: Path, notes: Path, name: str, by: str, point: str, every: int) -> None:
    arm(point)
    async with fleet_on(home, notes, point, every) as fleet:
        await talk(fleet, name, by)


def killed(home: Path, notes: Path, name: str, by: str, point: str) -> None:
    """Run a fleet through the talk until it dies at the point."""
    every = 1 if point.startswith("after") else 2000  # with the graph as it then was, or one to be replayed
    assert run_child(first, home, notes, name, by, point, every) == -signal.SIGKILL


def ways() -> list[tuple[str, str, str]]:
    """Every point for the call that must not run twice; the others where it matters for them."""
    around = [each for each in POINTS if "tool" in each or "the result" in each or each == "after the intent"]
    return [
        *(("pay", "user", each) for each in POINTS),
        *(("pay", "olga", each) for each in ("after the question", *around)),
        *(("charge", "user", each) for each in around),
        *(("order", "user", each) for each in around if "intent" not in each),
    ]


# Where it is not known whether the call took effect.
UNKNOWN = ("after the intent", "in the tool, before its effect", "in the tool, after its effect", "before the result")


@pytest.mark.parametrize(("name", "by", "point"), ways())
async def test_an_approved_call_takes_effect_once_or_says_that_nobody_knows(tmp_path, name, by, point):
    home, notes = tmp_path / "home", tmp_path / "notes"
    notes.touch()
    await asyncio.to_thread(killed, home, notes, name, by, point)
    async with fleet_on(home, notes) as fleet:
        last = await talk(fleet, name, by)
        events = events_of(fleet)
        check_exactly_once(events)
        count = Counter(type(each.event) for each in events)
        assert (count[ConfirmationAsked], count[ConfirmationSettled]) == (1, 1), "it is asked once, and answered once"
        assert fleet.ledger.verify().ok
        assert not [queue for queue in ("inbox", "turns", "outbox") if fleet.ledger.pending(queue)]
        effects = Counter(await asyncio.to_thread(lambda: notes.read_text().split()))
        ended = [each.event for each in events if isinstance(each.event, TurnEnded)][-1]
        if name == "pay" and point in UNKNOWN:
            assert sum(effects.values()) == ("before its effect" not in point and point != "after the intent")
            assert (ended.result, ended.reason.split(":")[0]) == ("blocked", "pay may have run")
            assert "it is not known whether it took effect. A person has to check" in ended.reply
            (cut,) = cut_off_calls(fleet.ledger)
            resolve_call(fleet.ledger, cut.job_id, "", took_effect=True, by="olga")
            fleet._others()
            await fleet.idle()
            assert events_of(fleet, TurnEnded)[-1].event.reply == "Done."
        else:
            assert ended.result == "success"
            assert len(effects) == 1, "with one key"
            assert sum(effects.values()) == 1 or name != "pay"
            assert last == "Done." or by != "user"
        if name == "order":
            assert (count[AppEventRecorded], list(fleet._graph.root.state["kills"])) == (1, ["tea"])
        assert sum(isinstance(each.event, ModelAnswered) for each in events_of(fleet)) <= 4
    assert len(set(digests(home, tmp_path / "again"))) == 1

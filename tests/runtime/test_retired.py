"""Agents that the code declares no more: who waits for one is told so, and what it had to say still leaves."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import Outgoing, check_exactly_once, digests, events_of, open_fleet, scripted

from fleet import App, DialogAgent, SupervisedAgent
from fleet.ledger.events import ReplyDelivered, TurnStarted
from fleet.runtime.dispatches import find_dispatch

GONE = "We do not handle that any more."


def without(out, **options):
    """The application after `helper` has gone; `desk` is the default agent, and not the first."""
    agents = [DialogAgent(role="other", send_message=refuse), DialogAgent(role="desk", send_message=out)]
    return App(name="small", agents=agents, default_agent="desk", **options)


def refuse(text):
    raise AssertionError("the reply left by the wrong way")


async def leave(home, agent, work, **options):
    """A fleet with the agent, ended while its turn for ana runs, with one more message behind it."""
    app = App(name="small", agents=[agent], **options)
    async with open_fleet(home, app, models=scripted(worker=work), drain_s=0.05) as fleet:
        await fleet.dispatch("helper", user="ana", text="one", id="d-1")
        while not events_of(fleet, TurnStarted):
            await asyncio.sleep(0.01)
        await fleet.dispatch("helper", user="ana", text="two", id="d-2")
        while fleet.ledger.pending_count("inbox"):
            await asyncio.sleep(0.01)


async def never(request):
    await asyncio.Event().wait()


@pytest.mark.parametrize("said", [GONE, ""])
async def test_who_waits_for_a_retired_agent_is_told_so(tmp_path, said):
    home, out = tmp_path / "home", Outgoing()
    await leave(home, DialogAgent(role="helper"), never)
    async with open_fleet(home, without(out, retired_reply=said)) as fleet:
        await fleet.idle()
        for each in ("d-1", "d-2"):
            found = find_dispatch(fleet.ledger, each)
            assert (found.state, found.reason, found.reply) == ("failed", "agent helper is retired", said)
        check_exactly_once(events_of(fleet))
    assert out.sent == [("ana", said)] * (2 if said else 0)
    live, again = digests(home, tmp_path / "again")
    assert live == again


async def test_users_of_a_retired_supervised_agent_are_not_written_to(tmp_path):
    home, out, found = tmp_path / "home", Outgoing(), []
    await leave(home, SupervisedAgent(role="helper"), never)
    async with open_fleet(home, without(out, retired_reply=GONE, on_result=lambda text: found.append(text))) as fleet:
        await fleet.idle()
        assert find_dispatch(fleet.ledger, "d-1").reason == "agent helper is retired"
    assert (out.sent, found) == ([], [])


@pytest.mark.parametrize("kind", [DialogAgent, SupervisedAgent])
async def test_a_reply_in_the_outbox_leaves_though_its_agent_is_gone(tmp_path, kind):
    home, out, found, down = tmp_path / "home", Outgoing(), [], asyncio.Event()

    async def hangs(text):
        down.set()
        await asyncio.Event().wait()

    options = {"send_message": hangs} if kind is DialogAgent else {}
    app = App(name="small", agents=[kind(role="helper", **options)], on_result=hangs)
    async with open_fleet(home, app, drain_s=0.05) as fleet:
        await fleet.dispatch("helper", user="ana", text="one")
        await down.wait()
    async with open_fleet(home, without(out, on_result=lambda text: found.append(text))) as fleet:
        await fleet.idle()
        assert len(events_of(fleet, ReplyDelivered)) == 1
    told = "You said: one"
    assert (out.sent, found) == (([("ana", told)], []) if kind is DialogAgent else ([], [told]))

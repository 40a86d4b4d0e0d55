"""`fleet agents pause` and `resume`: an agent rests, beside a worker and across restarts; what waited is answered."""

from __future__ import annotations

import asyncio
import json

from support.commands import call, refused
from support.fleets import Outgoing, check_exactly_once, decisions, digests, events_of, open_fleet, scripted, start

from fleet import App, DialogAgent, Message
from fleet.ledger.events import AgentPaused, TurnEnded


def two(out=None, **options):
    return App(
        name="two",
        agents=[DialogAgent(role="helper", send_message=out, **options), DialogAgent(role="billing")],
        default_agent="billing",
    )


def route(request):
    return start("helper") if "- helper:" in request.messages[0]["content"] else start("billing")


async def said(verb, home, role="helper", *more):
    return await asyncio.to_thread(call, "agents", verb, "--home", home, "--by", "ops", *more, role)


async def until(fleet, done):
    while not done():
        await asyncio.sleep(0.01)


async def test_a_paused_agent_is_not_printed_and_its_threads_wait(tmp_path):
    home = tmp_path / "home"
    async with open_fleet(home, two(), models=scripted(route)) as fleet:
        first = await fleet.dispatch("helper", user="ana", text="one", mode="sync")
        done = await said("pause", home, "helper", "--reason", "on holiday")
        assert (done.returncode, done.stdout) == (0, "helper is paused\n")
        await until(fleet, lambda: events_of(fleet, AgentPaused))
        again = await said("pause", home)
        assert (again.stdout, again.stderr) == ("", "fleet: helper is paused already; nothing changed\n")
        await fleet.accept(Message("bo", "hi"))
        await fleet.idle()
        assert (decisions(fleet)[-1].agents, decisions(fleet)[-1].agent) == (("billing",), "billing")
        waits = await fleet.dispatch(user="ana", thread=first.thread_id, text="two")
        await fleet.idle()
        assert fleet.ledger.pending_count("turns") == 1
        (event,) = [each.event for each in events_of(fleet, AgentPaused)]
        assert (event.by, event.reason, event.paused) == ("ops", "on holiday", True)
        shown = [json.loads(line) for line in call("agents", "--home", home, "--app", "fleet.demo:app", "--json")
                 .stdout.splitlines()]  # fmt: skip
        assert [each["recorded"]["paused"] for each in shown if each["role"] == "helper"] == [True]
    async with open_fleet(home, two(), models=scripted(route)) as fleet:  # still so after a restart
        await fleet.idle()
        assert fleet.ledger.pending_count("turns") == 1
        waiting = asyncio.create_task(fleet.reply_to(waits.id))
        assert (await said("resume", home)).stdout == "helper is at work\n"
        assert await waiting == "You said: two"
        await fleet.accept(Message("bo", "hi again"))
        await fleet.idle()
        assert decisions(fleet)[-1].agents == ("helper", "billing")
        check_exactly_once(events_of(fleet))
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_who_writes_to_an_agent_that_is_away_is_told_so(tmp_path):
    home, out = tmp_path / "home", Outgoing()
    async with open_fleet(home, two(out, away="We are back on Monday."), models=scripted(route)) as fleet:
        first = await fleet.dispatch("helper", user="ana", text="one", mode="sync")
        await said("pause", home)
        await until(fleet, lambda: events_of(fleet, AgentPaused))
        told = await fleet.dispatch(user="ana", thread=first.thread_id, text="two", mode="sync")
        assert (told.state, told.reason, told.reply) == (
            "failed", "agent helper is paused", "We are back on Monday.",
        )  # fmt: skip
        await fleet.idle()
        await said("resume", home)
        await until(fleet, lambda: len(events_of(fleet, AgentPaused)) == 2)
        assert (await fleet.dispatch(user="ana", thread=first.thread_id, text="three", mode="sync")).state == "success"
        await fleet.idle()
        assert [text for _, text in out.sent] == ["You said: one", "We are back on Monday.", "You said: three"]
        assert len(events_of(fleet, TurnEnded)) == 3


async def test_an_agent_that_is_not_there_is_not_paused(tmp_path):
    home = tmp_path / "home"
    assert "there is no fleet in" in refused(await said("pause", home))
    async with open_fleet(home, two()):
        pass
    for role in ("nobody", "dispatcher"):
        why = refused(await said("pause", home, role))
        assert why == f"no agent '{role}' is declared on this home; `fleet agents` shows those there are"
    assert "one printable line each" in refused(await said("resume", home, "helper", "--reason", "a\nb"))

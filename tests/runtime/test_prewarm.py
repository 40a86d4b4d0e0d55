"""Prewarming: before an agent's first turn, tried again while it fails, on record, in nobody else's way."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from support.commands import call
from support.fleets import check_exactly_once, digests, events_of, open_fleet

from fleet import App, DialogAgent
from fleet.errors import ConfigError
from fleet.ledger.events import AgentPrewarmed
from fleet.runtime.dispatches import find_dispatch


def app(prewarm):
    return App(name="two", agents=[DialogAgent(role="helper", prewarm=prewarm), DialogAgent(role="other")])


async def until(done):
    while not done():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_first_turn_waits_for_it_and_other_agents_do_not(tmp_path, kind):
    go, ran, home = threading.Event(), [], tmp_path / "home"

    def wait():
        go.wait()
        ran.append("ready")

    async def wait_async():
        await until(go.is_set)
        ran.append("ready")

    async with open_fleet(home, app(wait if kind == "sync" else wait_async)) as fleet:
        waits = await fleet.dispatch("helper", user="ana", text="one", id="d-1")
        assert (await fleet.dispatch("other", user="bo", text="two", mode="sync")).reply == "You said: two"
        assert (ran, find_dispatch(fleet.ledger, waits.id).ended) == ([], False)
        go.set()
        await fleet.idle()
        assert (ran, find_dispatch(fleet.ledger, waits.id).state) == (["ready"], "success")
        assert events_of(fleet, AgentPrewarmed) == [], "what goes well says nothing"
        check_exactly_once(events_of(fleet))
    live, again = digests(home, tmp_path / "again")
    assert live == again


async def test_what_fails_is_tried_again_and_shown_until_it_comes_right(tmp_path):
    tries, well, home = [], threading.Event(), tmp_path / "home"

    def load():
        tries.append(1)
        if not well.is_set():
            raise RuntimeError("no model\nfile")

    def shown():
        said = call("agents", "--home", home, "--app", "fleet.demo:app", "--json").stdout
        (found,) = [each for each in map(json.loads, said.splitlines()) if each["role"] == "helper"]
        return found["recorded"]["failing"]

    async with open_fleet(home, app(load), retry_backoff_s=0.01) as fleet:
        made = await fleet.dispatch("helper", user="ana", text="one")
        await until(lambda: len(events_of(fleet, AgentPrewarmed)) >= 3)
        failed = [each.event for each in events_of(fleet, AgentPrewarmed)][:3]
        assert [(each.attempt, each.error) for each in failed] == [
            (number, "RuntimeError: no model file") for number in (1, 2, 3)
        ]
        assert not find_dispatch(fleet.ledger, made.id).ended
        said = await asyncio.to_thread(shown)
        assert said.startswith("attempt ")
        assert said.endswith(": RuntimeError: no model file")
        page = (await asyncio.to_thread(call, "agents", "--home", home, "--app", "fleet.demo:app")).stdout
        assert "does not start" in page
    async with open_fleet(home, app(load), retry_backoff_s=0.01) as fleet:  # still so after a restart
        well.set()
        assert await fleet.reply_to(made.id) == "You said: one"
        await fleet.idle()
        last = events_of(fleet, AgentPrewarmed)[-1].event
        assert (last.role, last.error) == ("helper", "")
        assert await asyncio.to_thread(shown) == ""
    live, again = digests(home, tmp_path / "again")
    assert live == again


async def test_a_fleet_whose_agent_does_not_start_ends_when_it_is_told_to(tmp_path):
    def load():
        raise RuntimeError("never")

    async with open_fleet(tmp_path / "home", app(load), retry_backoff_s=60.0) as fleet:
        await until(lambda: events_of(fleet, AgentPrewarmed))
        await fleet.dispatch("helper", user="ana", text="one")
        await fleet.idle()
        assert fleet.ledger.pending_count("turns") == 1


def test_prewarm_is_a_function():
    with pytest.raises(ConfigError, match="agent helper: prewarm must be a function, not str"):
        DialogAgent(role="helper", prewarm="load")

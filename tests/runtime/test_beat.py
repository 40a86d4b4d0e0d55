"""The load figure of a worker: live, in the file beside its lock, and what a dead worker leaves."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.fleets import last_words, open_fleet, printed_message, scripted, start

from fleet import App, DialogAgent, Message
from fleet.runtime.beat import AgentLoad, Load, QueueLoad, read_load
from fleet.runtime.home import Home
from fleet.runtime.status import load_of, status


def two():
    return App(name="two", agents=[DialogAgent(role="slow", max_concurrency=1), DialogAgent(role="helper")], gate=[])


async def until(fleet, fits):
    while not fits(found := fleet.load()):
        await asyncio.sleep(0.02)
    return found


async def test_what_runs_and_what_waits_is_told(tmp_path):
    go_on = asyncio.Event()

    async def work(request):
        await go_on.wait()
        return last_words(request)

    def route(request):
        return start("slow" if "slow" in printed_message(request) else "helper")

    home = tmp_path / "home"
    async with open_fleet(home, two(), models=scripted(route, work), concurrency=2) as fleet:
        idle = fleet.load()
        assert (idle.load, idle.turns, idle.turns_most, idle.routing, idle.routing_most) == (0.0, 0, 2, 0, 4)
        assert idle.queues == {name: QueueLoad() for name in ("inbox", "turns", "outbox")}
        assert idle.agents == {"slow": AgentLoad(0, 0, 1), "helper": AgentLoad()}
        later = datetime.now(UTC) + timedelta(hours=1)
        await fleet.accept(Message("zoe", "helper", "later", not_before=later))
        for number, text in enumerate(("slow", "slow", "helper", "helper", "helper")):
            await fleet.accept(Message(f"user-{number}", text, f"m-{number}"))
        busy = await until(fleet, lambda each: each.queues["turns"].waiting == 5 and each.turns == 2)
        assert busy.agents["slow"].running + busy.agents["helper"].running == 2
        assert busy.load == (2 + 3 - busy.agents["slow"].waiting) / 2
        assert busy.queues["turns"].oldest_us > 0
        assert busy.queues["inbox"] == QueueLoad(1), "what waits for its time is not late"
        assert busy.queues["inbox"].oldest_us == 0
        go_on.set()
        await fleet.idle()
        done = fleet.load()
        assert (done.load, done.turns, done.queues["turns"].waiting) == (0.0, 0, 0)
        assert done.agents == idle.agents
        assert done.routed_per_s > 0
        assert done.ended_per_s > 0
        assert json.loads(json.dumps(done.as_dict()))["agents"]["slow"] == {"running": 0, "waiting": 0, "most": 1}


async def test_another_process_reads_it_from_the_home_until_the_worker_ends(tmp_path):
    home = tmp_path / "home"
    async with open_fleet(home) as fleet:
        while (found := load_of(Home(home))) is None:
            await asyncio.sleep(0.02)
        live = fleet.load()
        assert (found.pid, found.turns_most, found.agents) == (live.pid, live.turns_most, live.agents)
        assert status(Home(home)).load is not None
    assert read_load(home) is None
    assert status(Home(home)).load is None
    assert sorted(each.name for each in home.glob("worker*")) == ["worker.lock"]


async def test_what_a_dead_worker_left_and_what_is_no_load_is_not_told(tmp_path):
    home = tmp_path / "home"
    async with open_fleet(home):
        while (found := read_load(home)) is None:
            await asyncio.sleep(0.02)
        left = (home / "worker.load").read_text()
    (home / "worker.load").write_text(left)
    assert read_load(home) == found, "it is not old yet"
    assert load_of(Home(home)) is None, "but nobody has the home"
    old = json.loads(left) | {"at": found.at - 61_000_000}
    for text in (json.dumps(old), "", "{}", "[]", '{"at": "now"}'):
        (home / "worker.load").write_text(text)
        assert read_load(home) is None, text


async def test_code_that_holds_the_loop_up_shows(tmp_path):
    async with open_fleet(tmp_path / "home") as fleet:
        time.sleep(1.2)  # what an application should not do
        assert fleet.load().delay_us > 500_000
        await asyncio.sleep(0)
        assert fleet.load().longest_delay_us > 500_000


async def test_without_turns_there_are_none_to_tell_of(tmp_path):
    from fleet import Fleet, Settings

    app = App(name="one", agents=[DialogAgent(role="helper")])
    async with Fleet(app, Settings(home=tmp_path / "home"), workers=False) as fleet:
        found = fleet.load()
        assert isinstance(found, Load)
        assert (found.turns, found.turns_most, found.agents, found.load) == (0, 0, {}, 0.0)


@pytest.mark.parametrize("disk", ["read-only"])
async def test_a_disk_that_takes_no_file_holds_nothing_up(tmp_path, monkeypatch, disk):
    from fleet.runtime.beat import Beat

    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def refuse(self, load):
        loop.call_soon_threadsafe(tried.set)
        raise OSError(disk)

    monkeypatch.setattr(Beat, "_write", refuse)
    async with open_fleet(tmp_path / "home") as fleet:
        await tried.wait()
        await fleet.accept(Message("ana", "hello", "m"))
        await fleet.idle()
        assert read_load(tmp_path / "home") is None

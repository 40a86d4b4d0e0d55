"""Push queues and start_fleet: messages handed in from any thread, before and while the fleet runs."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from support.fleets import Outgoing, check_exactly_once, decisions, echo, events_of, helper_app, open_fleet, scripted

from fleet import DialogAgent, FleetError, Message, MessageDispatcher, PushQueue, Settings, start_fleet_async
from fleet.errors import ConfigError, InputError
from fleet.ledger.events import MessageAccepted
from fleet.runtime.start import serve


async def accepted(*futures):
    return await asyncio.gather(*(asyncio.wrap_future(each) for each in futures))


async def test_what_was_pushed_before_is_accepted_in_order_once_a_fleet_serves(tmp_path):
    queue = PushQueue()
    early = [queue.push_to_agent_queue(None, {"user": "ana", "text": f"hi {n}"}) for n in range(3)]
    assert not any(each.done() for each in early)
    async with open_fleet(tmp_path / "home") as fleet:
        serving = asyncio.create_task(serve(fleet, [queue]))
        ids = await accepted(*early)
        late = await accepted(queue.push_to_agent_queue(None, Message("ana", "late")))
        await fleet.idle()
        assert [each.event.message_id for each in events_of(fleet, MessageAccepted)] == ids + late
        fleet.stop()
        await serving


async def test_threads_push_while_it_runs(tmp_path):
    queue = PushQueue()
    futures = []

    def push(user):
        for n in range(20):
            futures.append(queue.push_to_agent_queue(None, Message(user, f"message {n}")))

    async with open_fleet(tmp_path / "home") as fleet:
        serving = asyncio.create_task(serve(fleet, [queue]))
        threads = [threading.Thread(target=push, args=(f"user-{n}",)) for n in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            await asyncio.to_thread(each.join)
        await accepted(*futures)
        await fleet.idle()
        assert len(decisions(fleet)) == 80
        check_exactly_once(events_of(fleet))
        for n in range(4):
            texts = [e.event.text for e in events_of(fleet, MessageAccepted) if e.user == f"user-{n}"]
            assert texts == [f"message {k}" for k in range(20)]
        fleet.stop()
        await serving


async def test_whoever_pushed_a_bad_message_is_told_and_the_next_one_goes_on(tmp_path):
    queue = PushQueue()
    bad = [queue.push_to_agent_queue(None, each) for each in ("no sender", Message("ana", ""), SimpleNamespace(a=1))]
    given_up = queue.push_to_agent_queue(None, Message("ana", "given up"))
    assert given_up.cancel()
    good = queue.push_to_agent_queue(None, Message("ana", "hi"))
    async with open_fleet(tmp_path / "home") as fleet:
        serving = asyncio.create_task(serve(fleet, [queue]))
        await accepted(good)
        for each in bad:
            with pytest.raises(InputError):
                each.result(timeout=0)
        fleet.stop()
        await serving
        assert [each.event.text for each in events_of(fleet, MessageAccepted)] == ["hi"]


async def test_what_a_stop_leaves_in_the_queue_is_served_by_the_next_fleet(tmp_path):
    queue = PushQueue()
    futures = [queue.push_to_agent_queue(None, Message("ana", f"message {n}")) for n in range(300)]
    async with open_fleet(tmp_path / "home") as fleet:
        serving = asyncio.create_task(serve(fleet, [queue]))
        await accepted(*futures[:5])
        fleet.stop()
        await serving
        assert sum(each.done() for each in futures) < 300
    async with open_fleet(tmp_path / "home") as fleet:
        serving = asyncio.create_task(serve(fleet, [queue]))
        ids = await accepted(*futures)
        await fleet.idle()
        fleet.stop()
        await serving
        assert [each.event.message_id for each in events_of(fleet, MessageAccepted)] == ids
        assert [each.event.text for each in events_of(fleet, MessageAccepted)] == [f"message {n}" for n in range(300)]
        check_exactly_once(events_of(fleet))


async def test_start_fleet_serves_until_it_is_told_to_stop(tmp_path):
    sent, queue = asyncio.Event(), PushQueue()
    helper = DialogAgent(role="helper", send_message=lambda text: sent.set(), description="Helps")
    dispatcher = MessageDispatcher()
    settings = Settings(home=tmp_path / "home", router_model="test:router", worker_model="test:worker")
    running = asyncio.create_task(
        start_fleet_async(
            agents=[dispatcher, helper], push_queues=[queue], max_concurrency=7, settings=settings, models=scripted()
        )
    )
    pushed = queue.push_to_agent_queue(dispatcher, {"user": "ana", "text": "hi"})
    await accepted(pushed)
    await sent.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    async with open_fleet(tmp_path / "home") as fleet:  # let go of, and nothing is left to do
        assert [each.text for each in [e.event for e in events_of(fleet, MessageAccepted)]] == ["hi"]
        check_exactly_once(events_of(fleet))


async def test_start_fleet_cancelled_drains_too(tmp_path):
    out, queue = Outgoing(), PushQueue()
    settings = Settings(home=tmp_path / "home", router_model="test:router", worker_model="test:worker")
    helper = DialogAgent(role="helper", send_message=out)
    running = asyncio.create_task(
        start_fleet_async(agents=[helper], push_queues=[queue], settings=settings, models=scripted(worker=echo))
    )
    await accepted(queue.push_to_agent_queue(None, Message("ana", "hi")))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with open_fleet(tmp_path / "home", helper_app()) as fleet:
        await fleet.idle()
        check_exactly_once(events_of(fleet))


async def test_max_concurrency_counts_beside_settings(tmp_path):
    most = now = answers = 0
    pair = asyncio.Event()

    async def work(request):
        nonlocal most, now, answers
        now += 1
        most = max(most, now)
        if now == 2:
            pair.set()
        await asyncio.wait_for(pair.wait(), 60)  # the first waits for the second, however busy the machine is
        await asyncio.sleep(0.01)
        now -= 1
        answers += 1
        return echo(request)

    queue = PushQueue()
    settings = Settings(home=tmp_path / "ignored", router_model="test:router", worker_model="test:worker")
    running = asyncio.create_task(
        start_fleet_async(
            agents=[DialogAgent(role="helper")], push_queues=[queue], max_concurrency=2, home=tmp_path / "home",
            settings=settings, models=scripted(worker=work),
        )
    )  # fmt: skip
    futures = [queue.push_to_agent_queue(None, Message(f"user-{n}", "hi")) for n in range(8)]
    await accepted(*futures)
    while answers < 8:
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert (tmp_path / "home" / "ledger.db").exists()
    assert not (tmp_path / "ignored").exists()
    assert most == 2


async def test_one_dispatcher_and_at_least_one_agent(tmp_path):
    with pytest.raises(ConfigError, match="a fleet has one dispatcher; 2 were given"):
        await start_fleet_async(agents=[MessageDispatcher(), MessageDispatcher()], home=tmp_path / "home")
    with pytest.raises(FleetError, match="declares no agents"):
        await start_fleet_async(agents=[MessageDispatcher()], home=tmp_path / "home")
    assert not (tmp_path / "home").exists()

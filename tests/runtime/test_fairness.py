"""Fairness: one user's flood holds no other up, in routing or in turns; agents run no more turns than they declare."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from support.fleets import check_exactly_once, echo, events_of, last_words, open_fleet, scripted

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Message
from fleet.errors import ConfigError
from fleet.ledger.events import MessageDecided
from fleet.runtime.fairness import Shares


def desk(**options):
    def gate(message):
        return DispatchResult(
            message.session_id, DispatchAction.ROUTE if message.session_id else DispatchAction.CREATE_AGENT
        )

    return App(name="desk", agents=[DialogAgent(role="desk", **options)], gate=gate)


async def test_while_one_user_sends_ten_thousand_messages_another_is_routed_and_answered(tmp_path):
    settings = {"router_model": "none", "inbox_limit": 0}
    async with open_fleet(tmp_path / "home", desk(), models=scripted(worker=echo), **settings) as fleet:
        decided = {}
        fleet.on(
            lambda each: (
                decided.setdefault(each.event.message_id, time.monotonic())
                if isinstance(each.event, MessageDecided)
                else None
            )
        )
        flood = asyncio.gather(*(fleet.accept(Message("flooder", f"hi {n}", f"f-{n}")) for n in range(10_000)))
        while not decided:
            await asyncio.sleep(0)
        sent = time.monotonic()
        await fleet.accept(Message("bo", "what about me?", "b-1", session_id="s"))
        assert await fleet.reply_to("b-1") == "You said: what about me?"
        assert len(decided) < 9_000, "the flood was over before"
        await flood
        fleet.stop()
    print(f"routed after {decided['b-1'] - sent:.3f} s")


async def test_a_user_with_many_slow_turns_leaves_the_next_slot_to_others(tmp_path):
    order, go = [], asyncio.Event()

    async def work(request):
        words = last_words(request)
        order.append(words)
        if words.startswith("slow"):
            await go.wait()
        return echo(request)

    async with open_fleet(
        tmp_path / "home", desk(), models=scripted(worker=work), router_model="none", concurrency=4
    ) as fleet:
        for number in range(30):
            await fleet.accept(Message("flooder", f"slow {number}"))
        while len(order) < 4 or fleet.ledger.pending_count("inbox"):
            await asyncio.sleep(0.01)
        for user in ("bo", "cleo"):
            await fleet.accept(Message(user, f"quick of {user}"))
        while fleet.ledger.pending_count("inbox"):
            await asyncio.sleep(0.01)
        go.set()
        await fleet.idle()
        assert set(order[4:6]) == {"quick of bo", "quick of cleo"}
        check_exactly_once(events_of(fleet))


async def test_an_agent_runs_no_more_turns_at_a_time_than_it_declares(tmp_path):
    now, most, total = {"desk": 0}, {"desk": 0}, []

    async def work(request):
        now["desk"] += 1
        most["desk"] = max(most["desk"], now["desk"])
        await asyncio.sleep(0.005)
        now["desk"] -= 1
        total.append(last_words(request))
        return echo(request)

    app = desk(max_concurrency=2)
    async with open_fleet(tmp_path / "home", app, models=scripted(worker=work), router_model="none") as fleet:
        await asyncio.gather(*(fleet.accept(Message(f"user-{n % 7}", f"hi {n}")) for n in range(40)))
        await fleet.idle()
        check_exactly_once(events_of(fleet))
    assert most["desk"] == 2
    assert len(total) == 40


async def test_jobs_of_an_agent_at_its_limit_hold_other_agents_up_no_more(tmp_path):
    go = asyncio.Event()

    async def work(request):
        if last_words(request).startswith("slow"):
            await go.wait()
        return echo(request)

    def gate(message):
        return DispatchResult("", DispatchAction.CREATE_AGENT, agent="slow" if "slow" in message.text else "quick")

    app = App(name="two", agents=[DialogAgent(role="slow", max_concurrency=1), DialogAgent(role="quick")], gate=gate)
    models = scripted(worker=work)
    async with open_fleet(tmp_path / "home", app, models=models, router_model="none", concurrency=2) as fleet:
        for number in range(5):
            await fleet.accept(Message("ana", f"slow {number}"))
        await fleet.accept(Message("ana", "hi", "q-1"))
        assert await fleet.reply_to("q-1") == "You said: hi"
        go.set()
        await fleet.idle()
        check_exactly_once(events_of(fleet))


def test_a_limit_below_nothing_is_refused():
    with pytest.raises(ConfigError, match="agent a: max_concurrency is 0 or more, not -1"):
        DialogAgent(role="a", max_concurrency=-1)


def test_shares_give_each_job_once_and_favour_who_has_least_running():
    shares = Shares(step=100)
    for number in range(6):
        shares.put(f"a{number}", number, "ana")
    shares.put("b0", 50, "bo")
    assert shares.pop() == ("a0", 0)
    assert shares.pop() == ("b0", 50), "ana has one running, which counts a step"
    assert shares.pop() == ("a1", 1)
    shares.ended("ana")
    shares.ended("ana")
    shares.put("a5", -7, "ana")
    shares.put("b1", 60, "bo")
    assert [shares.pop() for _ in range(6)] == [
        ("a5", -7), ("a2", 2), ("b1", 60), ("a3", 3), ("a4", 4), None,
    ]  # fmt: skip
    assert len(shares) == 0


def test_shares_under_random_use_lose_and_double_nothing():
    chance = random.Random(7)
    shares, waiting, running = Shares(step=10), {}, []
    for number in range(5_000):
        if chance.random() < 0.5:
            job = f"j{chance.randrange(200)}"
            owner = f"u{int(job[1:]) % 9}"
            shares.put(job, chance.randrange(1000), owner)
            waiting[job] = owner
        elif chance.random() < 0.6:
            taken = shares.pop()
            assert (taken is None) == (not waiting), number
            if taken is not None:
                running.append(waiting.pop(taken[0]))
        elif running:
            shares.ended(running.pop(chance.randrange(len(running))))
        assert len(shares) == len(waiting)
        assert all(job in shares for job in waiting)

"""A running fleet: order, turns, drain, restarts, and what it does when something is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import re

import pytest
from support.fleets import (
    Outgoing,
    check_exactly_once,
    decisions,
    digests,
    echo,
    events_of,
    helper_app,
    last_words,
    newest_else_new,
    open_fleet,
    printed_message,
    scripted,
    start,
)

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Fleet, Message, SupervisedAgent
from fleet.errors import ConfigError, FleetError, HomeBusyError, InputError, WarmupError
from fleet.ledger.events import (
    AgentDeclared,
    AgentRetired,
    FleetStarted,
    MessageAccepted,
    MessageDecided,
    TurnEnded,
    TurnStarted,
)
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now


async def test_a_message_is_routed_answered_and_delivered(tmp_path):
    out = Outgoing()
    async with open_fleet(tmp_path / "home", helper_app(out)) as fleet:
        first = await fleet.accept(Message("ana", "new: can I swap Friday?"))
        assert await fleet.reply_to(first.message_id) == "You said: new: can I swap Friday?"
        second = await fleet.accept({"user": "ana", "text": "Monday then"})
        await fleet.idle()
        assert await fleet.reply_to(second.message_id) == "You said: Monday then"
        assert fleet.ledger.verify().ok
        assert [each.outcome for each in decisions(fleet)] == ["start_new_thread", "dispatch_to"]
        assert len({each.thread_id for each in decisions(fleet)}) == 1
        assert sum(fleet.ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox")) == 0
    assert out.sent == [("ana", "You said: new: can I swap Friday?"), ("ana", "You said: Monday then")]
    live, again = digests(tmp_path / "home", tmp_path / "again")
    assert live == again


async def test_the_home_is_its_owners_alone(tmp_path):
    async with open_fleet(tmp_path / "deep" / "home"):
        assert (tmp_path / "deep" / "home").stat().st_mode & 0o777 == 0o700


async def test_the_same_id_again_changes_nothing(tmp_path):
    async with open_fleet(tmp_path / "home") as fleet:
        given = [await fleet.accept(Message("ana", "hi", id="m-1")) for _ in range(3)]
        await fleet.idle()
        assert (await fleet.accept(Message("ana", "hi", id="m-1"))).new is False
        await fleet.idle()
        assert [each.new for each in given] == [True, False, False]
        assert len(decisions(fleet)) == 1
        with pytest.raises(InputError):
            await fleet.accept(Message("bo", "hi", id="m-1"))
    async with open_fleet(tmp_path / "home") as fleet:
        assert (await fleet.accept(Message("ana", "hi", id="m-1"))).new is False
        await fleet.idle()
        assert len(decisions(fleet)) == 1


async def test_order_per_user_holds_under_concurrency(tmp_path):
    """50 users with 6 messages each, every model call taking its own time."""
    chance = random.Random(7)
    at_once = {"route": 0, "most": 0}

    async def route(request):
        at_once["route"] += 1
        at_once["most"] = max(at_once["most"], at_once["route"])
        await asyncio.sleep(chance.random() / 100)
        at_once["route"] -= 1
        return newest_else_new(request)

    async def work(request):
        await asyncio.sleep(chance.random() / 100)
        return echo(request)

    out = Outgoing()
    users = [f"user-{n}" for n in range(50)]
    async with open_fleet(tmp_path / "home", helper_app(out), models=scripted(route, work), concurrency=50) as fleet:

        async def chat(user):
            for n in range(6):
                await fleet.accept(Message(user, f"{'new ' if n % 3 == 0 else ''}message {n} of {user}"))

        await asyncio.gather(*(chat(user) for user in users))
        await fleet.idle()
        check_exactly_once(events_of(fleet))
        assert len(decisions(fleet)) == 300
        assert fleet.ledger.verify().ok
        check_turns_do_not_overlap(events_of(fleet, TurnStarted, TurnEnded))
    assert 10 < at_once["most"] <= 50
    assert {user for user, _ in out.sent} == set(users)
    assert len(set(out.ids)) == len(out.ids)
    live, again = digests(tmp_path / "home", tmp_path / "again")
    assert live == again


def check_turns_do_not_overlap(events):
    running = set()
    for stored in events:
        if isinstance(stored.event, TurnStarted):
            assert stored.event.thread_id not in running
            running.add(stored.event.thread_id)
        else:
            running.remove(stored.event.thread_id)
    assert not running


async def test_no_more_than_the_set_number_of_calls_at_once(tmp_path):
    now = {"route": 0, "work": 0}
    most = {"route": 0, "work": 0}

    def counting(kind, answer):
        async def call(request):
            now[kind] += 1
            most[kind] = max(most[kind], now[kind])
            await asyncio.sleep(0.02)
            now[kind] -= 1
            return answer(request)

        return call

    models = scripted(counting("route", newest_else_new), counting("work", echo))
    async with open_fleet(tmp_path / "home", models=models, concurrency=3) as fleet:
        await asyncio.gather(*(fleet.accept(Message(f"user-{n}", "hi")) for n in range(12)))
        await fleet.idle()
    assert most == {"route": 3, "work": 3}


async def test_messages_during_a_turn_join_the_next_one(tmp_path):
    began, go = asyncio.Event(), asyncio.Event()

    async def work(request):
        if last_words(request) == "one":
            began.set()
            await go.wait()
        return echo(request)

    async with open_fleet(tmp_path / "home", models=scripted(worker=work)) as fleet:
        routed = watch(fleet, MessageDecided)
        await fleet.accept(Message("ana", "one"))
        await began.wait()
        two = await fleet.accept(Message("ana", "two"))
        three = await fleet.accept(Message("ana", "three"))
        await routed.until(3)
        go.set()
        replies = {await fleet.reply_to(each.message_id) for each in (two, three)}
        assert replies == {"You said: two\nthree"}
        turns = events_of(fleet, TurnStarted)
        assert [len(each.event.message_ids) for each in turns] == [1, 2]
        assert turns[1].event.message_ids == (two.message_id, three.message_id)


async def test_a_slow_thread_holds_up_neither_the_users_other_threads_nor_other_users(tmp_path):
    go = asyncio.Event()

    async def work(request):
        if "slow" in last_words(request):
            await go.wait()
        return echo(request)

    async with open_fleet(tmp_path / "home", models=scripted(worker=work)) as fleet:
        slow = await fleet.accept(Message("ana", "new slow question"))
        quick = await fleet.accept(Message("ana", "new quick question"))
        other = await fleet.accept(Message("bo", "hi"))
        assert await fleet.reply_to(quick.message_id) == "You said: new quick question"
        assert await fleet.reply_to(other.message_id) == "You said: hi"
        go.set()
        assert await fleet.reply_to(slow.message_id) == "You said: new slow question"


class Watched:
    """Counts events as they are applied."""

    def __init__(self, kinds):
        self._kinds, self._seen, self._rose = kinds, [], asyncio.Event()

    def __call__(self, stored):
        if isinstance(stored.event, self._kinds):
            self._seen.append(stored)
            self._rose.set()

    async def until(self, count):
        while len(self._seen) < count:
            self._rose.clear()
            await self._rose.wait()
        return self._seen


def watch(fleet, *kinds):
    watched = Watched(kinds)
    fleet.on(watched)
    return watched


async def test_a_drain_ends_what_runs_and_leaves_the_rest_for_the_next_start(tmp_path):
    began, go = asyncio.Event(), asyncio.Event()

    async def work(request):
        began.set()
        await go.wait()
        return echo(request)

    fleet = open_fleet(tmp_path / "home", models=scripted(worker=work), concurrency=1)
    await fleet.__aenter__()
    routed = watch(fleet, MessageDecided)
    for n in range(4):
        await fleet.accept(Message(f"user-{n}", f"hi {n}"))
    await routed.until(4)
    await began.wait()
    leaving = asyncio.create_task(fleet.__aexit__(None, None, None))
    await asyncio.sleep(0)  # the drain has begun
    go.set()
    await leaving
    async with open_fleet(tmp_path / "home", models=scripted(worker=echo)) as again:
        before = [each.event for each in events_of(again, TurnEnded, FleetStarted)]
        starts = [n for n, each in enumerate(before) if isinstance(each, FleetStarted)]
        assert starts[-1] == 2, "one turn was running and ended; the three others wait"
        await again.idle()
        check_exactly_once(events_of(again))
    live, rebuilt = digests(tmp_path / "home", tmp_path / "again")
    assert live == rebuilt


async def test_what_a_drain_has_to_cut_off_is_done_by_the_next_start(tmp_path):
    began = asyncio.Event()

    async def never(request):
        began.set()
        await asyncio.Event().wait()

    for at in ("router", "worker"):
        home = tmp_path / at
        began.clear()
        fleet = open_fleet(home, models=scripted(**{at: never}), drain_s=0.05)
        async with fleet:
            accepted = await fleet.accept(Message("ana", "hi"))
            await began.wait()
        async with open_fleet(home) as again:
            assert await again.reply_to(accepted.message_id) == "You said: hi"
            check_exactly_once(events_of(again))


async def test_messages_accepted_without_a_worker_are_done_at_its_start(tmp_path):
    ledger = Home(tmp_path / "home").open_ledger()
    for n in range(3):
        accept_now(ledger, Message("ana", f"hi {n}", id=f"m-{n}"), 1000)
    ledger.close()
    out = Outgoing()
    async with open_fleet(tmp_path / "home", helper_app(out)) as fleet:
        await fleet.idle()
        check_exactly_once(events_of(fleet))
        assert [each.event.message_id for each in events_of(fleet, MessageDecided)] == ["m-0", "m-1", "m-2"]
    assert "\n".join(text for _, text in out.sent).replace("You said: ", "") == "hi 0\nhi 1\nhi 2"


async def test_messages_that_arrive_while_it_starts_are_routed_once(tmp_path, monkeypatch):
    """Another process may add to the inbox between any two of the start's own writes."""
    home = tmp_path / "home"
    other = Home(home).open_ledger()
    fleet = open_fleet(home)
    append, count = SqliteLedger.append, iter(range(100))

    async def interrupted(ledger, draft):
        if next(count) < 3:  # the start's: started, helper declared, dispatcher declared
            accept_now(other, Message("ana", f"before {draft.stream}"), 1000)
        return await append(ledger, draft)

    monkeypatch.setattr(SqliteLedger, "append", interrupted)
    async with fleet:
        await fleet.idle()
        assert len(events_of(fleet, MessageAccepted)) == 3
        check_exactly_once(events_of(fleet))
    other.close()


async def test_a_second_worker_is_refused_and_told_who_holds_the_home(tmp_path):
    async with open_fleet(tmp_path / "home") as fleet:
        with pytest.raises(HomeBusyError, match=f"held by another worker \\(pid {os.getpid()} on "):
            await open_fleet(tmp_path / "home").__aenter__()
        accepted = await fleet.accept(Message("ana", "hi"))
        assert await fleet.reply_to(accepted.message_id)
    async with open_fleet(tmp_path / "home"):
        pass  # let go of when it ended


async def test_agents_that_come_change_and_go_are_on_record(tmp_path):
    def app(*agents):
        return App(name="small", agents=agents)

    helper = DialogAgent(role="helper", description="Helps")
    async with open_fleet(tmp_path / "home", app(helper)) as fleet:
        assert declared(fleet) == ["helper", "dispatcher"]
        await fleet.accept(Message("ana", "new swap"))
        await fleet.idle()
    async with open_fleet(tmp_path / "home", app(helper)) as fleet:
        assert declared(fleet) == ["helper", "dispatcher"]
    changed = DialogAgent(role="helper", description="Helps with much more")
    async with open_fleet(tmp_path / "home", app(changed, SupervisedAgent(role="thinker"))) as fleet:
        assert declared(fleet)[2:] == ["helper", "thinker"]
        first, last = [each.event for each in events_of(fleet, AgentDeclared) if each.event.role == "helper"]
        assert first.definition != last.definition
        assert b"Helps with much more" in fleet.ledger.blob(last.definition)
    models = scripted(lambda request: start("thinker") if "threads[0]" not in request.messages[0]["content"] else "no")
    async with open_fleet(tmp_path / "home", app(SupervisedAgent(role="thinker")), models=models) as fleet:
        (retired,) = [each.event for each in events_of(fleet, AgentRetired)]
        assert (retired.role, retired.open_threads) == ("helper", 1)
        await fleet.accept(Message("ana", "Monday then"))
        await fleet.idle()
        assert decisions(fleet)[-1].candidates == ()  # threads of a retired agent are not offered
        assert decisions(fleet)[-1].agents == ("thinker",)
    async with open_fleet(tmp_path / "home", app(helper)) as fleet:
        assert declared(fleet)[-1] == "helper"
        await fleet.accept(Message("ana", "Monday then"))
        await fleet.idle()
        assert decisions(fleet)[-1].outcome == "dispatch_to"
    live, again = digests(tmp_path / "home", tmp_path / "again")
    assert live == again


def declared(fleet):
    return [each.event.role for each in events_of(fleet, AgentDeclared)]


async def test_a_turn_of_an_agent_that_is_gone_ends_as_failed(tmp_path):
    async def never(request):
        await asyncio.Event().wait()

    async with open_fleet(tmp_path / "home", models=scripted(worker=never), drain_s=0.05) as fleet:
        routed = watch(fleet, TurnStarted)
        accepted = await fleet.accept(Message("ana", "hi"))
        await routed.until(1)
    async with open_fleet(tmp_path / "home", App(name="small", agents=[DialogAgent(role="other")])) as fleet:
        await fleet.idle()
        (ended,) = [each.event for each in events_of(fleet, TurnEnded)]
        assert (ended.result, ended.reason) == ("failed", "agent helper is retired")
        assert ended.message_ids == (accepted.message_id,)
        check_exactly_once(events_of(fleet))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"prompt": "{{ nobody }}"}, ConfigError, "prompt <code> of helper: 'nobody' is undefined"),
        ({"prompt": "{% if %}"}, ConfigError, "prompt <code> of helper, line 1"),
        ({"warmup": "print("}, WarmupError, "warmup <code>, line 1"),
        ({"model": "anthropic:claude-haiku-4-5"}, ConfigError, "ANTHROPIC_API_KEY"),
        ({"model": "nothing"}, ConfigError, "there is no model 'nothing'"),
    ],
)
async def test_an_application_that_does_not_fit_together_is_refused_before_anything_is_written(
    tmp_path, options, error, said
):
    app = App(name="small", agents=[DialogAgent(role="helper", **options)])
    with pytest.raises(error, match=re.escape(said)) as refused:
        async with open_fleet(tmp_path / "home", app):
            pass
    assert "\n" not in refused.value.message
    assert not (tmp_path / "home").exists()


async def test_a_start_that_fails_lets_go_of_the_home(tmp_path, monkeypatch):
    fleet = open_fleet(tmp_path / "home")

    async def full(ledger, draft):
        raise FleetError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteLedger, "append", full)
        with pytest.raises(FleetError, match="the disk is full"):
            await fleet.__aenter__()
    async with open_fleet(tmp_path / "home") as again:
        accepted = await again.accept(Message("ana", "hi"))
        assert await again.reply_to(accepted.message_id)


async def test_who_waits_for_a_reply_is_told_when_the_fleet_stops(tmp_path):
    async def never(request):
        await asyncio.Event().wait()

    async with open_fleet(tmp_path / "home", models=scripted(worker=never), drain_s=0.05) as fleet:
        accepted = await fleet.accept(Message("ana", "hi"))
        waiting = asyncio.create_task(fleet.reply_to(accepted.message_id))
        await asyncio.sleep(0)
        fleet.stop()
        with pytest.raises(FleetError, match="stopped before the reply"):
            await waiting
        await fleet.run()


async def test_a_message_that_is_dropped_has_no_reply(tmp_path):
    app = helper_app(gate=lambda message: DispatchResult("", DispatchAction.DROP, reason="noise"))
    async with open_fleet(tmp_path / "home", app) as fleet:
        accepted = await fleet.accept(Message("ana", "hi"))
        assert await fleet.reply_to(accepted.message_id) == ""
        assert decisions(fleet)[0].gate_reason == "noise"


async def test_a_supervised_agents_result_goes_to_the_application(tmp_path):
    found = []
    app = App(
        name="small", agents=[SupervisedAgent(role="helper")], on_result=lambda reply: found.append((reply, "seen"))
    )
    async with open_fleet(tmp_path / "home", app) as fleet:
        await fleet.accept(Message("ana", "think"))
        await fleet.idle()
    ((reply, _),) = found
    assert (reply.agent, reply.user, reply.text, reply.result) == ("helper", "ana", "You said: think", "success")


async def test_a_fleet_without_workers_only_routes(tmp_path):
    home = tmp_path / "home"
    fleet = Fleet(helper_app(), open_fleet(home).settings, models=scripted(), workers=False)
    async with fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        assert len(decisions(fleet)) == 1
        assert events_of(fleet, TurnStarted) == []
    async with open_fleet(home) as again:
        await again.idle()
        check_exactly_once(events_of(again))


async def test_the_router_sees_what_was_said_just_before(tmp_path):
    """A user's next message is routed after the last one's decision was applied."""
    shown = []

    def route(request):
        shown.append((printed_message(request), "threads[0]:" in request.messages[0]["content"]))
        return newest_else_new(request)

    async with open_fleet(tmp_path / "home", models=scripted(route)) as fleet:
        await asyncio.gather(*(fleet.accept(Message("ana", f"message {n}")) for n in range(5)))
        await fleet.idle()
    assert [seen for _, seen in shown] == [False, True, True, True, True]

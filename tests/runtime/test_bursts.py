"""Bursts: what one person sends within a moment is one decision and one turn, on record for each message."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time
from support.fleets import (
    check_exactly_once,
    decisions,
    digests,
    echo,
    events_of,
    helper_app,
    newest_else_new,
    open_fleet,
    printed_message,
    scripted,
    start,
)

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Message, Settings
from fleet.audit.decisions import decisions as decided_rows
from fleet.audit.decisions import row_of
from fleet.audit.declared import Declarations
from fleet.audit.explain import explain
from fleet.audit.export import csv_lines, json_lines
from fleet.audit.labelled import labelled_cases
from fleet.audit.labelling import label
from fleet.audit.labels import labels
from fleet.audit.page import render
from fleet.audit.replay import replay
from fleet.audit.stats import stats
from fleet.cli.page import print_page
from fleet.clock import now
from fleet.ledger.events import (
    Assignment,
    DispatchRequested,
    MessageAccepted,
    MessageDead,
    MessageDecided,
    TurnEnded,
    TurnStarted,
)
from fleet.runtime.bursts import Bursts
from fleet.runtime.lanes import Lanes, Waiting
from fleet.runtime.letters import drop_message

WINDOW_S = 0.4


class Asked:
    """A router that keeps the messages that it was shown."""

    def __init__(self, then=newest_else_new):
        self.shown, self._then = [], then

    def __call__(self, request):
        self.shown.append(printed_message(request))
        return self._then(request)


def bursting(home, app=None, *, router=newest_else_new, worker=echo, window=WINDOW_S, **settings):
    return open_fleet(home, app, models=scripted(router, worker), burst_window_s=window, **settings)


async def send(fleet, *messages, user="ana", **how):
    for name, text in messages:
        await fleet.accept(Message(user, text, id=name, **how))


def turns(fleet):
    return [each.event.message_ids for each in events_of(fleet, TurnStarted)]


async def test_a_burst_is_one_decision_and_one_reply_and_each_message_says_where_it_went(tmp_path):
    asked = Asked()
    async with bursting(tmp_path, router=asked) as fleet:
        await send(fleet, ("m-1", "hi"), ("m-2", "my train was late"), ("m-3", "can I get money back?"))
        replies = {await fleet.reply_to(name) for name in ("m-1", "m-2", "m-3")}
        whole = "hi\nmy train was late\ncan I get money back?"
        assert replies == {f"You said: {whole}"}
        assert asked.shown == [whole]
        assert turns(fleet) == [("m-1", "m-2", "m-3")]
        first, *others = decisions(fleet)
        assert (first.by, first.outcome, first.covers, first.joined) == (
            "model",
            "start_new_thread",
            ("m-2", "m-3"),
            "",
        )
        assert [(each.by, each.outcome, each.joined, each.thread_id, each.attempts) for each in others] == [
            ("joined", "dispatch_to", "m-1", first.thread_id, ())
        ] * 2
        stored = events_of(fleet, MessageDecided)
        assert [each.event.text for each in stored] == ["hi", "my train was late", "can I get money back?"]
        assert [each.stream for each in stored] == ["message:m-1", "message:m-2", "message:m-3"]
        assert len({each.at for each in stored}) == 1  # one transaction
        check_exactly_once(list(fleet.ledger.read()))
    assert len(set(digests(tmp_path, tmp_path / "again"))) == 1


async def test_without_the_setting_nothing_waits_and_nothing_is_joined(tmp_path):
    asked = Asked()
    async with open_fleet(tmp_path, models=scripted(asked)) as fleet:
        await asyncio.gather(send(fleet, ("m-1", "one")), send(fleet, ("m-2", "two")))
        await fleet.idle()
        assert asked.shown == ["one", "two"]
        assert {each.by for each in decisions(fleet)} == {"model"}


async def test_nobody_else_waits_for_a_burst(tmp_path):
    async with bursting(tmp_path, window=60) as fleet:
        await send(fleet, ("m-1", "one"))
        await send(fleet, ("b-1", "hi"), user="bo", priority=0, not_before=now() - timedelta(seconds=1))
        assert await fleet.reply_to("b-1") == "You said: hi"  # ana's window is open for a minute yet
        assert [each.event.message_id for each in events_of(fleet, MessageDecided)] == ["b-1"]


async def test_what_is_open_at_the_end_is_the_same_burst_at_the_next_start(tmp_path):
    asked = Asked()
    async with bursting(tmp_path, window=60) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "two"))
    async with bursting(tmp_path, window=60, router=asked) as fleet:
        assert [each.key for each in fleet.ledger.pending("inbox")] == ["m-1", "m-2"]
    async with bursting(tmp_path, window=60, burst_most_s=1.5, router=asked) as fleet:
        await fleet.idle()
        assert asked.shown == ["one\ntwo"]
        check_exactly_once(list(fleet.ledger.read()))
    assert len(set(digests(tmp_path, tmp_path / "again"))) == 1


async def test_the_window_is_on_the_fleets_clock(tmp_path):
    asked = Asked()
    with freeze_time(datetime(2026, 11, 21, 9, tzinfo=UTC), real_asyncio=True) as clock:
        async with bursting(tmp_path, window=60, router=asked, burst_most_s=3600) as fleet:
            await send(fleet, ("m-1", "one"))
            clock.tick(59)
            await send(fleet, ("m-2", "two"))
            clock.tick(59)
            fleet._loop.inbox.look()
            assert fleet.ledger.pending_count("inbox") == 2
            clock.tick(2)
            await fleet.idle()
            assert asked.shown == ["one\ntwo"]
            await send(fleet, ("m-3", "three"))
            clock.move_to(datetime(2026, 11, 21, 8, tzinfo=UTC))  # set back by an hour: nothing waits for that
            await fleet.idle()
            assert asked.shown == ["one\ntwo", "three"]


def waiting(name, at, text="hi", *, version=1, tries=0, kind=MessageAccepted, **fields):
    event = kind(message_id=name, user="ana", text=text, **fields)
    return Waiting(event, version, at, max(at, event.not_before), at, tries)


def burst_of(lane, **settings):
    found, until = Bursts(Settings(burst_window_s=2, burst_most_s=5, **settings)).first_of(lane)
    return [each.message.message_id for each in found], until


S = 1_000_000


def test_a_burst_grows_while_each_message_comes_within_the_window_and_not_for_ever():
    lane = [waiting("a", S), waiting("b", 3 * S), waiting("c", 5 * S)]
    assert burst_of(lane[:1]) == (["a"], 3 * S)
    assert burst_of(lane) == (["a", "b", "c"], 6 * S)  # five seconds after the first, not two after the last
    assert burst_of([*lane, waiting("d", 6 * S + 1)]) == (["a", "b", "c"], 0)
    assert burst_of([lane[0], waiting("late", 3 * S + 1)]) == (["a"], 0)
    crowd = [waiting(f"m-{number}", S) for number in range(50)]
    assert burst_of(crowd) == ([f"m-{number}" for number in range(20)], 0)
    long = [waiting("a", S, "ž" * 40), waiting("b", S, "x" * 19), waiting("c", S, "x")]
    assert burst_of(long, max_message_bytes=101) == (["a", "b"], 0)


@pytest.mark.parametrize(
    "other",
    [
        {"channel": "mail"}, {"session_id": "s-2"}, {"language": "de"}, {"roles": ("helper",)}, {"priority": 1},
        {"not_before": 1}, {"version": 3}, {"tries": 1},
        {"kind": DispatchRequested, "assignment": Assignment(agent="helper", thread_id="thr_1")},
    ],
)  # fmt: skip
def test_what_came_another_way_or_says_where_it_goes_is_not_joined_and_ends_the_burst(other):
    plain, odd = waiting("plain", S), waiting("odd", S + 1, **other)
    assert burst_of([plain, odd, waiting("more", S + 2)]) == (["plain"], 0)
    alone, until = burst_of([odd])
    assert alone == ["odd"]
    if not {"channel", "session_id", "language", "roles", "priority"} & other.keys():
        assert until == 0  # it waits for nobody


def test_what_is_settled_otherwise_is_passed_over():
    lane = [waiting("a", S), waiting("b", S), waiting("c", S)]
    lane[1].settled = True
    assert burst_of(lane) == (["a", "c"], 3 * S)


def test_a_lane_that_stands_open_is_taken_from_when_its_time_has_come_or_something_else_comes():
    lanes = Lanes(Bursts(Settings(burst_window_s=3600)))
    at = int(now().timestamp()) * S
    lanes.put(waiting("a", at))
    assert (lanes.take(), list(lanes.open)) == (None, ["ana"])
    lanes.put(waiting("b", at + 1))
    lanes.put(waiting("c", at + 2, channel="mail"))
    first = lanes.take()
    assert first is not None
    assert [each.message.message_id for each in lanes.behind(first)] == ["b"]
    lanes.behind(first)[0].settled = True
    lanes.done(first)
    assert (lanes.take(), list(lanes.open)) == (None, ["ana"])
    lanes.drop("ana", "c")
    assert (lanes.ready, lanes.open) == (0, {})


async def test_gates_are_asked_about_each_message_and_what_they_settle_otherwise_goes_by_itself(tmp_path):
    asked, seen = Asked(), []

    def spam(message):
        seen.append(message.text.raw)
        return DispatchResult("", DispatchAction.DROP, reason="spam") if "buy" in message.text.raw else None

    async with bursting(tmp_path, helper_app(gate=spam), router=asked) as fleet:
        await send(fleet, ("m-1", "hi"), ("m-2", "it is me"), ("m-3", "buy now"), ("m-4", "where is my order?"))
        await fleet.idle()
        assert asked.shown == ["hi\nit is me", "where is my order?"]
        assert [(each.by, each.outcome) for each in decisions(fleet)] == [
            ("model", "start_new_thread"), ("joined", "dispatch_to"), ("gate", "drop"), ("model", "dispatch_to"),
        ]  # fmt: skip
        assert seen == ["hi", "it is me", "buy now", "buy now", "where is my order?"]
        assert sorted(sum(turns(fleet), ())) == ["m-1", "m-2", "m-4"]


async def test_what_a_gate_sends_to_one_thread_is_joined_and_what_it_starts_anew_is_not(tmp_path):
    def by_key(message):
        key, _, how = message.text.raw.partition(" ")
        return DispatchResult(key, DispatchAction[how])

    async with bursting(tmp_path, helper_app(gate=by_key)) as fleet:
        given = ("a ROUTE", "a ROUTE", "b ROUTE", "b CREATE_AGENT", "b CREATE_AGENT", "b DROP", "b DROP")
        await send(fleet, *((f"m-{number}", text) for number, text in enumerate(given)))
        await fleet.idle()
        assert [each.joined for each in decisions(fleet)] == ["", "m-0", "", "", "", "", ""]
        assert turns(fleet) == [("m-0", "m-1"), ("m-2",), ("m-3",), ("m-4",)]


async def test_a_session_is_joined_and_another_session_is_not(tmp_path):
    app = App(name="two", agents=[DialogAgent(role="helper"), DialogAgent(role="billing")])
    asked = Asked(lambda request: start())
    async with bursting(tmp_path, app, router=asked) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "two"), session_id="s-1")
        await send(fleet, ("m-3", "three"), session_id="s-2")
        await fleet.idle()
        assert asked.shown == ["one\ntwo", "three"]  # a model picks who a session begins with
        await send(fleet, ("m-4", "four"), ("m-5", "five"), session_id="s-1")
        await fleet.idle()
        assert asked.shown == ["one\ntwo", "three"]
        assert [(each.by, each.joined) for each in decisions(fleet)[-2:]] == [("gate", ""), ("joined", "m-4")]
        assert turns(fleet)[-1] == ("m-4", "m-5")


async def test_a_rules_other_agents_get_what_the_whole_burst_says_once(tmp_path):
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "desk"\nchannel = "mail"\nagents = ["helper", "notes"]\nthread = "session"\n', "utf-8"
    )
    app = App(name="two", agents=[DialogAgent(role="helper"), DialogAgent(role="notes")], rules=tmp_path / "rules.toml")
    async with bursting(tmp_path / "home", app) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "two"), channel="mail", session_id="s")
        await fleet.idle()
        found = {each.event.message_id: each.event for each in events_of(fleet, MessageDecided)}
        assert found["m-2"].decision.joined == "m-1"
        assert found["m-1+notes"].text == "one\ntwo"
        assert sorted(found) == ["m-1", "m-1+notes", "m-2"]


async def test_each_message_counts_for_its_users_quota(tmp_path):
    async with bursting(tmp_path, helper_app(user_quota="2/h")) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "two"), ("m-3", "three"))
        await fleet.idle()
        assert [(each.by, each.outcome) for each in decisions(fleet)] == [
            ("model", "start_new_thread"), ("joined", "dispatch_to"), ("policy", "error"),
        ]  # fmt: skip


async def test_a_burst_that_nobody_can_place_waits_for_a_person_with_all_its_messages(tmp_path):
    refused = scripted(lambda request: "no action", fallback=lambda request: "none either")
    async with open_fleet(tmp_path, models=refused, burst_window_s=WINDOW_S) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "two"))
        await fleet.idle()
        assert [(each.outcome, each.thread_id, each.joined) for each in decisions(fleet)] == [
            ("human", "", ""), ("human", "", "m-1"),
        ]  # fmt: skip
        told = explain(fleet.ledger, "m-2")
        assert (told.state, told.where) == (
            "human", "To a person: it came right after m-1 and was routed with it: fleet why m-1."
        )  # fmt: skip


async def test_one_that_is_dropped_while_the_model_thinks_is_left_out_and_the_rest_decided_anew(tmp_path):
    shown, thinking, go = [], asyncio.Event(), asyncio.Event()

    async def route(request):
        shown.append(printed_message(request))
        thinking.set()
        await go.wait()
        return newest_else_new(request)

    async with bursting(tmp_path, router=route) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "two"), ("m-3", "three"))
        await thinking.wait()
        await asyncio.to_thread(drop_message, fleet.ledger, "m-2", by="eva")
        go.set()
        await fleet.idle()
        assert shown == ["one\ntwo\nthree", "one\nthree"]
        assert turns(fleet) == [("m-1", "m-3")]
        assert fleet.ledger.pending_count("inbox") == 0


async def test_a_failure_is_counted_for_the_first_alone_which_is_tried_by_itself(tmp_path):
    def route(request):
        if "poison" in printed_message(request):
            raise RuntimeError("what is this?")
        return newest_else_new(request)

    async with bursting(tmp_path, router=route, max_attempts=2, retry_backoff_s=0.01) as fleet:
        await send(fleet, ("m-1", "one"), ("m-2", "poison"), ("m-3", "three"), ("m-4", "four"))
        await fleet.idle()
        assert [each.event.message_id for each in events_of(fleet, MessageDead)] == ["m-2"]
        assert [(each.event.message_id, each.event.decision.joined) for each in events_of(fleet, MessageDecided)] == [
            ("m-1", ""), ("m-3", ""), ("m-4", "m-3"),
        ]  # fmt: skip
        assert fleet.ledger.pending_count("inbox") == 0


async def test_the_audit_tells_of_a_burst_as_one_decision(tmp_path, capsys):
    async with bursting(tmp_path) as fleet:
        await send(fleet, ("m-1", "hi"), ("m-2", "where is my order?"))
        await fleet.idle()
        ledger = fleet.ledger
        counted = stats(ledger).as_dict()
        assert (counted["decisions"], counted["joined"], counted["by"]) == (1, 1, {"model": 1})
        assert counted["actions"] == {"start_new_thread": 1}
        rows = [row_of(each) for each in decided_rows(ledger)]
        assert [(each["message_id"], each["by"], each["joined"]) for each in rows] == [
            ("m-1", "model", ""), ("m-2", "joined", "m-1"),
        ]  # fmt: skip
        assert ["m-1" in line for line in json_lines(ledger, decided_rows(ledger))] == [True, True]
        assert "".join(csv_lines(ledger, decided_rows(ledger))).splitlines()[2].endswith(",where is my order?,m-1,,,")
        again = list(replay(ledger, decided_rows(ledger)))
        assert [(each.message_id, each.asked, each.same) for each in again] == [
            ("m-1", True, True), ("m-2", False, True),
        ]  # fmt: skip
        print_page(render(explain(ledger, "m-1")))
        print_page(render(explain(ledger, "m-2")))
        told = " ".join(capsys.readouterr().out.split())
        assert "m-2 came right after it; they were routed as one message" in told
        assert "it came right after m-1 and was routed with it: fleet why m-1." in told
        assert told.count("turn 1 of job_") == 2
        assert explain(ledger, "m-2").reply == explain(ledger, "m-1").reply == "You said: hi\nwhere is my order?"
        assert {each.event.message_ids for each in events_of(fleet, TurnEnded)} == {("m-1", "m-2")}


async def test_a_past_burst_is_a_case_with_all_that_it_said(tmp_path):
    async with bursting(tmp_path) as fleet:
        await send(fleet, ("m-1", "hi"), ("m-2", "where is my order?"))
        await fleet.idle()
        for name in ("m-1", "m-2"):
            await asyncio.to_thread(label, fleet.ledger, name, as_decided=True)
        declared = Declarations(fleet.ledger)
        cases = [each.case for each in labelled_cases(fleet.ledger, labels(fleet.ledger), declared)]
        assert [(each["id"], each["message"], each["gold"]["action"]) for each in cases] == [
            ("m-1", "hi\nwhere is my order?", "new"), ("m-2", "where is my order?", "continue"),
        ]  # fmt: skip
        assert cases[1]["strata"] == ["was_right", "joined"]

"""Asking the user which thread or agent a message is meant for: once, in order, through crashes and restarts."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import Outgoing, check_exactly_once, digests, events_of, go_on, open_fleet, scripted
from support.unsure import (
    QUESTION,
    decided,
    open_desks,
    questions,
    route,
    say,
    two_desks,
    two_threads,
    unsure,
)

from fleet import App, Message, SupervisedAgent
from fleet.audit.explain import explain
from fleet.errors import InputError, ModelUnavailableError
from fleet.ledger.base import Blob, Draft
from fleet.ledger.events import MessageAccepted, ReplyDelivered
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home
from fleet.runtime.letters import drop_message, inbox_entries, outbox_entries, retry_reply


async def until(fleet, message_id):
    """The message's decision, once there is one."""
    while message_id not in (found := decided(fleet)):
        await asyncio.sleep(0.02)
    await fleet.idle()
    return found[message_id]


async def test_the_user_is_asked_and_the_number_settles_it(tmp_path):
    out, home = Outgoing(), tmp_path / "home"
    async with open_desks(home, out) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        assert "m" not in decided(fleet)
        assert out.sent[-1] == ("ana", QUESTION)
        assert out.ids[-1] == "ask_m"
        (asked,) = questions(fleet)
        assert [(each.agent, bool(each.thread_id), each.probability) for each in asked.event.choices] == [
            ("billing", True, 0.4), ("helper", True, 0.3), ("billing", False, 0.2), ("helper", False, 0.08),
        ]  # fmt: skip
        (entry,) = inbox_entries(fleet.ledger, 0)
        assert (entry.message_id, entry.state, entry.since) == ("m", "asked", asked.at)
        found = explain(fleet.ledger, "m")
        assert found.state == "asked"
        assert found.where.startswith("Nowhere yet: its user is asked where it belongs, and may answer until 20")

        await say(fleet, "a", "2")
        settled, answer = decided(fleet)["m"], decided(fleet)["a"]
        assert (settled.by, settled.outcome, settled.agent) == ("user", "dispatch_to", "helper")
        assert (settled.thread_id, settled.asked, settled.answered_by) == (
            decided(fleet)["ana-1"].thread_id,
            "answered",
            "a",
        )
        assert (answer.by, answer.outcome, answer.answer_to, answer.thread_id) == ("user", "answer", "m", "")
        assert out.sent[-1] == ("ana", "You said: unclear")
        assert len(questions(fleet)) == 1
        check_exactly_once(events_of(fleet))
        assert fleet.ledger.verify().ok
        assert not any(fleet.ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox", "undelivered"))
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


@pytest.mark.parametrize(
    ("answer", "action", "agent", "asked"),
    [
        ("shift", "dispatch_to", "helper", "answered"),
        ("The invoice, please", "dispatch_to", "billing", "answered"),
        ("3", "start_new_thread", "billing", "answered"),
        ("new helper", "start_new_thread", "helper", "answered"),
        ("new", "start_new_thread", "billing", "answered"),
        ("none of these", "human", "", "none"),
    ],
)
async def test_what_else_settles_it(tmp_path, answer, action, agent, asked):
    async with open_desks(tmp_path / "home") as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        await say(fleet, "a", answer)
        settled = decided(fleet)["m"]
        assert (settled.by, settled.outcome, settled.agent, settled.asked) == ("user", action, agent, asked)
        assert decided(fleet)["a"].outcome == "answer"
        if action == "start_new_thread":
            assert settled.name == "unclear"
            assert settled.thread_id not in {decided(fleet)[f"ana-{number}"].thread_id for number in (1, 2)}


async def test_none_of_them_is_the_likeliest_agent_that_was_not_among_them(tmp_path):
    def router(request):
        found = route(request)
        return unsure(go_on(0), 0.6, [*found.extra["choices"][:2]]) if "unclear" in str(request.messages) else found

    app = two_desks(default_agent="helper")
    async with open_fleet(tmp_path / "home", app, models=scripted(router), ask_below=0.7) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        (asked,) = questions(fleet)
        assert asked.event.otherwise == "helper"
        assert "0. None of these: something new, for helper\n" in asked.event.text
        await say(fleet, "a", "none of these")
        settled = decided(fleet)["m"]
        assert (settled.outcome, settled.agent, settled.asked) == ("start_new_thread", "helper", "none")


async def test_anything_else_lets_it_lapse_and_is_routed_after_it(tmp_path):
    out = Outgoing()
    async with open_desks(tmp_path / "home", out) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        await say(fleet, "n", "Are you still there?")
        lapsed, later = decided(fleet)["m"], decided(fleet)["n"]
        assert (lapsed.by, lapsed.outcome, lapsed.agent) == ("model", "dispatch_to", "billing")
        assert (lapsed.asked, lapsed.answered_by) == ("lapsed", "n")
        assert (later.by, later.agent, later.asked) == ("model", "billing", "")
        check_exactly_once(events_of(fleet))
        assert "the user was asked, and went on to something else (n)." in explain(fleet.ledger, "m").where
        await say(fleet, "o", "2")
        assert decided(fleet)["o"].outcome == "dispatch_to", "there is no question any more"


async def test_an_unclear_message_lets_one_question_lapse_and_is_asked_about_itself(tmp_path):
    async with open_desks(tmp_path / "home") as fleet:
        await two_threads(fleet)
        await asyncio.gather(*(fleet.accept(Message("ana", f"unclear {number}", f"m-{number}")) for number in range(3)))
        await fleet.idle()
        assert [each.event.message_id for each in questions(fleet)] == ["m-0", "m-1", "m-2"]
        assert [decided(fleet)[f"m-{number}"].asked for number in range(2)] == ["lapsed", "lapsed"]
        await say(fleet, "a", "1")
        assert decided(fleet)["m-2"].asked == "answered"
        check_exactly_once(events_of(fleet))


async def test_an_answer_comes_the_same_way_as_the_question_went(tmp_path):
    async with open_desks(tmp_path / "home") as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear", channel="web")
        await say(fleet, "n", "2", channel="sms")
        assert decided(fleet)["m"].asked == "lapsed"
        assert decided(fleet)["n"].outcome == "dispatch_to"


async def test_other_users_go_on_and_what_is_dispatched_waits_in_line(tmp_path):
    async with open_desks(tmp_path / "home", concurrency=1) as fleet:
        await two_threads(fleet)
        await two_threads(fleet, "ben")
        for user in ("ana", "ben"):
            await say(fleet, f"{user}-m", "unclear", user)
        await say(fleet, "cid-1", "my shift", "cid")
        assert decided(fleet)["cid-1"].agent == "helper"
        await fleet.dispatch("billing", user="ana", text="Look", id="d")
        await fleet.idle()
        assert "d" not in decided(fleet)
        await say(fleet, "ben-a", "1", "ben")
        await say(fleet, "ana-a", "2", "ana")
        assert [decided(fleet)[each].by for each in ("ben-m", "ana-m", "d", "ana-a")] == [
            "user",
            "user",
            "dispatch",
            "user",
        ]
        check_exactly_once(events_of(fleet))


async def test_it_expires_by_itself_and_after_a_restart(tmp_path):
    home = tmp_path / "home"
    async with open_desks(home, ask_expiry_s=0.3) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        expired = await until(fleet, "m")
        assert (expired.by, expired.agent, expired.asked, expired.answered_by) == ("model", "billing", "expired", "")
        assert "the user was asked, and did not answer in time." in explain(fleet.ledger, "m").where
    async with open_desks(home, ask_expiry_s=3.0) as fleet:
        await say(fleet, "n", "unclear again")
    async with open_desks(home, ask_expiry_s=3600.0) as fleet:
        assert (await until(fleet, "n")).asked == "expired"
        assert len(questions(fleet)) == 2
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_a_question_is_answered_after_a_restart_by_what_was_sent_meanwhile(tmp_path):
    home, out = tmp_path / "home", Outgoing()
    async with open_desks(home, out) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
    with Home(home).open_ledger() as ledger:
        event = MessageAccepted(message_id="a", user="ana", text="2")
        ledger.append_now(Draft("message:a", 0, (event,), "ana"))
    async with open_desks(home, out) as fleet:
        await fleet.idle()
        assert (decided(fleet)["m"].agent, decided(fleet)["a"].outcome) == ("helper", "answer")
        assert [text for _, text in out.sent].count(QUESTION) == 1


SAID = {"m": "unclear", "a": "2", "n": "unclear 2", "o": "When?"}


@pytest.mark.timeout(300)
async def test_a_crash_after_any_event_asks_once_and_settles_once(tmp_path):
    whole = tmp_path / "whole"
    async with open_desks(whole) as fleet:
        await two_threads(fleet)
        for message_id, text in SAID.items():
            await say(fleet, message_id, text)
        events, wanted = events_of(fleet), {name: outcome(each) for name, each in decided(fleet).items()}
        begins = next(each.seq for each in events if each.stream == "message:m")
        blobs = {name: fleet.ledger.blob(name) for each in events for name in each.event.blobs() if name}
    assert [each[2] for each in wanted.values()] == ["", "", "answered", "", "lapsed", ""]
    assert [wanted[each][0::4] for each in ("a", "o")] == [("user", "m"), ("model", "")]
    for upto in range(begins, len(events)):
        home = tmp_path / f"home-{upto}"
        with Home(home).open_ledger() as ledger:
            for each in events[:upto]:
                named = tuple(Blob.of(blobs[name]) for name in each.event.blobs() if name)
                ledger.append_now(Draft(each.stream, each.version - 1, (each.event,), each.user, named))
        async with open_desks(home) as fleet:
            await fleet.idle()
            for message_id, text in SAID.items():
                await say(fleet, message_id, text)
            assert {name: outcome(each) for name, each in decided(fleet).items()} == wanted, upto
            assert [each.event.message_id for each in questions(fleet)] == ["m", "n"], upto
            assert [each.stream for each in events_of(fleet, ReplyDelivered)].count("reply:ask_m") == 1
            check_exactly_once(events_of(fleet))
            assert fleet.ledger.verify().ok
            assert not any(fleet.ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox"))
        live, rebuilt = digests(home, tmp_path / f"again-{upto}")
        assert live == rebuilt


def outcome(decision):
    return decision.by, decision.agent, decision.asked, decision.answered_by, decision.answer_to


@pytest.mark.parametrize("confidence", [0.7, 0.99, None])
async def test_nobody_is_asked_where_the_router_is_sure_or_does_not_say(tmp_path, confidence):
    async with open_desks(tmp_path / "home", router=lambda request: said_so(request, confidence)) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        assert (decided(fleet)["m"].by, decided(fleet)["m"].asked) == ("model", "")
        assert not questions(fleet)


def said_so(request, confidence):
    found = route(request)
    return unsure(found.text, confidence, found.extra["choices"]) if "unclear" in str(request.messages) else found


async def test_nobody_is_asked_by_default_or_without_a_model_or_by_agents_that_talk_to_nobody(tmp_path):
    quiet = App(name="quiet", agents=[SupervisedAgent(role="helper"), SupervisedAgent(role="billing")])
    for number, (app, settings) in enumerate((
        (two_desks(), {}), (quiet, {"ask_below": 1.0}),
        (two_desks(default_agent="helper"), {"ask_below": 1.0, "router_model": "none"}),
    )):  # fmt: skip
        async with open_fleet(tmp_path / str(number), app, models=scripted(route), **settings) as fleet:
            await two_threads(fleet)
            await say(fleet, "m", "unclear")
            assert decided(fleet)["m"].thread_id
            assert not questions(fleet)


async def test_nobody_is_asked_about_the_only_choice(tmp_path):
    app = App(name="one", agents=two_desks().agents.values())
    del app.agents["billing"]
    async with open_fleet(tmp_path / "home", app, models=scripted(one_only), ask_below=1.0) as fleet:
        await say(fleet, "m", "hello")
        assert decided(fleet)["m"].agent == "helper"
        assert not questions(fleet)


def one_only(request):
    return unsure(route(request).text, 0.2)


async def test_a_model_that_says_how_sure_it_is_and_no_more_has_the_threads_that_it_saw_asked_about(tmp_path):
    def router(request):
        found = route(request)
        return unsure(found.text, 0.5) if "unclear" in str(request.messages) else found

    async with open_desks(tmp_path / "home", router=router) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        (asked,) = questions(fleet)
        assert [(each.agent, each.probability) for each in asked.event.choices] == [("billing", 0.5), ("helper", 0.0)]
        assert '2. "my shift" (helper)\n0. None' in asked.event.text
        await say(fleet, "a", "2")
        assert decided(fleet)["m"].agent == "helper"


async def test_the_fallback_router_is_asked_how_sure_it_is_too(tmp_path):
    down = ScriptedModel(lambda request: ModelUnavailableError("down"), name="test:router")
    models = scripted() | {"test:router": down}
    async with open_fleet(tmp_path / "home", two_desks(), models=models, ask_below=1.0) as fleet:
        await say(fleet, "m", "hm")
        (asked,) = questions(fleet)
        assert asked.event.decision.fallback == "router"
        assert all(0 < each.probability < 1 for each in asked.event.choices)
        await say(fleet, "a", "helper")
        settled = decided(fleet)["m"]
        assert (settled.by, settled.agent, settled.fallback) == ("user", "helper", "")
        assert settled.fallback_reason.startswith("test:router")


async def test_a_question_is_dropped_with_its_message(tmp_path):
    home = tmp_path / "home"
    async with open_desks(home) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        await fleet.dispatch("helper", user="ana", text="Look", id="d")
        drop_message(fleet.ledger, "m", by="ops")
        while "d" not in decided(fleet):
            await asyncio.sleep(0.02)
        await say(fleet, "n", "2")
        assert decided(fleet)["n"].outcome == "dispatch_to"
        assert explain(fleet.ledger, "m").state == "dropped"
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_a_question_that_nobody_took_is_put_back_or_withdrawn_once_it_is_settled(tmp_path):
    refusing, tried = [True], []

    def channel(text, reply_id):
        tried.append(reply_id)
        if refusing[0] and reply_id.startswith("ask_"):
            raise OSError("the line is down")

    async with open_desks(tmp_path / "home", channel, delivery_attempts=2, delivery_backoff_s=0.01) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        (entry,) = outbox_entries(fleet.ledger)
        assert (entry.reply_id, entry.state, entry.thread_id, entry.text) == ("ask_m", "failed", "", QUESTION)
        refusing[0] = False
        retry_reply(fleet.ledger, "ask_m", by="ops")
        while fleet.ledger.pending_entry("undelivered", "ask_m") or fleet.ledger.pending_entry("outbox", "ask_m"):
            await asyncio.sleep(0.02)
        assert tried.count("ask_m") == 3
        refusing[0] = True
        await say(fleet, "n", "unclear too")
        await say(fleet, "a", "2")
        assert not list(outbox_entries(fleet.ledger))
        with pytest.raises(InputError, match="ask_n is none that failed: the question is settled"):
            retry_reply(fleet.ledger, "ask_n", by="ops")
        assert fleet.ledger.verify().ok


async def test_a_channel_that_is_down_until_the_question_is_settled_is_not_given_it(tmp_path):
    tried, down = [], asyncio.Event()

    def channel(text, reply_id):
        tried.append(reply_id)
        if not down.is_set() and reply_id.startswith("ask_"):
            raise OSError("the line is down")

    async with open_desks(tmp_path / "home", channel, delivery_backoff_s=0.01, delivery_backoff_max_s=0.01) as fleet:
        await two_threads(fleet)
        await fleet.accept(Message("ana", "unclear", "m"))
        while "ask_m" not in tried:
            await asyncio.sleep(0.01)
        await fleet.accept(Message("ana", "Hello?", "n"))
        await fleet.idle()
        down.set()
        assert "ask_m" not in [each.event.reply_id for each in events_of(fleet, ReplyDelivered)]
        assert tried[-1].startswith("rep_")
        assert not fleet.ledger.pending_count("outbox")
        assert fleet.ledger.verify().ok


async def test_a_choice_that_is_gone_by_then_is_decided_anew_and_not_asked_again(tmp_path):
    home = tmp_path / "home"
    async with open_desks(home) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
    app = two_desks()
    del app.agents["billing"]
    models = scripted(lambda request: unsure(go_on(0), 0.3))
    async with open_fleet(home, app, models=models, ask_below=0.7) as fleet:
        await say(fleet, "a", "1")
        settled = decided(fleet)["m"]
        assert (settled.by, settled.agent, settled.asked, settled.answered_by) == ("model", "helper", "gone", "a")
        assert decided(fleet)["a"].outcome == "answer"
        assert len(questions(fleet)) == 1
        assert "the user was asked, and what they chose was gone by then (a)." in explain(fleet.ledger, "m").where
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_who_waits_for_the_reply_is_given_the_question_and_then_what_was_asked_about(tmp_path):
    async with open_desks(tmp_path / "home") as fleet:
        await two_threads(fleet)
        await fleet.accept(Message("ana", "unclear", "m"))
        assert await fleet.reply_to("m") == QUESTION
        await fleet.accept(Message("ana", "2", "a"))
        assert await fleet.reply_to("a") == "You said: unclear"
        assert await fleet.reply_to("m") == await fleet.reply_to("a") == "You said: unclear"
        await fleet.accept(Message("ana", "unclear 2", "n"))
        await fleet.reply_to("n")
        await fleet.accept(Message("ana", "none", "b"))
        assert await fleet.reply_to("b") == ""


async def test_quotas_count_the_agent_that_the_user_chose(tmp_path):
    app = two_desks()
    app.agents["helper"].quota = "1/h"
    async with open_fleet(tmp_path / "home", app, models=scripted(route), ask_below=0.7) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear")
        await say(fleet, "a", "2")
        refused = decided(fleet)["m"]
        assert (refused.by, refused.outcome, refused.gate, refused.asked) == ("policy", "error", "quota", "answered")
        assert decided(fleet)["a"].outcome == "answer"


async def test_a_burst_is_asked_about_and_settled_as_one(tmp_path):
    home = tmp_path / "home"
    async with open_desks(home) as fleet:
        await two_threads(fleet)
    async with open_desks(home, burst_window_s=0.3) as fleet:
        await asyncio.gather(*(fleet.accept(Message("ana", text, text)) for text in ("unclear", "or not", "yes")))
        await fleet.idle()
        (asked,) = questions(fleet)
        assert (asked.event.message_id, asked.event.covers) == ("unclear", ("or not", "yes"))
        assert asked.event.text.startswith('I am not sure what "unclear or not yes" is about.')
    async with open_desks(home, burst_window_s=0.3) as fleet:
        await fleet.idle()
        assert "unclear" not in decided(fleet)
        await say(fleet, "a", "2")
        found = [decided(fleet)[each] for each in ("unclear", "or not", "yes", "a")]
        assert [(each.by, each.agent) for each in found] == [
            ("user", "helper"), ("joined", "helper"), ("joined", "helper"), ("user", ""),
        ]  # fmt: skip
        assert decided(fleet)["a"].answer_to == "unclear"
        assert len(questions(fleet)) == 1
        check_exactly_once(events_of(fleet))
        assert fleet.ledger.verify().ok
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_what_was_said_before_the_question_is_no_answer_to_it(tmp_path):
    thinks, goes_on = asyncio.Event(), asyncio.Event()

    async def router(request):
        if "unclear" in str(request.messages):
            thinks.set()
            await goes_on.wait()
        return route(request)

    async with open_desks(tmp_path / "home", router=router) as fleet:
        await two_threads(fleet)
        await fleet.accept(Message("ana", "unclear", "m"))
        await thinks.wait()
        await fleet.accept(Message("ana", "2", "n"))
        goes_on.set()
        await fleet.idle()
        assert (decided(fleet)["m"].asked, decided(fleet)["n"].outcome) == ("lapsed", "dispatch_to")


async def test_the_question_is_put_in_the_users_language(tmp_path):
    german = {
        "which_one": "Wozu gehört {message}?", "something_new": "Etwas Neues bei {agent}",
        "none_for_a_person": "Nichts davon: ein Mensch sieht nach", "answer_with": "Bitte eine Zahl.",
    }  # fmt: skip
    app = two_desks(words={"de": german})
    async with open_fleet(tmp_path / "home", app, models=scripted(route), ask_below=0.7) as fleet:
        await two_threads(fleet)
        await say(fleet, "m", "unclear", language="de-AT")
        (asked,) = questions(fleet)
        assert asked.event.text.splitlines() == [
            'Wozu gehört "unclear"?', '1. "also an invoice" (billing)', '2. "my shift" (helper)',
            "3. Etwas Neues bei billing: Explains what was paid", "4. Etwas Neues bei helper: Moves shifts",
            "0. Nichts davon: ein Mensch sieht nach", "Bitte eine Zahl.",
        ]  # fmt: skip

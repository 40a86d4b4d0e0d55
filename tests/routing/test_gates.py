"""Gates at work: the four actions, sync and async, a thread for each key, a chain, failures, no model at all."""

from __future__ import annotations

import asyncio

import pytest
from support.facts import decider, facts, small_app, thread
from support.fleets import Outgoing, decisions, digests, go_on, helper_app, open_fleet, scripted, start

from fleet import App, DialogAgent, DispatchAction, Dispatcher, DispatchResult, Message
from fleet.audit.explain import explain
from fleet.errors import ConfigError
from fleet.llm.scripted import ScriptedModel
from fleet.routing.gates import by_session

ROUTE, CREATE, DROP = DispatchAction.ROUTE, DispatchAction.CREATE_AGENT, DispatchAction.DROP


def no_model(request):
    raise AssertionError("a model was asked to route")


async def sent(tmp_path, app, *messages, router=no_model, **settings):
    """The decisions about these messages, one after another, and what `fleet why` says of the last."""
    async with open_fleet(tmp_path / "home", app, models=scripted(router), **settings) as fleet:
        for message in messages:
            await fleet.accept(message)
            await fleet.idle()
        found = decisions(fleet)
        last = list(fleet.ledger.read(types=("message.decided",)))[-1].event.message_id
        said = explain(fleet.ledger, last)
    live, again = digests(tmp_path / "home", tmp_path / "again")
    assert live == again
    return found, said


def threads(found):
    return [each.thread_id for each in found]


async def test_every_message_to_one_instance(tmp_path):
    app = helper_app(gate=Dispatcher(lambda msg: DispatchResult(key="shared", action=ROUTE)))
    found, said = await sent(tmp_path, app, Message("ana", "one"), Message("ana", "two"), Message("bo", "three"))
    assert [each.outcome for each in found] == ["start_new_thread", "dispatch_to", "start_new_thread"]
    assert found[0].thread_id == found[1].thread_id != found[2].thread_id, "a conversation is never shared by users"
    assert said.where.endswith("in en; the application's gate decided.")


async def test_an_instance_for_each_session(tmp_path):
    app = helper_app(gate=Dispatcher(lambda msg: DispatchResult(key=msg.session_id, action=ROUTE), name="sessions"))
    messages = [Message("ana", f"hi {n}", session_id=f"s-{n % 2}") for n in range(4)]
    found, said = await sent(tmp_path, app, *messages)
    first, second = threads(found)[:2]
    assert threads(found) == [first, second, first, second]
    assert first != second
    assert (found[0].name, found[0].gate, found[0].by) == ("s-0", "sessions", "gate")
    assert said.where.endswith("the gate sessions decided.")


async def test_what_a_filter_does_not_match_is_dropped(tmp_path):
    def route_or_drop(msg):
        if msg.session_id.startswith("vip-"):
            return DispatchResult(key=msg.session_id, action=ROUTE)
        return DispatchResult(key="", action=DROP)

    out = Outgoing()
    app = helper_app(out, gate=Dispatcher(route_or_drop))
    found, said = await sent(
        tmp_path, app, Message("ana", "hi", session_id="vip-1"), Message("ana", "hi", session_id="x")
    )
    assert [each.outcome for each in found] == ["start_new_thread", "drop"]
    assert said.where == "Nowhere: the gate route_or_drop decided, which dropped it."
    assert out.sent == [("ana", "You said: hi")]


async def test_an_async_gate_may_look_something_up(tmp_path):
    active = {"s-1": "user-1"}

    async def lookup(msg):
        await asyncio.sleep(0.01)
        user = active.get(msg.session_id)
        return DispatchResult(key=user, action=ROUTE) if user else DispatchResult(key="", action=DROP)

    app = helper_app(gate=Dispatcher(lookup))
    found, _ = await sent(tmp_path, app, Message("ana", "hi", session_id="s-1"), Message("ana", "hi", session_id="s-2"))
    assert [(each.outcome, each.gate) for each in found] == [("start_new_thread", "lookup"), ("drop", "lookup")]
    assert found[0].latency_us["gate"] >= 10_000


async def test_create_agent_is_always_a_new_one(tmp_path):
    app = helper_app(gate=lambda msg: DispatchResult(key="k", action=CREATE))
    found, _ = await sent(tmp_path, app, Message("ana", "one"), Message("ana", "two"))
    assert [each.outcome for each in found] == ["start_new_thread"] * 2
    assert len(set(threads(found))) == 2


async def test_without_a_gate_the_session_is_the_key_and_the_rest_is_the_models(tmp_path):
    found, said = await sent(
        tmp_path, helper_app(),
        Message("ana", "hi", session_id="s-1"), Message("ana", "no session"), Message("ana", "again", session_id="s-1"),
        router=lambda request: start(),
    )  # fmt: skip
    assert [(each.by, each.outcome) for each in found] == [
        ("gate", "start_new_thread"), ("model", "start_new_thread"), ("gate", "dispatch_to"),
    ]  # fmt: skip
    assert found[0].thread_id == found[2].thread_id != found[1].thread_id
    assert said.where.endswith("; the session that it belongs to decided.")
    assert found[2].gate_reason == "session s-1"


async def test_with_several_specialists_a_model_picks_who_a_session_begins_with(tmp_path):
    app = App(name="two", agents=[DialogAgent(role="helper"), DialogAgent(role="billing")])
    messages = [Message("ana", "my invoice", session_id="s-1"), Message("ana", "and the other", session_id="s-1")]
    found, _ = await sent(tmp_path, app, *messages, router=lambda request: start("billing"))
    assert [(each.by, each.agent) for each in found] == [("model", "billing"), ("gate", "billing")]
    assert len(set(threads(found))) == 1


async def test_an_empty_list_of_gates_leaves_every_message_to_the_router(tmp_path):
    found, _ = await sent(
        tmp_path, helper_app(gate=[]), Message("ana", "hi", session_id="s"), router=lambda request: start()
    )
    assert found[0].by == "model"


async def test_a_chain_is_asked_in_order_until_one_does_not_pass(tmp_path):
    asked = []

    def gate(name, said):
        def ask(message):
            asked.append((name, message.text))
            return said(message)

        return Dispatcher(ask, name=name)

    app = helper_app(gate=[
        gate("spam", lambda m: DispatchResult("", DROP, reason="spam") if "WIN" in m.text.raw else None),
        gate("vip", lambda m: DispatchResult("vip", ROUTE) if m.channel == "vip" else None),
        by_session,
    ])  # fmt: skip
    found, _ = await sent(
        tmp_path, app,
        Message("ana", "WIN now"), Message("ana", "hi", channel="vip"), Message("ana", "yes", session_id="s"),
        Message("ana", "else"), router=lambda request: start(),
    )  # fmt: skip
    assert [(each.by, each.gate, each.outcome) for each in found] == [
        ("gate", "spam", "drop"), ("gate", "vip", "start_new_thread"), ("gate", "by_session", "start_new_thread"),
        ("model", "", "start_new_thread"),
    ]  # fmt: skip
    assert [name for name, _ in asked] == ["spam", "spam", "vip", "spam", "vip", "spam", "vip"]


async def fails(message):
    raise LookupError("no such contract\x00\ud800")


async def dawdles(message):
    await asyncio.Event().wait()


def exits(message):
    raise SystemExit(3)


async def is_cancelled(message):
    task = asyncio.create_task(asyncio.sleep(9))
    task.cancel()
    await task


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (fails, "LookupError: no such contract"),
        (dawdles, "TimeoutError: the gate dawdles said nothing within 0.05 s"),
        (exits, "SystemExit: 3"),
        (is_cancelled, "CancelledError"),
        (lambda m: DispatchResult("", DispatchAction.ERROR, reason="half \ud800"), "half ?"),
    ],
)
async def test_a_gate_that_fails_is_an_error_on_record_with_its_traceback(tmp_path, gate, words):
    found, said = await sent(tmp_path, helper_app(gate=gate), Message("ana", "hi"), gate_timeout_s=0.05)
    assert (found[0].by, found[0].outcome) == ("gate", "error")
    assert words in found[0].gate_reason
    assert ("Traceback" in found[0].gate_reason) == ("half" not in words)
    assert said.state == "error"


async def test_by_setting_a_gates_failure_passes_the_message_on_and_stays_on_record(tmp_path):
    app = helper_app(gate=[fails, lambda m: DispatchResult("k", ROUTE, reason="by hand") if "hand" in m.text else None])
    found, said = await sent(
        tmp_path, app, Message("ana", "by hand"), Message("ana", "hi"),
        router=lambda request: start(), gate_failures="pass",
    )  # fmt: skip
    assert [(each.by, each.outcome) for each in found] == [("gate", "start_new_thread"), ("model", "start_new_thread")]
    assert found[0].gate_reason.startswith("by hand\nTraceback")
    assert (found[1].gate, "LookupError" in found[1].gate_reason) == ("fails", True)
    assert said.where.endswith("the model test:router decided.")


async def test_a_fleet_on_gates_alone_asks_no_model_to_route(tmp_path):
    def gate(message):
        return DispatchResult("k", ROUTE) if "gate" in message.text else None

    models = {"test:worker": ScriptedModel(lambda request: "Done.", name="test:worker")}
    settings = {"router_model": "none", "fallback_model": "test:nobody"}
    async with open_fleet(tmp_path / "home", helper_app(gate=gate), models=models, **settings) as fleet:
        assert fleet.models.names["router"] == fleet.models.names["fallback"] == "none"
        await fleet.accept(Message("ana", "gate it"))
        await fleet.accept(Message("ana", "what now"))
        await fleet.idle()
        first, second = decisions(fleet)
    assert (first.by, first.outcome) == ("gate", "start_new_thread")
    assert (second.by, second.outcome, second.fallback) == ("fallback", "human", "human")
    assert second.fallback_reason == "nothing settled it before a model, and this fleet has no routing model"
    app = helper_app(gate=gate, default_agent="helper")
    async with open_fleet(tmp_path / "home", app, models=models, **settings) as fleet:
        sent = await fleet.accept(Message("ana", "what now"))
        assert await fleet.reply_to(sent.message_id) == "Done."
        assert (decisions(fleet)[-1].fallback, decisions(fleet)[-1].agent) == ("agent", "helper")


async def test_a_key_whose_agent_is_retired_begins_anew(tmp_path):
    def app(*roles):
        return App(
            name="two", agents=[DialogAgent(role=role) for role in roles], gate=lambda m: DispatchResult("k", ROUTE)
        )

    for roles in (("first", "second"), ("second",), ("second",)):
        await sent(tmp_path, app(*roles), Message("ana", "hi"))
    found, _ = await sent(tmp_path, app("first", "second"), Message("ana", "hi"))
    assert [(each.agent, each.outcome) for each in found] == [
        ("first", "start_new_thread"), ("second", "start_new_thread"), ("second", "dispatch_to"),
        ("first", "dispatch_to"),
    ]  # fmt: skip


async def test_a_key_is_the_sender_s_own_and_the_agents_locale_is_the_threads():
    app = small_app(gate=lambda m: DispatchResult(m.sender.id, ROUTE, agent="billing"), locale="de")
    asked = decider(app, [])
    ana, bo = [(await asked.decide(facts(app, user=user))) for user in ("ana", "bo")]
    assert ana.thread_key != bo.thread_key
    assert (ana.decision.name, ana.decision.language) == ("ana", "de")


async def test_a_gates_key_finds_a_thread_however_old():
    app = small_app(gate=lambda m: DispatchResult("k", ROUTE))
    asked = decider(app, [go_on()])
    key = (await asked.decide(facts(app))).thread_key
    known = thread(7, id=f"thr_{key}", agent="billing")
    from dataclasses import replace

    given = replace(facts(app), thread=lambda thread_id: known if thread_id == known.id else None)
    decision = (await asked.decide(given)).decision
    assert (decision.outcome, decision.thread_id, decision.agent, decision.name) == (
        "dispatch_to", known.id, "billing", "Topic 7",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: Dispatcher("gate"), "a gate is a function of one message, not str"),
        (lambda: Dispatcher(len, timeout_s=0), "a gate's timeout_s must be above 0, not 0"),
        (lambda: decider(small_app(gate=7), []), "gate is a function, a Dispatcher or a list of them, not int"),
        (lambda: decider(small_app(gate=["x"]), []), "a gate is a function of one message, not str"),
        (lambda: decider(small_app(), [], gate_failures="maybe"), "FLEET_GATE_FAILURES must be stop or pass"),
        (lambda: helper_app(dispatcher=Dispatcher(len)), "dispatcher is a MessageDispatcher, not Dispatcher; what"),
    ],
)
def test_what_is_no_gate_is_refused_in_one_line(build, why):
    with pytest.raises(ConfigError) as refused:
        build()
    assert why in refused.value.message
    assert "\n" not in refused.value.message

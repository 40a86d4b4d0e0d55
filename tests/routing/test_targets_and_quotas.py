"""Policy: allowed roles limit what is printed and what may be named by whom; quotas of users and agents."""

from __future__ import annotations

import pytest
from support.fleets import decisions, go_on, open_fleet, scripted, start, transcript

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Message
from fleet.audit.explain import explain
from fleet.errors import ConfigError
from fleet.routing.quotas import Quota


def two(**options):
    return App(name="two", agents=[DialogAgent(role="helper"), DialogAgent(role="billing")], **options)


async def run(tmp_path, app, *messages, router=lambda request: start()):
    shown = []

    def route(request):
        shown.append(transcript(request))
        return router(request)

    models = scripted(route, fallback=lambda request: start())
    async with open_fleet(tmp_path / "home", app, models=models) as fleet:
        for message in messages:
            await fleet.accept(message)
            await fleet.idle()
        return decisions(fleet), shown, explain(fleet.ledger, messages[-1].id) if messages[-1].id else None


async def test_allowed_targets_limit_what_is_printed_and_what_may_be_started(tmp_path):
    app = two(allowed_targets=lambda message: ["billing"] if message.channel == "shop" else None, gate=[])
    found, shown, _ = await run(
        tmp_path, app, Message("ana", "one"), Message("ana", "two", channel="shop"),
        router=lambda request: go_on() if "threads[0]:" in transcript(request) else start("billing"),
    )  # fmt: skip
    assert (found[0].agents, found[0].agent) == (("helper", "billing"), "billing")
    assert (found[1].agents, found[1].outcome) == (("billing",), "dispatch_to")
    assert "- helper" not in shown[1]


async def test_a_router_that_names_a_role_that_is_not_allowed_is_refused(tmp_path):
    found, _, _ = await run(tmp_path, two(), Message("ana", "hi", roles=("billing",)))
    assert [each.verdict for each in found[0].attempts] == ["unknown_agent"] * 4
    assert found[0].outcome == "human"


async def test_threads_of_roles_that_are_not_allowed_are_not_offered(tmp_path):
    found, shown, _ = await run(
        tmp_path, two(), Message("ana", "hi"), Message("ana", "hi", roles=("billing",)),
        router=lambda request: start("billing" if "- helper" not in transcript(request) else "helper"),
    )  # fmt: skip
    assert [each.agent for each in found] == ["helper", "billing"]
    assert "threads[0]" not in shown[1]


async def test_gates_and_dispatches_are_held_to_it_too(tmp_path):
    gate = lambda m: DispatchResult("k", DispatchAction.ROUTE, agent="helper") if m.channel else None  # noqa: E731
    app = two(gate=gate, allowed_targets=lambda m: ["billing"] if "shop" in m.text else None)
    async with open_fleet(tmp_path / "home", app) as fleet:
        await fleet.accept(Message("ana", "hi", channel="c"))
        await fleet.idle()
        await fleet.accept(Message("ana", "shop", channel="c"))
        refused = await fleet.dispatch("helper", user="ana", text="shop", mode="sync")
        taken = await fleet.dispatch("billing", user="ana", text="shop", mode="sync")
        await fleet.idle()
        assert (refused.state, refused.reason) == ("error", "the message may not go to 'helper'")
        assert taken.state == "success"
        by_gate = decisions(fleet)[1]
        assert (by_gate.by, by_gate.outcome, by_gate.gate_reason) == (
            "gate", "error", "the message may not go to 'helper'",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (lambda message: [], "no agent may be given this message"),
        (lambda message: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda message: 7, "TypeError: 'int' object is not iterable"),
    ],
)
async def test_without_an_allowed_role_nobody_gets_the_message(tmp_path, targets, words):
    found, shown, said = await run(tmp_path, two(allowed_targets=targets), Message("ana", "hi", id="m-1"))
    assert (found[0].by, found[0].outcome, found[0].gate) == ("policy", "error", "allowed_targets")
    assert words in found[0].gate_reason
    assert shown == []
    assert said.where == "Nowhere: policy (allowed_targets) refused it, as an error."


async def test_a_user_over_the_quota_is_refused_and_others_are_not(tmp_path):
    found, shown, said = await run(
        tmp_path, two(user_quota="2/h"), *(Message("ana", f"hi {n}") for n in range(3)), Message("bo", "hi"),
        Message("ana", "again", id="m-1"),
    )  # fmt: skip
    assert [each.by for each in found] == ["model", "model", "policy", "model", "policy"]
    assert found[2].gate_reason == "the user has had 2/h, which is their quota"
    assert len(shown) == 3
    assert said.where == "Nowhere: policy (user_quota) refused it, as an error."


async def test_an_agent_over_its_quota_is_refused_with_what_was_answered(tmp_path):
    app = App(name="one", agents=[DialogAgent(role="helper", quota="1/day"), DialogAgent(role="billing")])
    found, _, _ = await run(tmp_path, app, Message("ana", "hi"), Message("bo", "hi", id="m-1"))
    assert [each.by for each in found] == ["model", "policy"]
    assert (found[1].gate, found[1].gate_reason) == ("quota", "helper has had 1/day, which is its quota")
    assert (found[1].attempts[0].verdict, found[1].thread_id) == ("ok", "")


def test_a_quota_is_so_many_in_any_stretch_of_that_length():
    quota = Quota("2/min", "x")
    assert [quota.take("a", at) for at in (0, 1, 59, 60, 61.5, 62)] == [True, True, False, True, True, False]
    assert quota.take("b", 62)
    for number in range(10_100):
        quota.take(f"user-{number}", 1000 + number)
    assert len(quota._taken) <= 10_001


@pytest.mark.parametrize("spelled", ["20", "0/min", "20/week", "-1/s", "20 / min / x"])
def test_what_is_no_quota_is_refused(spelled):
    with pytest.raises(ConfigError, match="agent a: a quota is written 20/min"):
        Quota(spelled, "agent a")


async def test_quotas_count_on_after_a_restart(tmp_path):
    home = tmp_path / "home"
    agents = [DialogAgent(role="helper", quota="3/h"), DialogAgent(role="billing", quota="1/s")]

    def app():
        return App(name="two", agents=agents, user_quota="2/day", gate=[])

    models = scripted(lambda request: start(), fallback=lambda request: start())

    async def say(*messages):
        async with open_fleet(home, app(), models=models) as fleet:
            for user, message_id in messages:
                await fleet.accept(Message(user, "hi", message_id))
                await fleet.idle()
            return [(each.by, each.gate) for each in decisions(fleet)[-len(messages) :]]

    async with open_fleet(home, app(), models=models) as fleet:
        await fleet.dispatch("helper", user="ana", text="no word of hers", id="d", mode="sync")
    assert await say(("ana", "a-1")) == [("model", "")]
    assert await say(("ana", "a-2"), ("ana", "a-3")) == [("model", ""), ("policy", "user_quota")]
    assert await say(("ana", "a-4"), ("bo", "b-1")) == [("policy", "user_quota"), ("policy", "quota")], "3 of helper's"
    assert await say(("bo", "b-2"), ("bo", "b-3")) == [("policy", "quota"), ("policy", "user_quota")]


def test_what_is_past_its_stretch_or_more_than_its_number_is_not_counted_on():
    quota = Quota("2/min", "x")
    quota.past = lambda key: [61.0, 30.0] if key == "a" else []
    assert [quota.take("a", at) for at in (1000, 1001, 1031)] == [True, False, True]
    assert [quota.take("b", at) for at in (1000, 1001, 1002)] == [True, True, False]

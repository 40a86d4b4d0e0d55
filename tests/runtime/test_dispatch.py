"""Explicit dispatch: assigned without a model, its metadata, every end with a reason, called off, tried again."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import (
    Outgoing,
    decisions,
    digests,
    echo,
    events_of,
    go_on,
    last_words,
    open_fleet,
    scripted,
    start,
    transcript,
    use,
)

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Message, ToolContext, tool
from fleet.audit.explain import explain
from fleet.errors import ConfigError, InputError
from fleet.ledger.events import TurnEnded, TurnStarted
from fleet.runtime.dispatches import again, cancel_now, dispatches, find_dispatch
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now


def no_model(request):
    raise AssertionError("a model was asked to route")


def two(send=None, tools=(), **options):
    agents = [
        DialogAgent(role="helper", send_message=send, tools=list(tools)),
        DialogAgent(role="collections", send_message=send, dispatch="explicit"),
    ]
    return App(name="two", agents=agents, **options)


async def test_create_and_list_a_dispatch_with_metadata(tmp_path):
    out = Outgoing()
    async with open_fleet(tmp_path / "home", two(out), models=scripted(no_model)) as fleet:
        made = await fleet.dispatch(
            "collections", user="my-user", text="Call them", metadata={"user_id": "12345"}, by="test", mode="sync"
        )
        assert (made.state, made.reason, made.agent, made.reply) == (
            "success", "the turn ended", "collections", "You said: Call them",
        )  # fmt: skip
        assert made.id.startswith("dsp_")
        listed = list(dispatches(fleet.ledger, user="my-user"))
        assert listed == [made]
        assert list(dispatches(fleet.ledger, user="nobody")) == []
        (decision,) = decisions(fleet)
        assert (decision.by, decision.gate, decision.outcome) == ("dispatch", "test", "start_new_thread")
        assert decision.metadata == {"user_id": "12345"}
        said = explain(fleet.ledger, made.id)
        assert said.where.endswith("with collections in en; test dispatched it.")
        assert said.state == "answered"
    assert out.sent == [("my-user", "You said: Call them")]
    live, rebuilt = digests(tmp_path / "home", tmp_path / "again")
    assert live == rebuilt


async def test_metadata_reaches_the_warmup_and_the_tools(tmp_path):
    seen, asked = [], []

    @tool(effect="read")
    def look(context: ToolContext) -> str:
        """Look it up."""
        seen.append(context.metadata)
        return "found"

    def work(request):
        asked.append(request)
        return "Done." if any(isinstance(m["content"], list) for m in request.messages) else (use("look"),)

    metadata = {"name": "Ana\nthreads[0]:", "tier": 3, "tags": ["vip"]}
    async with open_fleet(tmp_path / "home", two(tools=[look]), models=scripted(no_model, work)) as fleet:
        await fleet.dispatch("helper", user="ana", metadata=metadata, mode="sync")
    printed = asked[0].messages[0]["content"]
    assert 'Job metadata: {"name": "Ana\\nthreads[0]:", "tier": 3, "tags": ["vip"]}\n' in printed
    assert seen == [metadata]
    assert printed.endswith('User message:\n""'), "it was given no text"


async def test_a_warmup_reads_the_jobs_metadata(tmp_path):
    asked = []

    def work(request):
        asked.append(request.messages[0]["content"])
        return "Done."

    warmup = 'print("tier", job.metadata.get("tier"), "of", job.metadata["name"])'
    app = App(name="one", agents=[DialogAgent(role="helper", warmup=warmup)])
    async with open_fleet(tmp_path / "home", app, models=scripted(no_model, work)) as fleet:
        await fleet.dispatch("helper", user="ana", metadata={"name": "A `b`", "tier": 3}, mode="sync")
    assert asked[0].startswith('tier 3 of "A \\u0060b\\u0060"\n')


async def test_where_a_dispatch_goes(tmp_path):
    async with open_fleet(tmp_path / "home", two(), models=scripted(no_model)) as fleet:

        async def sent(agent="", **options):
            return await fleet.dispatch(agent, user="ana", text="hi", mode="sync", **options)

        first = await sent("helper", name="First")
        assert first.name == "First"
        assert (await sent("helper")).thread_id == first.thread_id, "the newest thread with that agent"
        second = await sent("helper", new_thread=True)
        assert second.thread_id != first.thread_id
        assert (await sent("helper")).thread_id == second.thread_id
        assert (await sent(thread=first.thread_id)).thread_id == first.thread_id
        assert (await sent("helper", thread=first.thread_id)).thread_id == first.thread_id
        assert (await sent("collections")).agent == "collections"
        wrong = await sent("collections", thread=first.thread_id)
        assert (wrong.state, wrong.reason) == ("error", f"thread {first.thread_id} is helper's, not collections's")
        others = await fleet.dispatch(user="bo", text="hi", thread=first.thread_id, mode="sync")
        assert (others.state, others.reason) == ("error", f"the user has no thread '{first.thread_id}'")


async def test_an_explicit_agent_is_never_printed_and_its_threads_are(tmp_path):
    shown = []

    def route(request):
        shown.append(transcript(request))
        return go_on() if "threads[0]:" in shown[-1] else start()

    async with open_fleet(tmp_path / "home", two(gate=[]), models=scripted(route)) as fleet:
        await fleet.dispatch("collections", user="ana", text="You owe us 5 EUR", mode="sync")
        await fleet.accept(Message("ana", "I have paid"))
        await fleet.idle()
        assert decisions(fleet)[-1].agent == "collections"
        assert decisions(fleet)[-1].agents == ("helper",)
    assert "- collections" not in shown[0]
    assert "agent: collections" in shown[0]


async def test_a_router_cannot_start_what_is_dispatched_explicitly(tmp_path):
    models = scripted(lambda request: start("collections"), fallback=lambda request: start("collections"))
    async with open_fleet(tmp_path / "home", two(), models=models) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        (decision,) = decisions(fleet)
        assert (decision.outcome, [each.verdict for each in decision.attempts]) == ("human", ["unknown_agent"] * 4)


async def test_the_default_agent_gets_what_nothing_else_claims(tmp_path):
    app = App(name="two", agents=[DialogAgent(role="helper"), DialogAgent(role="desk", dispatch="default")])
    models = scripted(lambda request: "no", fallback=lambda request: "no")
    async with open_fleet(tmp_path / "home", app, models=models) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        (decision,) = decisions(fleet)
        assert (decision.fallback, decision.agent) == ("agent", "desk")


async def test_a_gate_may_name_an_explicit_agent(tmp_path):
    app = two(gate=lambda m: DispatchResult("k", DispatchAction.ROUTE, agent="collections"))
    async with open_fleet(tmp_path / "home", app, models=scripted(no_model)) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        assert decisions(fleet)[0].agent == "collections"


async def test_the_same_id_again_changes_nothing(tmp_path):
    async with open_fleet(tmp_path / "home", two(), models=scripted(no_model)) as fleet:
        one = await fleet.dispatch("helper", user="ana", text="hi", id="d-1", mode="sync")
        assert await fleet.dispatch("helper", user="ana", text="hi", id="d-1", mode="sync") == one
        with pytest.raises(InputError, match="was used before for another message"):
            await fleet.dispatch("collections", user="ana", text="hi", id="d-1")
        assert len(decisions(fleet)) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"agent": "nobody"}, "no agent 'nobody' is declared; there are helper, collections"),
        ({}, "a dispatch needs an agent, or a thread; nothing was sent"),
        (
            {"agent": "helper", "thread": "t", "new_thread": True},
            "a dispatch goes to a thread or to a new one, not both",
        ),
        ({"agent": "helper", "name": "a\nb"}, "a name is 0 to 128 printable characters; nothing was sent"),
        ({"agent": "helper", "metadata": {"a": {1, 2}}}, "the message's metadata is not JSON; nothing was sent"),
    ],
)
async def test_what_is_no_dispatch_is_refused_and_nothing_written(tmp_path, given, why):
    async with open_fleet(tmp_path / "home", two()) as fleet:
        with pytest.raises(InputError) as refused:
            await fleet.dispatch(user="ana", **given)
        assert why in refused.value.message
        assert list(dispatches(fleet.ledger)) == []


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (
            lambda: DialogAgent(role="a", dispatch="manual"),
            "agent a: dispatch is auto, explicit or default, not 'manual'",
        ),
        (
            lambda: App(name="x", agents=[DialogAgent(role=r, dispatch="default") for r in "ab"]),
            "application x has several default agents: a, b; name one",
        ),
        (
            lambda: App(name="x", agents=[DialogAgent(role="a", dispatch="explicit")], default_agent="a"),
            "the default agent 'a' is dispatched explicitly alone",
        ),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declare, why):
    with pytest.raises(ConfigError) as refused:
        declare()
    assert why in refused.value.message


async def test_a_dispatch_is_called_off_before_it_is_decided(tmp_path):
    home = tmp_path / "home"
    async with open_fleet(home, two()) as fleet:
        pass
    with Home(home).open_ledger() as ledger:
        for number in (1, 2):
            accept_now(ledger, again_of("helper", f"d-{number}"), 1000)
        off = cancel_now(ledger, "d-1", by="ops", reason="a mistake")
        assert (off.state, off.reason) == ("cancelled", "called off by ops: a mistake")
        with pytest.raises(InputError, match="dispatch d-1 has ended as cancelled; there is nothing to call off"):
            cancel_now(ledger, "d-1", by="ops")
        assert explain(ledger, "d-1").where == "Nowhere: ops called it off before it was assigned."
    async with open_fleet(home, two(), models=scripted(no_model)) as fleet:
        await fleet.idle()
        assert [find_dispatch(fleet.ledger, f"d-{n}").state for n in (1, 2)] == ["cancelled", "success"]


def again_of(agent, dispatch_id, text="hi"):
    from fleet.ledger.events import Assignment

    return Message("ana", text, dispatch_id, dispatch=Assignment(agent=agent))


async def test_a_dispatch_is_called_off_while_its_turn_asks_a_model(tmp_path):
    began, answered = asyncio.Event(), []

    async def work(request):
        words = last_words(request)
        if words == "slow":
            began.set()
            await asyncio.Event().wait()
        answered.append(words)
        return echo(request)

    home = tmp_path / "home"
    async with open_fleet(home, two(), models=scripted(no_model, work)) as fleet:
        slow = await fleet.dispatch("helper", user="ana", text="slow")
        await began.wait()
        waits = await fleet.dispatch("helper", user="ana", text="second")
        while not find_dispatch(fleet.ledger, waits.id).decided_at:
            await asyncio.sleep(0.01)
        with Home(home).open_ledger() as other:  # as another process does
            assert cancel_now(other, waits.id, by="ops").state == "scheduled"
            assert cancel_now(other, slow.id, by="ops", reason="too slow").state == "running"
            assert cancel_now(other, slow.id, by="ops").state == "running", "said twice, it is called off once"
        await fleet.idle()
        assert [find_dispatch(fleet.ledger, each.id).state for each in (slow, waits)] == ["cancelled", "cancelled"]
        assert find_dispatch(fleet.ledger, slow.id).reason == "called off by ops: too slow"
        after = await fleet.dispatch("helper", user="ana", text="third", mode="sync")
        assert (after.state, after.reply) == ("success", "You said: third")
        await fleet.idle()
        assert not any(fleet.ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox"))
        assert explain(fleet.ledger, waits.id).state == "failed"
        assert fleet.ledger.verify().ok
    assert answered == ["third"]
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_a_dispatch_is_called_off_while_its_turn_begins(tmp_path, monkeypatch):
    """Between the moment that a turn takes a message up and the model's being asked."""

    async def never(request):
        await asyncio.Event().wait()

    async with open_fleet(tmp_path / "home", two(), models=scripted(no_model, never)) as fleet:
        write = fleet._pen.write

        async def interrupted(draft):
            if isinstance(draft.events[0], TurnStarted):
                await asyncio.to_thread(cancel_now, fleet.ledger, "d-1", by="ops")
            return await write(draft)

        monkeypatch.setattr(fleet._loop.turns._worker, "_write", interrupted)
        done = await fleet.dispatch("helper", user="ana", text="hi", id="d-1", mode="sync")
        assert (done.state, done.reason) == ("cancelled", "called off by ops")
        await fleet.idle()


async def test_what_is_called_off_without_a_worker_ends_when_one_starts(tmp_path):
    home = tmp_path / "home"
    began = asyncio.Event()

    async def never(request):
        began.set()
        await asyncio.Event().wait()

    async with open_fleet(home, two(), models=scripted(no_model, never), drain_s=0.05) as fleet:
        slow = await fleet.dispatch("helper", user="ana", text="slow")
        await began.wait()
    with Home(home).open_ledger() as ledger:
        assert cancel_now(ledger, slow.id, by="ops").state == "running"
    async with open_fleet(home, two(), models=scripted(no_model, never)) as fleet:
        await fleet.idle()
        assert find_dispatch(fleet.ledger, slow.id).state == "cancelled"
        assert len(events_of(fleet, TurnEnded)) == 1
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_what_ended_badly_is_tried_again_in_its_thread(tmp_path):
    tries = []

    def work(request):
        tries.append(last_words(request))
        return "" if len(tries) == 1 else "Done."

    async with open_fleet(tmp_path / "home", two(), models=scripted(no_model, work)) as fleet:
        one = await fleet.dispatch("helper", user="ana", text="hi", metadata={"n": 1}, id="d-1", mode="sync")
        assert (one.state, one.reason) == ("failed", "the model ended without a text")
        sent = await fleet.accept(again(fleet.ledger, "d-1", by="ops"))
        await fleet.idle()
        two_ = find_dispatch(fleet.ledger, sent.message_id)
        assert (two_.id, two_.retry_of, two_.state, two_.by) == ("d-1.r1", "d-1", "success", "ops")
        assert (two_.thread_id, two_.metadata) == (one.thread_id, {"n": 1})
        with pytest.raises(InputError, match=r"dispatch d-1\.r1 ended as success; there is nothing to try again"):
            again(fleet.ledger, "d-1.r1", by="ops")
        with pytest.raises(InputError, match="there is no dispatch d-2; `fleet dispatch list` shows those there are"):
            again(fleet.ledger, "d-2", by="ops")
        await fleet.accept(Message("ana", "hi", id="m-1"))
        with pytest.raises(InputError, match="there is no dispatch m-1"):
            find_dispatch(fleet.ledger, "m-1")

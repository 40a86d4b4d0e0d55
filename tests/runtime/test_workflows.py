"""Workflows: agents one after the other, each one's result the next one's input; one record; no crash strands one."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import (
    Outgoing,
    check_exactly_once,
    decisions,
    digests,
    events_of,
    go_on,
    last_words,
    open_fleet,
    scripted,
    use,
)

from fleet import App, DialogAgent, Message, SupervisedAgent, tool
from fleet.audit.explain import explain
from fleet.errors import InputError
from fleet.ledger.events import DispatchRequested, TurnEnded
from fleet.runtime.approvals import confirmations, resolve_call, settle
from fleet.runtime.dispatches import again, cancel_now, dispatches, find_dispatch
from fleet.runtime.home import Home
from fleet.runtime.letters import retry_message
from fleet.runtime.steps import Steps
from fleet.runtime.takeover import reply, takeover

ROLES = ("draft", "check", "send")


class Line:
    """Three agents, each of which puts its name behind what it is given; `says` has other answers, by role."""

    def __init__(self, **says):
        self.out, self.says, self.asked = Outgoing(), says, []

    def app(self, roles=ROLES):
        agents = [DialogAgent(role=role, prompt=f"You are {role}.", send_message=self.out) for role in roles]
        return App(name="line", agents=agents, gate=[])

    async def work(self, request):
        who = request.system.split("You are ")[1].split(".")[0]
        self.asked.append((who, last_words(request)))
        said = self.says.get(who)
        if isinstance(said, list):
            said = said.pop(0) if said else None
        if callable(said):
            said = await said()
        return f"{last_words(request)}, {who}" if said is None else said

    def models(self):
        return scripted(lambda request: go_on(), self.work)


async def settled(fleet, dispatch_id):
    await fleet.idle()
    return find_dispatch(fleet.ledger, dispatch_id)


async def until_it_dies(home, line):
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        await fleet.run()


def standing(found):
    return [(each.agent, each.state) for each in found.steps]


def nothing_left(ledger):
    return not any(ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox", "steps"))


async def test_each_result_is_the_next_ones_input_and_the_last_is_the_reply(tmp_path):
    line, home = Line(), tmp_path / "home"
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        made = await fleet.dispatch(
            list(ROLES), user="ana", text="order 7", mode="workflow", metadata={"n": 7}, id="w-1", by="ops"
        )
        assert (made.id, made.workflow, made.ended) == ("w-1", ROLES, False)
        done = await settled(fleet, "w-1")
        assert (done.state, done.reason) == ("success", "step 3 of 3, send: the turn ended")
        assert (done.reply, done.agent) == ("order 7, draft, check, send", "send")
        assert standing(done) == [(role, "success") for role in ROLES]
        assert [each.id for each in done.steps] == ["w-1", "w-1.step2", "w-1.step3"]
        assert [each["id"] for each in done.as_dict()["steps"]] == ["w-1", "w-1.step2", "w-1.step3"]
        assert len({each.thread_id for each in done.steps}) == 3
        assert all(each.metadata == {"n": 7} for each in done.steps)
        assert list(dispatches(fleet.ledger)) == [done], "a workflow is one record"
        assert [each.by for each in decisions(fleet)] == ["dispatch"] * 3
        assert explain(fleet.ledger, "w-1").outcome.endswith("went on to the workflow's next step, w-1.step2.")
        assert explain(fleet.ledger, "w-1.step2").where.endswith("workflow w-1 dispatched it.")
        assert nothing_left(fleet.ledger)
        assert fleet.ledger.verify().ok
        check_exactly_once(events_of(fleet))
    assert line.asked == [("draft", "order 7"), ("check", "order 7, draft"), ("send", "order 7, draft, check")]
    assert line.out.sent == [("ana", "order 7, draft, check, send")], "only the last step's reply is the user's"
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_supervised_agents_hand_on_what_they_found(tmp_path):
    line = Line()
    found = []
    agents = [
        SupervisedAgent(role="look", prompt="You are look."),
        DialogAgent(role="tell", prompt="You are tell.", send_message=line.out),
    ]
    app = App(name="two", agents=agents, gate=[], on_result=lambda text: found.append(text))
    async with open_fleet(tmp_path / "home", app, models=line.models()) as fleet:
        await fleet.dispatch(["look", "tell"], user="ana", text="7", mode="workflow", id="w-1")
        assert (await settled(fleet, "w-1")).state == "success"
    assert line.out.sent == [("ana", "7, look, tell")]
    assert found == []


@pytest.mark.parametrize("left", ["to begin", "begun"])
async def test_a_crash_between_two_steps_neither_loses_nor_doubles_one(tmp_path, monkeypatch, left):
    line, home, begin = Line(), tmp_path / "home", Steps.begin

    async def crash(self, ended):
        if left == "begun":
            await begin(self, ended)
        raise OSError("the process dies here")

    with monkeypatch.context() as patched:
        patched.setattr(Steps, "begin", crash)
        with pytest.raises(OSError, match="dies here"):
            await until_it_dies(home, line)
    with Home(home).read_ledger() as ledger:
        assert [each.key for each in ledger.pending("steps")] == (["w-1.step2"] if left == "to begin" else [])
        stands = find_dispatch(ledger, "w-1")
        assert (len(stands.steps), stands.ended) == (1 if left == "to begin" else 2, False)
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        ended = next(each.event for each in events_of(fleet, TurnEnded))
        await fleet._loop.steps.begin(ended)  # told twice
        done = await settled(fleet, "w-1")
        assert (done.state, done.reply) == ("success", "7, draft, check, send")
        assert len(events_of(fleet, DispatchRequested)) == len(events_of(fleet, TurnEnded)) == 3
        assert nothing_left(fleet.ledger)
        assert fleet.ledger.verify().ok
    assert [who for who, _ in line.asked] == list(ROLES)
    assert line.out.sent == [("ana", "7, draft, check, send")]
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_a_step_that_asks_waits_for_the_users_answer(tmp_path):
    line = Line(check=["Which colour?"])
    home = tmp_path / "home"
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        asks = await settled(fleet, "w-1")
        assert (asks.state, asks.ended) == ("need_input", False)
        assert asks.reason == "step 2 of 3, check: the turn asks for an answer"
        assert line.out.sent == [("ana", "Which colour?")]
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        await fleet.dispatch(user="ana", thread=asks.thread_id, text="blue", id="m-1")
        done = await settled(fleet, "w-1")
        assert (done.state, done.reply) == ("success", "blue, check, send")
        assert standing(done) == [(role, "success") for role in ROLES]
        await fleet.dispatch(user="ana", thread=asks.thread_id, text="thanks", mode="sync")
        assert len((await settled(fleet, "w-1")).steps) == 3
        assert len(events_of(fleet, DispatchRequested)) == 5, "what is said later in a step's thread begins nothing"
    assert line.out.sent[1:] == [("ana", "blue, check, send"), ("ana", "thanks, check")]
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_what_a_person_says_in_a_step_is_its_result(tmp_path):
    line, home = Line(check=["Which colour?"]), tmp_path / "home"
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        asks = await settled(fleet, "w-1")
        takeover(fleet.ledger, asks.thread_id, by="pat")
        reply(fleet.ledger, asks.thread_id, "We take blue.", by="pat")
        while not (done := find_dispatch(fleet.ledger, "w-1")).ended:
            await asyncio.sleep(0.01)
        await fleet.idle()
        assert (done.state, done.reply) == ("success", "We take blue., send")
        assert nothing_left(fleet.ledger)
    assert sorted(text for _, text in line.out.sent) == ["We take blue.", "We take blue., send", "Which colour?"]
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_a_step_that_fails_ends_it_and_a_retry_goes_on_from_there(tmp_path):
    line = Line(check=[""])
    async with open_fleet(tmp_path / "home", line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        failed = await settled(fleet, "w-1")
        assert (failed.state, failed.ended) == ("failed", True)
        assert failed.reason == "step 2 of 3, check: the model ended without a text"
        assert len(line.out.sent) == 1, "the user is told that there will be no answer"
        await fleet.accept(again(fleet.ledger, "w-1", by="ops"))
        done = await settled(fleet, "w-1.r1")
        assert (done.state, done.reply, done.retry_of) == ("success", "7, draft, check, send", "w-1")
        assert standing(done) == [("check", "success"), ("send", "success")]
        with pytest.raises(InputError, match=r"w-1\.r1\.step2 is a step of the workflow w-1\.r1; name that one"):
            again(fleet.ledger, "w-1.r1.step2", by="ops")
        assert (await settled(fleet, "w-1")).state == "failed"
    assert [who for who, _ in line.asked] == ["draft", "check", "check", "send"]


async def test_a_dead_letter_that_is_put_back_goes_on_through_the_steps(tmp_path):
    line, tries = Line(), []

    async def work():
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("boom")
        return "checked"

    line.says["check"] = work
    async with open_fleet(tmp_path / "home", line.app(), models=line.models(), max_attempts=1) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        failed = await settled(fleet, "w-1")
        assert failed.state == "failed"
        retry_message(fleet.ledger, "w-1.step2", by="ops")
        while not (done := find_dispatch(fleet.ledger, "w-1")).ended:
            await asyncio.sleep(0.01)
        assert (done.state, done.reply) == ("success", "checked, send")


async def test_a_step_whose_agent_is_gone_ends_it_as_an_error(tmp_path, monkeypatch):
    line, home = Line(), tmp_path / "home"

    async def crash(self, ended):
        raise OSError("the process dies here")

    with monkeypatch.context() as patched:
        patched.setattr(Steps, "begin", crash)
        with pytest.raises(OSError, match="dies here"):
            await until_it_dies(home, line)
    async with open_fleet(home, line.app(("draft", "send")), models=line.models()) as fleet:
        done = await settled(fleet, "w-1")
        assert (done.state, done.reason) == ("error", "step 2 of 3, check: the agent 'check' is not declared")
        assert done.ended


@pytest.mark.parametrize("when", ["runs", "asks", "between"])
async def test_a_workflow_is_called_off_wherever_it_stands(tmp_path, monkeypatch, when):
    began = asyncio.Event()

    async def slow():
        began.set()
        await asyncio.Event().wait()

    line, home, begin = Line(check={"runs": slow, "asks": ["Which?"]}.get(when)), tmp_path / "home", Steps.begin
    async with open_fleet(home, line.app(), models=line.models()) as fleet:

        async def first_off(self, ended):
            if not began.is_set():
                began.set()
                cancel_now(fleet.ledger, "w-1", by="ops", reason="enough")
            await begin(self, ended)

        if when == "between":
            monkeypatch.setattr(Steps, "begin", first_off)
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        if when == "asks":
            assert (await settled(fleet, "w-1")).state == "need_input"
        else:
            await began.wait()
        if when != "between":
            cancel_now(fleet.ledger, "w-1", by="ops", reason="enough")
        off = await settled(fleet, "w-1")
        assert (off.state, off.ended) == ("cancelled", True)
        assert off.reason == "step 2 of 3, check: called off by ops: enough"
        assert standing(off) == [("draft", "success"), ("check", "cancelled")]
        with pytest.raises(InputError, match="dispatch w-1 has ended as cancelled; there is nothing to call off"):
            cancel_now(fleet.ledger, "w-1", by="ops")
        if when == "asks":  # an answer that comes late is answered, and begins nothing
            await fleet.accept(Message("ana", "blue", id="m-1"))
            assert await fleet.reply_to("m-1") == "blue, check"
            assert (await settled(fleet, "w-1")).state == "cancelled"
        assert nothing_left(fleet.ledger)
    assert "send" not in [who for who, _ in line.asked]
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


@pytest.mark.parametrize(
    ("agents", "given", "why"),
    [
        ([], {}, "a workflow names its agents, in their order; nothing was sent"),
        (["draft", "nobody"], {}, "no agent 'nobody' is declared; there are draft, check, send"),
        (["draft"], {"thread": "thr_1"}, "a workflow begins with its first agent, in a new thread; nothing was sent"),
        (["draft"], {"id": "w.step2"}, r"an id that ends in \.stepN is of a workflow's step; nothing was sent"),
        (["draft", "check"], {"mode": "queue"}, "several agents are for a workflow, mode workflow, or for mode ask"),
        (["draft"], {"mode": "soon"}, "a dispatch's mode is queue, sync, handoff, workflow or ask_user, not 'soon'"),
    ],
)
async def test_what_is_no_workflow_is_refused(tmp_path, agents, given, why):
    line = Line()
    async with open_fleet(tmp_path / "home", line.app(), models=line.models()) as fleet:
        with pytest.raises(InputError, match=why):
            await fleet.dispatch(agents, user="ana", **{"mode": "workflow", **given})
        assert not fleet.ledger.pending_count("inbox")


class Careful(Line):
    """The second of three agents asks an operator before it buys."""

    def __init__(self, buy):
        super().__init__()
        self.buy, self.told = buy, []

    def app(self, roles=ROLES):
        app = super().app(roles)
        app.agents["check"] = DialogAgent(
            role="check", prompt="You are check.", send_message=self.out, tools=[self.buy]
        )
        return app

    async def work(self, request):
        if "You are check." not in request.system:
            return await super().work(request)
        last = request.messages[-1]["content"]
        self.told.append(str(last))
        return [use("buy", item="tea")] if isinstance(last, str) else "7, check"


@pytest.mark.parametrize("verdict", ["approved", "denied"])
async def test_an_operators_word_sends_a_blocked_step_on(tmp_path, verdict):
    @tool(effect="external", approver="operator", idempotent=True)
    def buy(item: str) -> str:
        """Buy something."""
        return f"bought {item}"

    line, home = Careful(buy), tmp_path / "home"
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        waits = await settled(fleet, "w-1")
        assert (waits.state, waits.waits_for, waits.ended) == ("blocked", "approval", False)
        assert waits.reason.startswith("step 2 of 3, check: waits for approval: ")
        with pytest.raises(InputError, match="dispatch w-1 is blocked and has not ended"):
            again(fleet.ledger, "w-1", by="ops")
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        (asked,) = confirmations(fleet.ledger)
        settle(fleet.ledger, asked.id, approved=verdict == "approved", by="eva")
        while not (done := find_dispatch(fleet.ledger, "w-1")).ended:
            await asyncio.sleep(0.02)
        await fleet.idle()
        assert standing(done) == [(role, "success") for role in ROLES]
        assert done.reply == "7, check, send"
        assert ("bought tea" in line.told[-1]) == (verdict == "approved")
        assert nothing_left(fleet.ledger)
        assert fleet.ledger.verify().ok
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_a_blocked_step_may_be_called_off_instead(tmp_path):
    @tool(effect="external", approver="operator", idempotent=True)
    def buy(item: str) -> str:
        """Buy something."""
        return f"bought {item}"

    line = Careful(buy)
    async with open_fleet(tmp_path / "home", line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        await settled(fleet, "w-1")
        off = cancel_now(fleet.ledger, "w-1", by="ops")
        assert (off.state, off.ended, off.waits_for) == ("cancelled", True, "")
        (asked,) = confirmations(fleet.ledger)
        settle(fleet.ledger, asked.id, approved=True, by="eva")
        while fleet.ledger.pending_count("turns"):
            await asyncio.sleep(0.02)
        await fleet.idle()
        assert len(find_dispatch(fleet.ledger, "w-1").steps) == 2, "what is approved later is no step's any more"


async def test_a_call_that_was_cut_off_and_resolved_sends_its_step_on(tmp_path):
    @tool(effect="external", confirm="never", timeout_s=0.05)
    async def buy(item: str) -> str:
        """Buy something."""
        await asyncio.Event().wait()

    line, home = Careful(buy), tmp_path / "home"
    async with open_fleet(home, line.app(), models=line.models()) as fleet:
        await fleet.dispatch(ROLES, user="ana", text="7", mode="workflow", id="w-1")
        waits = await settled(fleet, "w-1")
        assert (waits.state, waits.waits_for, waits.ended) == ("blocked", "resolution", False)
        resolve_call(fleet.ledger, waits.job_id, "", took_effect=True, by="eva")
        while not (done := find_dispatch(fleet.ledger, "w-1")).ended:
            await asyncio.sleep(0.02)
        assert standing(done) == [(role, "success") for role in ROLES]

"""Handing a thread over: another agent has it from here on, with its history; a turn that runs ends as it began."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import (
    Outgoing,
    check_exactly_once,
    decisions,
    digests,
    events_of,
    last_words,
    open_fleet,
    scripted,
    use,
)

from fleet import App, DialogAgent, Message, tool
from fleet.audit.explain import explain
from fleet.errors import InputError
from fleet.ledger.events import JobHandedOver, TurnStarted
from fleet.runtime.approvals import confirmations, settle
from fleet.runtime.trace import traces


class Desk:
    """Two agents that say who they are, and what each was asked."""

    def __init__(self):
        self.asked, self.sent, self.go, self.began = (
            [],
            {"first": Outgoing(), "second": Outgoing()},
            asyncio.Event(),
            [],
        )
        self.go.set()

    def app(self, *roles):
        agents = [
            DialogAgent(role=role, prompt=f"You are {role}.", send_message=self.sent[role])
            for role in roles or ("first", "second")
        ]
        return App(name="desk", agents=agents, gate=[])

    async def work(self, request):
        who = request.system.split("You are ")[1].split(".")[0]
        self.asked.append((who, [m["content"] for m in request.messages]))
        self.began.append(who)
        if last_words(request) == "slow":
            await self.go.wait()
        return f"{who} here"


def go_on(request):
    return "```python\n# It carries on.\ndispatch_to(threads[0])\n```"


async def test_the_thread_goes_over_with_its_history_and_stays_there(tmp_path):
    desk = Desk()
    async with open_fleet(tmp_path / "home", desk.app(), models=scripted(go_on, desk.work)) as fleet:
        one = await fleet.dispatch("first", user="ana", text="my order is late", mode="sync")
        over = await fleet.dispatch(
            "second", user="ana", thread=one.thread_id, text="please take over", mode="handoff", id="d-2", by="ops"
        )
        assert await fleet.reply_to(over.id) == "second here"
        await fleet.accept(Message("ana", "and now?", id="m-3"))
        assert await fleet.reply_to("m-3") == "second here"
        await fleet.idle()
        who, shown = desk.asked[1]
        assert who == "second"
        assert "my order is late" in shown[0]
        assert shown[1] == [{"type": "text", "text": "first here"}]
        handed = decisions(fleet)[1]
        assert (handed.agent, handed.handed_from, handed.outcome) == ("second", "first", "dispatch_to")
        assert explain(fleet.ledger, "d-2").where == (
            f"It continues thread {one.thread_id}, handed over from first to second; ops dispatched it."
        )
        assert [each.name for each in traces(fleet.ledger, message="d-2")] == [
            "dispatch.request.created", "dispatch.decision.made", "dispatch.taken_over", "dispatch.scheduled",
            "dispatch.completed",
        ]  # fmt: skip
        (event,) = [each.event for each in events_of(fleet, JobHandedOver)]
        assert (event.before, event.agent, event.thread_id) == ("first", "second", one.thread_id)
        check_exactly_once(events_of(fleet))
    assert [text for _, text in desk.sent["first"].sent] == ["first here"]
    assert [text for _, text in desk.sent["second"].sent] == ["second here"] * 2
    live, again = digests(tmp_path / "home", tmp_path / "again")
    assert live == again


async def test_a_turn_that_runs_ends_with_the_agent_that_began_it(tmp_path):
    desk = Desk()
    desk.go.clear()
    async with open_fleet(tmp_path / "home", desk.app(), models=scripted(go_on, desk.work)) as fleet:
        one = await fleet.dispatch("first", user="ana", text="slow")
        while not desk.began:
            await asyncio.sleep(0.01)
        thread = decisions(fleet)[0].thread_id
        over = await fleet.dispatch("second", user="ana", thread=thread, text="take over", mode="handoff")
        while fleet.ledger.pending_count("inbox"):
            await asyncio.sleep(0.01)
        desk.go.set()
        assert [await fleet.reply_to(each.id) for each in (one, over)] == ["first here", "second here"]
        await fleet.idle()
        assert desk.sent["first"].sent == [("ana", "first here")]
        assert desk.sent["second"].sent == [("ana", "second here")]
        assert len(events_of(fleet, TurnStarted)) == 2


async def test_a_thread_of_a_paused_or_retired_agent_can_be_handed_over(tmp_path):
    home, desk = tmp_path / "home", Desk()
    async with open_fleet(home, desk.app(), models=scripted(go_on, desk.work)) as fleet:
        one = await fleet.dispatch("first", user="ana", text="hi", mode="sync")
    async with open_fleet(home, desk.app("second"), models=scripted(go_on, desk.work)) as fleet:
        over = await fleet.dispatch("second", user="ana", thread=one.thread_id, text="take over", mode="handoff")
        assert await fleet.reply_to(over.id) == "second here"
        await fleet.accept(Message("ana", "thanks", id="m-1"))
        assert await fleet.reply_to("m-1") == "second here"
        check_exactly_once(events_of(fleet))


@pytest.mark.parametrize("given", [{"agent": "second"}, {"thread": "thr_1"}])
async def test_handing_over_takes_a_thread_and_an_agent(tmp_path, given):
    async with open_fleet(tmp_path / "home", Desk().app()) as fleet:
        with pytest.raises(InputError, match="to hand a thread over takes the thread and an agent; nothing was sent"):
            await fleet.dispatch(user="ana", mode="handoff", **given)
        wrong = await fleet.dispatch("second", user="ana", thread="thr_1", mode="handoff")
        await fleet.idle()
        from fleet.runtime.dispatches import find_dispatch

        found = find_dispatch(fleet.ledger, wrong.id)
        assert (found.state, found.reason) == ("error", "the user has no thread 'thr_1'")


class Buying(Desk):
    """Both agents have a tool `buy`, each its own; the first one calls it, if it is told to buy."""

    def __init__(self, approver):
        super().__init__()
        self.bought, self.told = [], []
        self.tools = {}
        for role in ("first", "second"):

            @tool(effect="external", approver=approver, idempotent=True, question="Shall I buy {item}?")
            def buy(item: str, role: str = role) -> str:
                """Buy something."""
                self.bought.append((role, item))
                return f"{role} bought {item}"

            self.tools[role] = [buy]

    def app(self, *roles):
        agents = [
            DialogAgent(role=role, prompt=f"You are {role}.", send_message=self.sent[role], tools=self.tools[role])
            for role in ("first", "second")
        ]
        return App(name="desk", agents=agents, gate=[])

    async def work(self, request):
        who = request.system.split("You are ")[1].split(".")[0]
        last = request.messages[-1]["content"]
        self.told.append((who, str(last)))
        if who == "first" and isinstance(last, str) and "buy" in last:
            return [use("buy", item="tea")]
        return f"{who} here"


async def test_what_the_agent_before_asked_the_user_lapses_when_the_thread_is_handed_over(tmp_path):
    desk, home = Buying("user"), tmp_path / "home"
    async with open_fleet(home, desk.app(), models=scripted(go_on, desk.work)) as fleet:
        one = await fleet.dispatch("first", user="ana", text="buy", mode="sync")
        assert one.reply == "Shall I buy tea?"
        over = await fleet.dispatch("second", user="ana", thread=one.thread_id, text="take over", mode="handoff")
        assert await fleet.reply_to(over.id) == "second here"
        await fleet.accept(Message("ana", "yes", id="m"))
        assert await fleet.reply_to("m") == "second here"
        await fleet.idle()
        assert [each.state for each in confirmations(fleet.ledger, every=True)] == ["lapsed"]
        assert desk.bought == []
        assert not fleet.ledger.pending_count("turns")
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_an_operators_yes_after_a_handoff_runs_what_was_asked_about_and_no_other_tool_of_that_name(tmp_path):
    desk, home = Buying("operator"), tmp_path / "home"
    async with open_fleet(home, desk.app(), models=scripted(go_on, desk.work)) as fleet:
        one = await fleet.dispatch("first", user="ana", text="buy", mode="sync")
        assert one.state == "blocked"
        over = await fleet.dispatch("second", user="ana", thread=one.thread_id, text="take over", mode="handoff")
        assert await fleet.reply_to(over.id) == "second here"
        (asked,) = confirmations(fleet.ledger)
        settle(fleet.ledger, asked.id, approved=True, by="eva")
        while fleet.ledger.pending_count("turns"):
            await asyncio.sleep(0.02)
        await fleet.idle()
        assert desk.bought == [("first", "tea")]
        assert desk.told[-1][0] == "second"
        assert "first bought tea" in desk.told[-1][1]
        assert fleet.ledger.verify().ok
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt

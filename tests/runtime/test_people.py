"""A person in the place of a thread's agent: taken over, answered, released; with real fleets."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.fleets import (
    Outgoing,
    check_exactly_once,
    digests,
    echo,
    events_of,
    helper_app,
    last_words,
    open_fleet,
    scripted,
    use,
)

from fleet import Message, tool
from fleet.audit.explain import explain
from fleet.errors import InputError
from fleet.ledger.base import Draft
from fleet.ledger.events import AgentPaused, PersonReplied, ToolReturned, TurnEnded, TurnSetAside, TurnStarted
from fleet.runtime.approvals import cut_off_calls, resolve_call
from fleet.runtime.home import Home
from fleet.runtime.takeover import release, reply, takeover, takeover_of
from fleet.runtime.trace import traces

WAITS_FOR_EVA = "Not yet answered: it waits for eva, who took its thread over."


class Talk:
    """A fleet with one thread of ana's, and what its worker's model was asked."""

    def __init__(self, home, work=echo, tools=(), **options):
        self.home, self.work, self.tools, self.options = home, work, tools, options
        self.out, self.asked, self.thread = Outgoing(), [], ""

    def open(self):
        def work(request):
            self.asked.append(request)
            return self.work(request)

        models = scripted(worker=work)
        self.fleet = open_fleet(self.home, helper_app(self.out, self.tools), models=models, **self.options)
        return self.fleet

    async def begin(self, text="hello"):
        await self.say(text)
        self.thread = events_of(self.fleet, TurnEnded)[0].event.thread_id

    async def say(self, text):
        """Send it, and wait for its end."""
        accepted = await self.fleet.accept(Message("ana", text))
        told = await self.fleet.reply_to(accepted.message_id)
        await self.fleet.idle()
        return told

    async def put(self, text):
        """Send it, and wait until nothing goes on."""
        accepted = await self.fleet.accept(Message("ana", text))
        await self.settle()
        return accepted.message_id

    async def settle(self):
        """Wait until the fleet has applied what is on record, and rests."""
        last, _ = self.fleet.ledger.head()
        while self.fleet._graph.root.applied < last:
            await asyncio.sleep(0.01)
        await self.fleet.idle()

    def conversation(self):
        return [
            (each["role"], each["content"] if isinstance(each["content"], str) else each["content"][0].get("text"))
            for each in self.asked[-1].messages
        ]


async def test_a_person_answers_what_waits_and_the_model_goes_on_after_the_release(tmp_path):
    talk = Talk(tmp_path / "home")
    async with talk.open() as fleet:
        await talk.begin()
        held = takeover(fleet.ledger, talk.thread, by="eva")
        assert (held.by, held.user, held.thread_id) == ("eva", "ana", talk.thread)
        first, second = await talk.put("one"), await talk.put("two")
        assert len(talk.asked) == 1, "no model answers in a thread that is taken over"
        assert explain(fleet.ledger, first).outcome == WAITS_FOR_EVA
        reply(fleet.ledger, talk.thread, "I am Eva. Which day?")
        await talk.settle()
        ended = events_of(fleet, TurnEnded)[-1].event
        assert (ended.by, ended.result, ended.message_ids) == ("eva", "need_input", (first, second))
        assert await fleet.reply_to(first) == "I am Eva. Which day?"
        assert fleet._graph.root.threads[talk.thread].last_assistant_message == "I am Eva. Which day?"
        reply(fleet.ledger, talk.thread, "By the way: closed on Friday.", by="bo")
        await talk.settle()
        assert events_of(fleet, TurnEnded)[-1].event.message_ids == ()
        third = await talk.put("Monday")
        assert len(talk.asked) == 1
        release(fleet.ledger, talk.thread, by="eva")
        assert await fleet.reply_to(third) == "You said: Monday"
        await fleet.idle()
        assert talk.out.sent == [
            ("ana", "You said: hello"),
            ("ana", "I am Eva. Which day?"),
            ("ana", "By the way: closed on Friday."),
            ("ana", "You said: Monday"),
        ]
        assert len(set(talk.out.ids)) == 4
        shown = talk.conversation()
        assert [role for role, _ in shown] == ["user", "assistant", "user", "assistant", "user"]
        assert shown[3] == ("assistant", "I am Eva. Which day?")
        assert talk.asked[-1].messages[3]["content"][1]["text"] == "By the way: closed on Friday."
        check_exactly_once(events_of(fleet))
        told = explain(fleet.ledger, first)
        assert told.state == "answered"
        assert [(each.name, each.detail) for each in traces(fleet.ledger, message=first)][-2:] == [
            ("dispatch.taken_over", "eva answers in the agent's place"), ("dispatch.completed", "need_input")
        ]  # fmt: skip
        assert "as need_input, answered by eva in the agent's place; the reply was delivered" in told.outcome
        assert fleet.ledger.pending("turns") == []
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1


async def test_a_turn_that_runs_says_nothing_once_its_thread_is_taken_over(tmp_path):
    began = asyncio.Event()

    async def work(request):
        if last_words(request) == "slow" and not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return echo(request)

    talk = Talk(tmp_path / "home", work)
    async with talk.open() as fleet:
        await talk.begin()
        accepted = await fleet.accept(Message("ana", "slow"))
        await began.wait()
        takeover(fleet.ledger, talk.thread, by="eva")
        await talk.settle()
        (aside,) = events_of(fleet, TurnSetAside)
        assert (aside.event.by, aside.event.message_ids) == ("eva", (accepted.message_id,))
        assert explain(fleet.ledger, accepted.message_id).outcome == WAITS_FOR_EVA
        assert ("dispatch.taken_over", "eva answers in the agent's place") in [
            (each.name, each.detail) for each in traces(fleet.ledger, message=accepted.message_id)
        ]
        release(fleet.ledger, talk.thread)
        assert await fleet.reply_to(accepted.message_id) == "You said: slow"
        await fleet.idle()
        assert [text for _, text in talk.out.sent] == ["You said: hello", "You said: slow"]
        kinds = [step.kind for step in explain(fleet.ledger, accepted.message_id).steps]
        assert kinds[-9:] == [
            "message.decided", "turn.started", "thread.taken_over", "turn.set_aside", "thread.released",
            "turn.started", "step.model", "turn.ended", "reply.delivered",
        ]  # fmt: skip
        assert [role for role, _ in talk.conversation()] == ["user", "assistant", "user"], "it is said once"
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1


@pytest.mark.parametrize("released", [False, True])
async def test_what_the_model_says_in_the_moment_of_a_takeover_is_withheld(tmp_path, released):
    """The takeover is on record before the reply is, and the worker does not know of it yet."""

    def work(request):
        if last_words(request) == "now" and len(talk.asked) == 2:
            with Home(tmp_path / "home").open_ledger() as ledger:  # as another process does
                takeover(ledger, talk.thread, by="eva")
                if released:
                    release(ledger, talk.thread)
        return echo(request)

    talk = Talk(tmp_path / "home", work)
    async with talk.open() as fleet:
        await talk.begin()
        if released:  # who has it again may speak
            assert await talk.say("now") == "You said: now"
            return
        message_id = await talk.put("now")
        (aside,) = events_of(fleet, TurnSetAside)
        assert (aside.event.by, aside.event.withheld) == ("eva", "You said: now")
        assert [text for _, text in talk.out.sent] == ["You said: hello"]
        assert explain(fleet.ledger, message_id).outcome == WAITS_FOR_EVA
        assert explain(fleet.ledger, message_id).answering.calls == 1, "it was asked, and that has its price"
        shown = [step for step in explain(fleet.ledger, message_id).steps if step.kind == "turn.set_aside"]
        assert shown[0].data["withheld"] == "You said: now"
        reply(fleet.ledger, talk.thread, "I am Eva.")
        assert await fleet.reply_to(message_id) == "I am Eva."
        release(fleet.ledger, talk.thread)
        assert await talk.say("thanks") == "You said: thanks"
        assert [text for _, text in talk.conversation() if text and "You said" in text] == ["You said: hello"]
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1


async def test_a_tool_that_runs_comes_to_its_end_and_the_model_is_told_of_it_later(tmp_path):
    began, go_on = threading.Event(), threading.Event()

    @tool(effect="external", confirm="never")
    def order(item: str) -> str:
        """Order it."""
        began.set()
        go_on.wait(60)
        return f"ordered {item}"

    def work(request):
        last = request.messages[-1]["content"]
        order_now = isinstance(last, str) and last_words(request) == "tea" and len(request.messages) == 3
        return (use("order", item="tea"),) if order_now else "Done."

    talk = Talk(tmp_path / "home", work, [order])
    async with talk.open() as fleet:
        await talk.begin()
        accepted = await fleet.accept(Message("ana", "tea"))
        await asyncio.to_thread(began.wait, 60)
        takeover(fleet.ledger, talk.thread, by="eva")
        go_on.set()
        await talk.settle()
        assert [each.event.content for each in events_of(fleet, ToolReturned)] == ["ordered tea"]
        reply(fleet.ledger, talk.thread, "It is on its way.")
        assert await fleet.reply_to(accepted.message_id) == "It is on its way."
        release(fleet.ledger, talk.thread)
        assert await talk.say("thanks") == "Done."
        assert len(talk.asked) == 3
        kinds = [role for role, _ in talk.conversation()]
        assert kinds == ["user", "assistant", "user", "assistant", "user", "assistant", "user", "assistant", "user"]
        assert [text for _, text in talk.out.sent] == ["Done.", "It is on its way.", "Done."]


async def test_a_call_that_was_under_way_when_the_worker_went_is_told_of_and_not_run_again(tmp_path):
    began, ran = asyncio.Event(), []

    @tool(effect="external", confirm="never")
    async def fax(to: str) -> str:
        """Send a fax."""
        ran.append(to)
        began.set()
        await asyncio.Event().wait()

    def work(request):
        return (use("fax", to="bo"),) if isinstance(request.messages[-1]["content"], str) and not ran else "Noted."

    talk = Talk(tmp_path / "home", work, [fax], drain_s=0.05)
    async with talk.open() as fleet:
        accepted = await fleet.accept(Message("ana", "fax it"))
        await began.wait()
        talk.thread = events_of(fleet, TurnStarted)[0].event.thread_id
    with Home(tmp_path / "home").open_ledger() as ledger:
        takeover(ledger, talk.thread, by="eva")
    async with talk.open() as fleet:
        await talk.settle()
        (aside,) = events_of(fleet, TurnSetAside)
        assert aside.event.message_ids == (accepted.message_id,)
        assert [each.event.unknown for each in events_of(fleet, ToolReturned)] == [True]
        assert [each.tool for each in cut_off_calls(fleet.ledger)] == ["fax"]
        assert talk.out.sent == []
        release(fleet.ledger, talk.thread)
        assert await fleet.reply_to(accepted.message_id) == "Noted."
        assert ran == ["bo"]
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1


async def test_a_call_that_was_cut_off_is_not_forgotten_by_a_takeover(tmp_path):
    @tool(effect="external", confirm="never", timeout_s=0.05)
    async def fax(to: str) -> str:
        """Send a fax."""
        await asyncio.sleep(60)
        return "sent"

    def work(request):
        return (use("fax", to="bo"),) if isinstance(request.messages[-1]["content"], str) else "Noted."

    talk = Talk(tmp_path / "home", work, [fax])
    async with talk.open() as fleet:
        await talk.begin("fax it")
        takeover(fleet.ledger, talk.thread, by="eva")
        (cut,) = cut_off_calls(fleet.ledger)
        assert cut.thread_id == talk.thread
        resolve_call(fleet.ledger, cut.job_id, "", took_effect=True, by="eva")
        await talk.settle()
        assert len(talk.asked) == 1, "what a person found out waits for the agent too"
        release(fleet.ledger, talk.thread)
        await talk.settle()
        assert talk.out.sent[-1] == ("ana", "Noted.")


async def test_what_is_taken_over_stays_so_over_a_restart_and_a_reply_waits_for_a_worker(tmp_path):
    talk = Talk(tmp_path / "home")
    async with talk.open() as fleet:
        await talk.begin()
        takeover(fleet.ledger, talk.thread, by="eva")
        await talk.put("still there?")
    async with talk.open() as fleet:
        await talk.settle()
        assert len(talk.asked) == 1
        assert takeover_of(fleet.ledger, talk.thread).by == "eva"
    with Home(tmp_path / "home").open_ledger() as ledger:
        reply(ledger, talk.thread, "I am.")
        release(ledger, talk.thread)
    async with talk.open() as fleet:
        await talk.settle()
        assert [text for _, text in talk.out.sent] == ["You said: hello", "I am."]
        assert len(talk.asked) == 1, "the model has nothing left to answer"
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1


async def test_other_threads_of_the_user_are_answered_meanwhile(tmp_path):
    talk = Talk(tmp_path / "home")
    async with talk.open() as fleet:
        await talk.begin()
        takeover(fleet.ledger, talk.thread, by="eva")
        assert await talk.say("a new thing") == "You said: a new thing"
        agents = {each.event.thread_id for each in events_of(fleet, TurnStarted)}
        assert len(agents) == 2


async def test_a_reply_of_a_person_is_given_though_the_agent_rests(tmp_path):
    talk = Talk(tmp_path / "home")
    async with talk.open() as fleet:
        await talk.begin()
        role = "agent:helper"
        paused = AgentPaused(role="helper", paused=True, by="eva")
        fleet.ledger.append_now(Draft(role, fleet.ledger.version(role), (paused,)))
        takeover(fleet.ledger, talk.thread, by="eva")
        waiting = await fleet.accept(Message("ana", "anyone?"))
        await talk.settle()
        reply(fleet.ledger, talk.thread, "Me.")
        assert await fleet.reply_to(waiting.message_id) == "Me."


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda ledger, thread: reply(ledger, thread, "Hi"),
         "thread {0} is not taken over; `fleet takeover {0}` does that; nothing was sent"),
        (lambda ledger, thread: release(ledger, thread),
         "thread {0} is not taken over; `fleet takeover {0}` does that; nothing was changed"),
        (lambda ledger, thread: [takeover(ledger, thread, by=name) for name in ("eva", "bo")],
         "thread {0} was taken over by eva; nothing was changed"),
        (lambda ledger, thread: takeover(ledger, "thr_none", by="eva"),
         "there is no thread 'thr_none'; `fleet threads list` shows them"),
        (lambda ledger, thread: takeover(ledger, thread, by="e\nva"),
         "a takeover needs a printable name, who it is by; nothing was changed"),
        (lambda ledger, thread: reply(ledger, thread, " \n"), "a reply needs a text; nothing was sent"),
        (lambda ledger, thread: reply(ledger, thread, "a\x1b[31m"),
         "a reply holds no control characters but line breaks and tabs; nothing was sent"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path, act, said):
    talk = Talk(tmp_path / "home")
    async with talk.open() as fleet:
        await talk.begin()
        with pytest.raises(InputError) as refused:
            act(fleet.ledger, talk.thread)
        assert refused.value.message == said.format(talk.thread)
        assert events_of(fleet, PersonReplied) == []

"""An agent hands a task to another: real fleets whose models do as the messages tell them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support.children import run_child
from support.fleets import Outgoing, digests, events_of, go_on, last_words, open_fleet, scripted, start, use

from fleet import App, DialogAgent, Policy, tool
from fleet.audit.explain import explain
from fleet.audit.page import render
from fleet.audit.sent import first_messages
from fleet.cli.conversation import entry_of, read_conversation
from fleet.cli.page import print_page
from fleet.errors import ConfigError, InputError, ModelError
from fleet.ledger.base import Draft
from fleet.ledger.events import (
    AgentPaused,
    MessageDead,
    ReplyDelivered,
    SubjobStarted,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.llm.base import Answer, Usage
from fleet.runtime.dispatches import cancel_now
from fleet.runtime.job_orders import cancel_job, retry_job
from fleet.runtime.jobs import jobs
from fleet.runtime.takeover import release, takeover

ROOT = Path(__file__).parents[2]


def office(send: Any = None, policy: Policy | None = None, tools: Any = ()) -> App:
    """A lead with three others: a researcher that hands on too, a writer, and a clerk that takes no tasks."""
    return App(
        name="office",
        agents=[
            DialogAgent("lead", send, description="Leads", may_dispatch=["researcher", "writer"]),
            DialogAgent("researcher", send, description="Finds out", may_dispatch=["writer", "lead"], tools=tools),
            DialogAgent("writer", send, description="Writes", may_dispatch=["checker"]),
            DialogAgent("checker", send, description="Checks", may_dispatch=["clerk"]),
            DialogAgent("clerk", send, description="Files"),
        ],
        policy=policy,
    )


def results(request: Any) -> list[Any]:
    """What the calls that the newest message answers came back with."""
    last = request.messages[-1]["content"]
    return [] if isinstance(last, str) else [each for each in last if each["type"] == "tool_result"]


def obey(request: Any) -> Any:
    """Hand on what `role(task)` says, nested; then tell the results. Anything else is answered at once."""
    if found := results(request):
        return " + ".join(str(each["content"]) for each in found)
    text = last_words(request)
    calls, depth, begin = [], 0, 0
    for place, sign in enumerate(text):
        if sign == "(":
            depth += 1
            if depth == 1:
                role, begin = re.findall(r"\w+!?$", text[:place])[0], place + 1
        elif sign == ")":
            depth -= 1
            if depth == 0:
                more = {"wait": False} if role.endswith("!") else {}
                calls.append(use("subagent_dispatch", f"c{len(calls)}", agent=role.strip("!"),
                                 task=text[begin:place], **more))  # fmt: skip
    return calls or f"done: {text}"


def said(reply: str) -> Any:
    """The one result that a reply tells of."""
    return json.loads(reply)


async def ask(fleet: Any, text: str, message_id: str = "m-1") -> str:
    await fleet.accept({"user": "ana", "text": text, "id": message_id})
    reply = await fleet.reply_to(message_id)
    await fleet.idle()
    return reply


def to_lead(request: Any) -> str:
    return start("lead")


async def test_a_task_goes_to_another_agent_and_its_result_comes_back(tmp_path):
    out = Outgoing()
    models = scripted(to_lead, obey)
    async with open_fleet(tmp_path, office(out), models=models) as fleet:
        result = said(await ask(fleet, "researcher(find the number)"))
        (child,) = [each.event for each in events_of(fleet, SubjobStarted)]
        assert result == {
            "agent": "researcher", "job_id": child.job_id, "result": "success", "reply": "done: find the number",
        }  # fmt: skip
        assert len(out.sent) == 1  # the child tells the user nothing
        (returned,) = [each.event for each in events_of(fleet, ToolReturned)]
        assert (returned.tool, returned.error, returned.job_id) == ("subagent_dispatch", False, child.parent)
        (block,) = [each for each in models["test:worker"].requests[0].tools if each["name"] == "subagent_dispatch"]
        assert block["input_schema"]["properties"]["agent"]["enum"] == ["researcher", "writer"]
        assert "- researcher: Finds out" in block["description"]
        assert "lead" not in block["description"]
        assert not fleet.ledger.pending("turns")
        assert fleet.ledger.verify().ok
        steps = explain(fleet.ledger, "m-1").steps
        told = read_conversation(fleet.ledger, child.thread_id)
        assert (told.user, told.agent, told.name, told.status) == ("ana", "researcher", "find the number", "success")
        assert [entry["kind"] for entry in map(entry_of, told.events) if entry] == ["task", "model", "reply"]
        (line,) = [each for each in steps if each.kind == "subjob.started"]
        assert (line.data["agent"], line.data["job_id"]) == ("researcher", child.job_id)
    live, rebuilt = digests(tmp_path, tmp_path / "rebuilt")
    assert live == rebuilt


async def test_context_reaches_the_child_and_its_thread_is_no_candidate(tmp_path):
    shown: list[str] = []

    def router(request: Any) -> str:
        shown.append(str(request.messages[0]["content"]))
        return go_on() if "threads[0]:" in shown[-1] else start("lead")

    def worker(request: Any) -> Any:
        if "note well" in (text := str(request.messages[0]["content"])):
            return f"I was told {'the code is 7' in text}"
        if results(request):
            return results(request)[-1]["content"]
        if "again" in last_words(request):
            return "Hello again."
        return [use("subagent_dispatch", agent="writer", task="note well", context="the code is 7")]

    async with open_fleet(tmp_path, office(), models=scripted(router, worker)) as fleet:
        assert said(await ask(fleet, "go"))["reply"] == "I was told True"
        assert await ask(fleet, "again", "m-2") == "Hello again."
        assert "threads[0]:" in shown[1]
        assert "threads[1]:" not in shown[1]
        (child,) = [each.event for each in events_of(fleet, SubjobStarted)]
        sent = await fleet.dispatch(user="ana", text="hi", thread=child.thread_id, id="d-1")
        await fleet.idle()
        assert fleet.ledger.read_stream(f"message:{sent.id}")[-1].event.decision.outcome == "error"


async def test_children_of_one_answer_work_side_by_side(tmp_path):
    together = asyncio.Barrier(2)

    async def worker(request: Any) -> Any:
        if "part" in str(request.messages[-1]["content"]) and "(" not in last_words(request):
            await together.wait()  # each is answered only while the other one is being asked too
        return obey(request)

    async with open_fleet(tmp_path, office(), models=scripted(to_lead, worker)) as fleet:
        reply = await ask(fleet, "researcher(part a) writer(part b)")
        assert sorted(json.loads(each)["reply"] for each in reply.split(" + ")) == ["done: part a", "done: part b"]


@pytest.mark.parametrize("concurrency", [1, 50])
async def test_many_jobs_with_children_come_to_their_end(tmp_path, concurrency):
    await many(tmp_path, concurrency, 200)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("concurrency", [1, 50])
async def test_ten_thousand_jobs_with_children_come_to_their_end(tmp_path, concurrency):
    await many(tmp_path, concurrency, 10_000)


async def many(home: Path, concurrency: int, count: int) -> None:
    """Each job hands its task down twice, and on from there; nothing waits for a slot that its parent holds."""
    async with open_fleet(home, office(), models=scripted(to_lead, obey), concurrency=concurrency) as fleet:
        for number in range(count):
            task = f"writer(a{number}) researcher(writer(b{number}))"
            await fleet.accept({"user": f"u{number % 40}", "text": task, "id": f"m-{number}"})
        await fleet.idle()
        ended = {each.event.message_ids[0]: each.event for each in events_of(fleet, TurnEnded)}
        assert len(ended) == 4 * count
        for number in range(count):
            reply = ended[f"m-{number}"].reply
            assert f"done: a{number}" in reply
            assert f"done: b{number}" in reply
        assert not fleet.ledger.pending("turns")
        assert fleet.ledger.verify().ok
    live, rebuilt = digests(home, home / "rebuilt")
    assert live == rebuilt


REFUSED = [
    ("clerk(x)", {}, "this agent cannot be given a task; those that can are researcher, writer"),
    ("researcher(lead(x))", {}, "lead waits for this very task (lead → researcher); it cannot be given it again"),
    ("writer(checker(x))", {"subjob_depth": 1},
     "the task was handed down 1 times (lead → writer), the most there may be"),
    ("writer(a) writer(b) writer(c)", {"turn_subjobs": 2}, "this turn has handed out 2 tasks, the most that it may"),
    ("writer( )", {}, "subagent_dispatch was not run: task: String should have at least 1 character"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "limits", "words"), REFUSED)
async def test_what_may_not_be_handed_out_is_a_result_of_the_call(tmp_path, text, limits, words):
    app = office(policy=Policy(**limits))
    async with open_fleet(tmp_path, app, models=scripted(to_lead, obey)) as fleet:
        assert words in await ask(fleet, text)
        refused = [each.event for each in events_of(fleet, ToolReturned) if each.event.error]
        assert [each.content for each in refused] == [words]
        assert all(each.event.result == "success" for each in events_of(fleet, TurnEnded))


async def test_a_paused_agent_takes_no_tasks(tmp_path):
    async with open_fleet(tmp_path, office(), models=scripted(to_lead, obey)) as fleet:
        version = fleet.ledger.version("agent:writer")
        await fleet.ledger.append(Draft("agent:writer", version, (AgentPaused(role="writer", paused=True),)))
        assert await ask(fleet, "writer(x)") == "writer is paused and takes no tasks now"


async def test_a_child_that_fails_is_a_failed_result_and_the_parent_goes_on(tmp_path):
    def worker(request: Any) -> Any:
        return ModelError("down") if last_words_or(request) == "break" else obey(request)

    async with open_fleet(tmp_path, office(), models=scripted(to_lead, worker)) as fleet:
        result = said(await ask(fleet, "researcher(break)"))
        assert result["result"] == "failed"
        assert "down" in result["reason"]
        (returned,) = [each.event for each in events_of(fleet, ToolReturned)]
        assert returned.error
        assert events_of(fleet, TurnEnded)[-1].event.result == "success"


def last_words_or(request: Any) -> str:
    return "" if results(request) else last_words(request)


async def test_a_child_that_raises_is_given_up_and_is_no_dead_letter(tmp_path):
    def worker(request: Any) -> Any:
        if last_words_or(request) == "break":
            raise RuntimeError("boom")
        return obey(request)

    app, models = office(), scripted(to_lead, worker)
    async with open_fleet(tmp_path, app, models=models, max_attempts=2, retry_backoff_s=0.01) as fleet:
        result = said(await ask(fleet, "researcher(break)"))
        assert result["reason"] == "given up after 2 attempts: RuntimeError: boom"
        assert not events_of(fleet, MessageDead)


def hanging() -> tuple[asyncio.Event, Any]:
    """A worker that is told to hang, and what is set once it does."""
    asked = asyncio.Event()

    async def worker(request: Any) -> Any:
        if last_words_or(request) == "hang":
            asked.set()
            await asyncio.Event().wait()
        return obey(request)

    return asked, worker


async def test_a_child_that_hangs_ends_by_its_time_and_not_by_its_parents(tmp_path):
    app, models = office(), scripted(to_lead, hanging()[1])
    async with open_fleet(tmp_path, app, models=models, turn_timeout_s=2.0, model_retries=0) as fleet:
        result = said(await ask(fleet, "researcher(hang)"))
        assert result["result"] == "failed"
        assert events_of(fleet, TurnEnded)[-1].event.result == "success"  # its own time did not run meanwhile


async def test_who_waits_too_long_ends_with_all_that_it_waits_for(tmp_path):
    hung, worker = hanging()

    def bounded(seconds: float) -> App:
        app = office()
        app.agents["lead"].policy = Policy(job_timeout_s=seconds)
        return app

    async with open_fleet(tmp_path, bounded(600), models=scripted(to_lead, worker), drain_s=0.05) as fleet:
        await fleet.accept({"user": "ana", "text": "researcher(writer(hang))", "id": "m-1"})
        await hung.wait()  # and the worker ends; the next one has a shorter patience, counted from the turn's beginning
    async with open_fleet(tmp_path, bounded(0.5), models=scripted(to_lead, worker)) as fleet:
        assert "stopped" in await fleet.reply_to("m-1")
        await fleet.idle()
        ended = [each.event for each in events_of(fleet, TurnEnded)]
        assert [each.result for each in ended] == ["failed"] * 3
        assert ended[0].reason == "no end after 0.5 s, with all that it waited for"
        assert all("called off: the turn of" in each.reason for each in ended[1:])
        assert await ask(fleet, "hello", "m-2") == "done: hello"
        assert not fleet.ledger.pending("turns")
    live, rebuilt = digests(tmp_path, tmp_path / "rebuilt")
    assert live == rebuilt


@pytest.mark.parametrize("patience", [0.3, 60.0])
async def test_a_turn_waits_for_a_child_as_long_as_it_may(tmp_path, patience):
    late = asyncio.Event()

    async def worker(request: Any) -> Any:
        if last_words_or(request) == "slowly" and patience < 1:
            await late.wait()
        return obey(request)

    app = office(policy=Policy(job_timeout_s=patience))
    async with open_fleet(tmp_path, app, models=scripted(to_lead, worker)) as fleet:
        reply = await ask(fleet, "writer(slowly)")
        parent = events_of(fleet, TurnEnded)[0 if patience < 1 else -1].event
        if patience < 1:
            assert parent.reason == "no end after 0.3 s, with all that it waited for"
            assert reply == parent.reply
        else:
            assert said(reply)["reply"] == "done: slowly"


async def test_who_is_not_waited_for_goes_on_alone(tmp_path):
    release = asyncio.Event()

    async def worker(request: Any) -> Any:
        if last_words_or(request) == "slowly":
            await release.wait()
        return obey(request)

    out = Outgoing()
    async with open_fleet(tmp_path, office(out), models=scripted(to_lead, worker)) as fleet:
        await fleet.accept({"user": "ana", "text": "writer!(slowly)", "id": "m-1"})
        result = said(await fleet.reply_to("m-1"))
        assert result["result"] == "started; its result is not reported here"
        release.set()
        await fleet.idle()
        child = events_of(fleet, TurnEnded)[-1].event
        assert (child.job_id, child.reply, child.result) == (result["job_id"], "done: slowly", "success")
        assert len(out.sent) == 1


async def test_calling_the_parent_off_calls_its_children_off(tmp_path):
    asked, worker = hanging()

    async with open_fleet(tmp_path, office(), models=scripted(to_lead, worker)) as fleet:
        await fleet.dispatch("lead", user="ana", text="researcher(writer(hang))", id="d-1")
        await asked.wait()
        cancel_now(fleet.ledger, "d-1", by="eve")
        await fleet.reply_to("d-1")
        await fleet.idle()
        ended = [each.event for each in events_of(fleet, TurnEnded)]
        assert [each.result for each in ended] == ["failed"] * 3
        assert ended[0].reason == "called off by eve"
        assert [each.reason for each in ended[1:]] == [
            f"called off: the turn of {each.job_id} that waited for it has ended" for each in ended[:2]
        ]
        thread = ended[0].thread_id
        await fleet.dispatch(user="ana", text="hello", thread=thread, id="d-2", mode="sync")
        last = events_of(fleet, TurnStarted)[-1]
        assert "hello" in str(first_messages(fleet.ledger, "ana", last.seq, "")[-1])
        assert not fleet.ledger.pending("turns")
        assert fleet.ledger.verify().ok


async def test_a_child_that_an_operator_calls_off_is_a_failed_result(tmp_path):
    asked, worker = hanging()

    async with open_fleet(tmp_path, office(), models=scripted(to_lead, worker)) as fleet:
        await fleet.accept({"user": "ana", "text": "researcher(hang)", "id": "m-1"})
        await asked.wait()
        (child,) = [each.event for each in events_of(fleet, SubjobStarted)]
        assert {each.id: (each.agent, each.parent, each.state) for each in jobs(fleet.ledger)} == {
            child.parent: ("lead", "", "running")
        }  # a job is listed by what was decided or has ended
        assert cancel_job(fleet.ledger, child.job_id, by="eve").agent == "researcher"
        result = said(await fleet.reply_to("m-1"))
        assert (result["result"], result["reason"]) == ("failed", "called off by eve")
        await fleet.idle()
        assert {each.id: (each.agent, each.parent, each.state) for each in jobs(fleet.ledger)} == {
            child.parent: ("lead", "", "success"), child.job_id: ("researcher", child.parent, "cancelled"),
        }  # fmt: skip
        with pytest.raises(InputError, match=f"is a task of {child.parent}, which was told so"):
            retry_job(fleet.ledger, child.job_id, by="eve")


async def test_who_takes_the_parent_over_waits_for_no_child(tmp_path):
    asked = asyncio.Event()

    async def worker(request: Any) -> Any:
        if last_words_or(request) == "think" and not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        return obey(request)

    async with open_fleet(tmp_path, office(), models=scripted(to_lead, worker)) as fleet:
        await fleet.accept({"user": "ana", "text": "writer(think)", "id": "m-1"})
        await asked.wait()
        (child,) = [each.event for each in events_of(fleet, SubjobStarted)]
        with pytest.raises(InputError, match=f"is a task of {child.parent}, which no user reads"):
            takeover(fleet.ledger, child.thread_id, by="eve")
        thread = f"thr_{child.parent.removeprefix('job_')}"
        takeover(fleet.ledger, thread, by="eve")
        await fleet.idle()
        (ended,) = [each.event for each in events_of(fleet, TurnEnded)]
        assert (ended.job_id, ended.result) == (child.job_id, "failed")
        assert ended.reason == f"called off: the turn of {child.parent} that waited for it has ended"
        release(fleet.ledger, thread)
        assert said(await fleet.reply_to("m-1"))["reply"] == "done: think"
        await fleet.idle()
        assert not fleet.ledger.pending("turns")
        assert fleet.ledger.verify().ok
    live, rebuilt = digests(tmp_path, tmp_path / "rebuilt")
    assert live == rebuilt


async def test_a_childs_approval_is_an_operators_and_the_parent_is_told(tmp_path):
    @tool
    def pay(amount: int) -> str:
        """Pay."""
        raise AssertionError("nobody approved it")

    def worker(request: Any) -> Any:
        if last_words_or(request) == "pay":
            return [use("pay", amount=5)]
        return "It waits." if "waits for approval" in str(results(request)) else obey(request)

    async with open_fleet(tmp_path, office(tools=[pay]), models=scripted(to_lead, worker)) as fleet:
        assert await ask(fleet, "researcher(pay)") == "It waits."
        child = events_of(fleet, TurnEnded)[0].event
        assert child.result == "blocked"
        assert "waits for approval: cfm_" in child.reason


async def test_what_a_child_uses_counts_for_its_parent(tmp_path):
    def worker(request: Any) -> Any:
        answer = obey(request)
        blocks = tuple(answer) if isinstance(answer, list) else ({"type": "text", "text": answer},)
        stop = "tool_use" if isinstance(answer, list) else "end_turn"
        return Answer(blocks, stop, "test:worker", Usage(input_tokens=100))

    app = App(name="office", agents=[
        DialogAgent("lead", may_dispatch=["writer"], policy=Policy(turn_tokens=190)),
        DialogAgent("writer"),
    ])  # fmt: skip
    async with open_fleet(tmp_path, app, models=scripted(to_lead, worker)) as fleet:
        await ask(fleet, "writer(x)")
        (child,) = [each.event for each in events_of(fleet, SubjobStarted)]
        assert child.most_tokens == 90
        ended = events_of(fleet, TurnEnded)[-1].event
        assert ended.reason == "budget of the turn: 200 of 190 tokens are used"


async def test_why_tells_what_children_cost_apart_from_the_turn(tmp_path, capsys):
    def worker(request: Any) -> Any:
        answer = obey(request)
        blocks = tuple(answer) if isinstance(answer, list) else ({"type": "text", "text": answer},)
        stop = "tool_use" if isinstance(answer, list) else "end_turn"
        return Answer(blocks, stop, "claude-haiku-4-5", Usage(input_tokens=1000, output_tokens=100))

    async with open_fleet(tmp_path, office(), models=scripted(to_lead, worker)) as fleet:
        await ask(fleet, "writer(x) researcher!(writer(y))")  # the second one is not waited for, and hands on
        found = explain(fleet.ledger, "m-1")
        assert (found.answering.calls, found.handed_on.calls) == (2, 4)
        assert found.handed_models == ("claude-haiku-4-5",)
        assert found.handed_on.cost_usd == pytest.approx(4 * 0.0015)
        assert found.as_dict()["handed_on"]["tokens"]["input"] == 4000
        print_page(render(found))
        cost = "handed on     4 model calls, 4000 tokens in, 400 out, $0.006000; claude-haiku-4-5"
        assert cost in capsys.readouterr().out
        await ask(fleet, "hello", "m-2")
        assert explain(fleet.ledger, "m-2").handed_on.calls == 0
        print_page(render(explain(fleet.ledger, "m-2")))
        assert "handed on" not in capsys.readouterr().out


def test_who_may_be_handed_a_task_is_checked_when_it_is_declared():
    with pytest.raises(ConfigError, match="agent a: may_dispatch names a itself; an agent hands tasks to others"):
        DialogAgent("a", may_dispatch=["a"])
    with pytest.raises(ConfigError, match="agent a: may_dispatch names 'b', which is none of a"):
        App(name="x", agents=[DialogAgent("a", may_dispatch=["b"])])

    @tool(effect="read", name="subagent_dispatch")
    def mine() -> str:
        """Do."""
        return ""

    with pytest.raises(ConfigError, match="subagent_dispatch is the tool that may_dispatch gives; rename yours"):
        DialogAgent("a", may_dispatch=["b"], tools=[mine])


def dying(at: str) -> Any:
    """A model that ends the process, as a power cut would, when it is asked this."""

    def worker(request: Any) -> Any:
        if (results(request) and at == "back") or last_words_or(request) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return obey(request)

    return worker


async def first(home: Path, at: str) -> None:
    async with open_fleet(home, office(), models=scripted(to_lead, dying(at)), checkpoint_events=1) as fleet:
        await ask(fleet, "writer(a) researcher(b)")


@pytest.mark.parametrize("at", ["a", "b", "back"])
async def test_a_killed_worker_leaves_children_that_the_next_one_finishes(tmp_path, at):
    home = tmp_path / "home"
    assert run_child(first, home, at) == -signal.SIGKILL
    async with open_fleet(home, office(), models=scripted(to_lead, obey)) as fleet:
        reply = await fleet.reply_to("m-1")
        await fleet.idle()
        assert sorted(json.loads(each)["reply"] for each in reply.split(" + ")) == ["done: a", "done: b"]
        assert len(events_of(fleet, SubjobStarted)) == 2  # none was started twice
        assert len(events_of(fleet, TurnStarted)) == len(events_of(fleet, TurnEnded)) == 3
        assert len(events_of(fleet, ReplyDelivered)) == 1
        assert not fleet.ledger.pending("turns")
        assert fleet.ledger.verify().ok
    live, rebuilt = digests(home, tmp_path / "rebuilt")
    assert live == rebuilt

"""Jobs as operators see them, and what they order: called off between steps, tried again."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.commands import call, refused
from support.fleets import Outgoing, digests, echo, events_of, helper_app, last_words, open_fleet, scripted, use

from fleet import Message, tool
from fleet.errors import InputError, ModelError
from fleet.ledger.events import TurnEnded, TurnStarted
from fleet.runtime.approvals import confirmations
from fleet.runtime.home import Home
from fleet.runtime.job_orders import cancel_job, retry_job
from fleet.runtime.jobs import find_job, job_of, jobs
from fleet.runtime.takeover import takeover


@tool(effect="read")
def look(what: str) -> str:
    """Look it up."""
    return f"found {what}"


@tool
def pay(amount: int) -> str:
    """Pay."""
    return "paid"


def down(request):
    raise ModelError("the model is down")


async def test_a_running_turn_and_what_waits_are_called_off_together_and_once(tmp_path):
    began, out = asyncio.Event(), Outgoing()

    async def work(request):
        if last_words(request) == "slow":
            began.set()
            await asyncio.Event().wait()
        return echo(request)

    home = tmp_path / "home"
    async with open_fleet(home, helper_app(out), models=scripted(worker=work)) as fleet:
        slow = await fleet.accept(Message("ana", "slow"))
        await began.wait()
        waits = await fleet.accept(Message("ana", "also"))
        job_id = events_of(fleet, TurnStarted)[0].event.job_id
        while job_of(fleet.ledger, job_id).waiting < 2:
            await asyncio.sleep(0.01)
        assert job_of(fleet.ledger, job_id).state == "running"
        with Home(home).open_ledger() as other:  # as another process does
            assert cancel_job(other, job_id, by="eva", reason="wrong").state == "running"
        assert [await fleet.reply_to(each.message_id) for each in (slow, waits)] == ["", ""]
        await fleet.idle()
        ended = [(each.event.message_ids, each.event.reason) for each in events_of(fleet, TurnEnded)]
        assert ended == [
            ((slow.message_id,), "called off by eva: wrong"), ((waits.message_id,), "called off by eva: wrong")
        ]  # fmt: skip
        assert out.sent == []
        assert job_of(fleet.ledger, job_id).state == "cancelled"
        with pytest.raises(InputError) as at_rest:
            cancel_job(fleet.ledger, job_id, by="eva")
        assert at_rest.value.message == f"job {job_id} is at rest (cancelled); there is nothing to call off"
        last = await fleet.accept(Message("ana", "hello"))
        assert await fleet.reply_to(last.message_id) == "You said: hello", "the thread goes on"
    assert len(set(digests(home, tmp_path / "again"))) == 1


async def test_what_waits_for_a_person_is_called_off_too(tmp_path):
    out = Outgoing()
    async with open_fleet(tmp_path / "home", helper_app(out)) as fleet:
        await fleet.reply_to((await fleet.accept(Message("ana", "hello"))).message_id)
        (found,) = jobs(fleet.ledger)
        takeover(fleet.ledger, found.thread_id, by="eva")
        waits = await fleet.accept(Message("ana", "more"))
        while not job_of(fleet.ledger, found.id).waiting:
            await asyncio.sleep(0.01)
        assert (job_of(fleet.ledger, found.id).state, found.state) == ("taken_over", "success")
        cancel_job(fleet.ledger, found.id, by="bo")
        assert await fleet.reply_to(waits.message_id) == ""
        await fleet.idle()
        assert [text for _, text in out.sent] == ["You said: hello"]


async def test_what_failed_is_tried_again(tmp_path):
    out, home = Outgoing(), tmp_path / "home"
    async with open_fleet(home, helper_app(out), models=scripted(worker=down)) as fleet:
        first = await fleet.accept(Message("ana", "hello"))
        await fleet.reply_to(first.message_id)
        await fleet.idle()
        (found,) = jobs(fleet.ledger, state="failed")
        assert (found.user, found.agent, len(found.turns)) == ("ana", "helper", 1)
        assert list(jobs(fleet.ledger, state="success")) == list(jobs(fleet.ledger, user="bo")) == []
        assert retry_job(fleet.ledger, found.id, by="eva") == (first.message_id,)
        await fleet.idle()
    with Home(home).open_ledger() as ledger:
        if job_of(ledger, found.id).state == "failed":  # it may have been tried, and have failed, once more
            retry_job(ledger, found.id, by="eva")
    async with open_fleet(home, helper_app(out)) as fleet:
        assert await fleet.reply_to(first.message_id) == "You said: hello"
        await fleet.idle()
        assert out.sent[-1] == ("ana", "You said: hello")
        assert job_of(fleet.ledger, found.id).state == "success"
        with pytest.raises(InputError) as done:
            retry_job(fleet.ledger, found.id, by="eva")
        assert done.value.message == f"job {found.id} is success; only what failed or is blocked is tried again"
    assert len(set(digests(home, tmp_path / "again"))) == 1


async def test_a_job_is_shown_with_its_turns_calls_and_costs(tmp_path):
    def work(request):
        if not isinstance(request.messages[-1]["content"], str):
            return "Here."
        wanted = last_words(request)
        return (use("pay", amount=5),) if wanted == "pay" else (use("look", what=wanted),)

    home = tmp_path / "home"
    async with open_fleet(home, helper_app(tools=[look, pay]), models=scripted(worker=work)) as fleet:
        for text in ("tea", "pay"):
            accepted = await fleet.accept(Message("ana", text, f"m-{text}"))
            await fleet.reply_to(accepted.message_id)
        await fleet.idle()
        (found,) = jobs(fleet.ledger)
        first, second = found.turns
        assert (first.result, first.model_calls, first.message_ids) == ("success", 2, ("m-tea",))
        assert [(each.tool, each.arguments, each.state, each.content) for each in first.calls] == [
            ("look", {"what": "tea"}, "done", "found tea")
        ]
        assert [(each.tool, each.state) for each in second.calls] == [("pay", "asked")]
        (asked,) = confirmations(fleet.ledger)
        assert second.calls[0].confirm_id == asked.id
        assert found.tokens == first.tokens + second.tokens
        assert find_job(fleet.ledger, found.id[:9]) == found.id
    shown = await asyncio.to_thread(call, "jobs", "show", "--home", home, found.id)
    for words in (found.id, "turn 1: success", "answers m-tea", 'look {"what": "tea"} → done: found tea', "Here."):
        assert words in shown.stdout
    told = json.loads((await asyncio.to_thread(call, "jobs", "show", "--home", home, found.id, "--json")).stdout)
    assert [turn["result"] for turn in told["turns"]] == ["success", "need_input"]
    for command in (("show",), ("cancel",), ("retry",)):
        said = await asyncio.to_thread(call, "jobs", *command, "--home", home, "job_none")
        assert refused(said) == "there is no job 'job_none'; `fleet jobs list` shows them"
    said = await asyncio.to_thread(call, "jobs", "cancel", "--home", home, found.id)
    assert refused(said) == f"job {found.id} is at rest (need_input); there is nothing to call off"

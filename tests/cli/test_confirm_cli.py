"""`fleet confirm` and `fleet jobs`: what waits for a person, settled beside a worker and without one."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.commands import call, refused
from support.fleets import events_of, helper_app, open_fleet, scripted, use

from fleet import Message, tool
from fleet.ledger.events import ToolReturned, TurnEnded

RAN: list[str] = []


@tool
def pay(amount: int) -> str:
    """Pay."""
    RAN.append(f"pay {amount}")
    return "paid"


@tool(confirm="never", timeout_s=0.05)
async def send_fax(to: str) -> str:
    """Send a fax."""
    await asyncio.sleep(60)
    return "sent"


def work(request):
    last = request.messages[-1]["content"]
    if not isinstance(last, str):
        return " / ".join(block.get("text", "").split("\n")[0] for block in last if block["type"] == "text") or "Hm."
    return [use("send_fax", to="bo") if "fax" in last else use("pay", amount=5)]


def fleet_on(home):
    return open_fleet(home, helper_app(tools=[pay, send_fax]), models=scripted(worker=work))


async def say(home, text):
    async with fleet_on(home) as fleet:
        accepted = await fleet.accept(Message("ana", text))
        await fleet.reply_to(accepted.message_id)
        await fleet.idle()


async def finish(home):
    """A worker that starts, takes up what is there, and stops; the last turn's end and result."""
    async with fleet_on(home) as fleet:
        await fleet.idle()
        return events_of(fleet, TurnEnded)[-1].event, events_of(fleet, ToolReturned)[-1].event


@pytest.mark.parametrize(("verb", "state", "ran"), [("approve", "approved", ["pay 5"]), ("deny", "denied", [])])
def test_an_operators_word_is_taken_up_by_the_next_worker(tmp_path, verb, state, ran):
    RAN.clear()
    home = tmp_path / "home"
    asyncio.run(say(home, "pay"))
    (waiting,) = [json.loads(line) for line in call("confirm", "list", "--home", home, "--json").stdout.splitlines()]
    assert (waiting["state"], waiting["tool"], waiting["arguments"]) == ("open", "pay", {"amount": 5})
    listed = call("confirm", "list", "--home", home)
    assert waiting["id"] in listed.stdout
    assert 'pay {"amount": 5}' in listed.stdout
    done = call("confirm", verb, "--home", home, "--by", "olga", waiting["id"][:10])
    assert (done.returncode, done.stdout) == (0, f"{waiting['id']}: {state} by olga\n")
    assert RAN == []
    again = refused(call("confirm", "approve", "--home", home, waiting["id"]))
    assert again == f"confirmation {waiting['id']} was {state} by olga; nothing was changed"
    ended, _ = asyncio.run(finish(home))
    assert ran == RAN
    assert "an operator" in ended.reply
    assert ended.settled == (waiting["id"],)
    assert call("confirm", "list", "--home", home, "--json").stdout == ""
    every = call("confirm", "list", "--home", home, "--all", "--json")
    assert [json.loads(line)["state"] for line in every.stdout.splitlines()] == [state]


def test_a_call_that_timed_out_blocks_its_job_until_a_person_has_looked(tmp_path):
    home = tmp_path / "home"
    asyncio.run(say(home, "fax"))
    listed = call("jobs", "list", "--home", home, "--cut-off", "--json").stdout
    ((job_id, user, state, cut),) = [
        (job["id"], job["user"], job["state"], job["cut_off"]) for job in map(json.loads, listed.splitlines())
    ]
    assert (user, state) == ("ana", "blocked")
    assert [(each["tool"], each["arguments"], each["state"]) for each in cut] == [("send_fax", {"to": "bo"}, "unknown")]
    shown = call("jobs", "list", "--home", home).stdout
    assert job_id in shown
    assert 'send_fax {"to": "bo"}' in shown
    assert refused(call("jobs", "retry", "--home", home, job_id)) == (
        f"job {job_id} has a call that was cut off; `fleet jobs resolve {job_id}` comes first"
    )
    assert "say --took-effect or --no-effect" in refused(call("jobs", "resolve", "--home", home, job_id))
    done = call("jobs", "resolve", "--home", home, job_id, "--took-effect", "--note", "Bo has it", "--by", "olga")
    assert (done.returncode, done.stdout) == (0, f"{job_id}: send_fax took effect, on record\n")
    ended, told = asyncio.run(finish(home))
    assert told.content == 'A person has checked send_fax: it took effect.\nNote: "Bo has it"'
    assert "A person has checked send_fax: it took effect." in ended.reply
    assert call("jobs", "list", "--home", home, "--cut-off", "--json").stdout == ""
    refusal = refused(call("jobs", "resolve", "--home", home, job_id, "--no-effect"))
    assert refusal == f"job '{job_id}' has no call to resolve; see `fleet jobs list`"


def test_what_is_not_there_is_refused_in_one_line(tmp_path):
    home = tmp_path / "home"
    asyncio.run(say(home, "pay"))
    assert refused(call("confirm", "approve", "--home", home, "cfm_nope")) == (
        "'cfm_nope' is no confirmation; see `fleet confirm list`"
    )
    (waiting,) = [json.loads(line) for line in call("confirm", "list", "--home", home, "--json").stdout.splitlines()]
    for name in ("user", " User "):  # who the record would take for ana
        said = refused(call("confirm", "approve", "--home", home, "--by", name, waiting["id"]))
        assert said == (
            "'user' is whoever the thread belongs to, and no operator's name: give yours (--by); nothing was changed"
        )
    said = refused(call("confirm", "approve", "--home", home, "--by", "ol\x1b[2Jga", waiting["id"]))
    assert said == "it takes a printable name, who says so; nothing was changed"
    assert waiting["id"] in call("confirm", "list", "--home", home).stdout
    assert "there is no fleet in" in refused(call("confirm", "list", "--home", tmp_path / "none"))
    assert "there is no fleet in" in refused(call("jobs", "list", "--home", tmp_path / "none"))

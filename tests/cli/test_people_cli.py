"""`fleet takeover`, `reply` and `release`: between two workers, and what is said of them afterwards."""

from __future__ import annotations

import asyncio
import json

from support.commands import call, refused
from support.fleets import events_of, helper_app, open_fleet

from fleet import Message
from fleet.ledger.events import TurnEnded


async def serve(home, text=""):
    """A worker that starts, takes a message, finishes what there is, and stops: the ends of all turns."""
    async with open_fleet(home, helper_app()) as fleet:
        if text:
            await fleet.accept(Message("ana", text, "m-" + text))
        await fleet.idle()
        return [each.event for each in events_of(fleet, TurnEnded)]


def test_a_thread_is_taken_over_answered_and_released(tmp_path):
    home = tmp_path / "home"
    (ended,) = asyncio.run(serve(home, "hello"))
    thread = ended.thread_id
    assert refused(call("reply", "--home", home, thread, "Hi")) == (
        f"thread {thread} is not taken over; `fleet takeover {thread}` does that; nothing was sent"
    )
    done = call("takeover", "--home", home, thread[:9], "--by", "eva")
    assert (done.returncode, done.stdout) == (0, f"{thread}: taken over by eva\n")
    assert refused(call("takeover", "--home", home, thread, "--by", "bo")) == (
        f"thread {thread} was taken over by eva; nothing was changed"
    )
    assert len(asyncio.run(serve(home, "more"))) == 1, "no model answers"
    (listed,) = [json.loads(line) for line in call("threads", "list", "--home", home, "--json").stdout.splitlines()]
    assert (listed["taken_over"], listed["status"]) == ("eva", "working")
    assert "working, with eva" in call("threads", "list", "--home", home).stdout
    done = call("reply", "--home", home, thread, "Here I am.")
    assert (done.returncode, done.stdout) == (0, f"{thread}: the reply is on record\n")
    said = asyncio.run(serve(home))[-1]
    assert (said.reply, said.by, said.message_ids) == ("Here I am.", "eva", ("m-more",))
    done = call("release", "--home", home, thread, "--by", "bo")
    assert (done.returncode, done.stdout) == (0, f"{thread}: released; eva had it\n")
    assert refused(call("release", "--home", home, thread)) == (
        f"thread {thread} is not taken over; `fleet takeover {thread}` does that; nothing was changed"
    )
    assert asyncio.run(serve(home, "thanks"))[-1].reply == "You said: thanks"
    shown = call("threads", "show", "--home", home, thread).stdout
    for words in ("taken over by eva", "eva (success):", "Here I am.", "released by bo"):
        assert words in shown
    why = call("why", "--home", home, "m-more")
    assert "answered by eva in the agent's place; the reply was delivered" in " ".join(why.stdout.split())
    told = json.loads(call("why", "--home", home, "m-more", "--json").stdout)
    assert told["state"] == "answered"


def test_what_is_not_there_is_refused_in_one_line(tmp_path):
    home = tmp_path / "home"
    asyncio.run(serve(home, "hello"))
    for command in (("takeover", "thr_none"), ("reply", "thr_none", "Hi"), ("release", "thr_none")):
        said = refused(call(command[0], "--home", home, *command[1:]))
        assert said == "there is no thread 'thr_none'; `fleet threads list` shows them"
    assert "there is no fleet in" in refused(call("takeover", "--home", tmp_path / "none", "thr_x"))
    assert not (tmp_path / "none").exists()

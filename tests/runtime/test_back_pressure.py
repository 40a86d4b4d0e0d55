"""Back-pressure: while too many messages wait to be routed, more are refused for now, and told when to try again."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from support.commands import call
from support.fleets import events_of, newest_else_new, open_fleet, scripted

from fleet import Message
from fleet.errors import InboxFullError
from fleet.ledger.events import MessageAccepted, MessageDecided
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now


async def test_a_full_inbox_refuses_and_takes_again_once_there_is_room(tmp_path):
    go = asyncio.Event()

    async def waits(request):
        await go.wait()
        return newest_else_new(request)

    async with open_fleet(tmp_path, models=scripted(waits), inbox_limit=3) as fleet:
        told = await asyncio.gather(
            *(fleet.accept(Message(f"user-{n}", "hi", id=f"m-{n}")) for n in range(8)), return_exceptions=True
        )
        refused = [each for each in told if isinstance(each, InboxFullError)]
        assert len(refused) == 5
        assert [each.retry_after for each in refused] == [60] * 5  # nothing has been decided yet, at no pace at all
        assert refused[0].message == (
            "the inbox is full: 3 messages wait to be routed and at most 3 may; nothing was sent; try again in 60 s"
        )
        assert not (await fleet.accept(Message("user-0", "hi", id="m-0"))).new  # accepted before, so there is room
        go.set()
        await fleet.idle()
        assert (await fleet.accept(Message("user-9", "hi", id="m-9"))).new
        await fleet.idle()
        ids = ["m-0", "m-1", "m-2", "m-9"]
        for kind in (MessageAccepted, MessageDecided):
            assert [each.event.message_id for each in events_of(fleet, kind)] == ids


async def test_no_limit_is_a_choice(tmp_path):
    async with open_fleet(tmp_path, inbox_limit=0) as fleet:
        await asyncio.gather(*(fleet.accept(Message(f"user-{n}", "hi")) for n in range(200)))
        await fleet.idle()
        assert len(events_of(fleet, MessageDecided)) == 200


async def test_a_message_that_could_not_be_written_takes_up_no_room(tmp_path):
    async with open_fleet(tmp_path, inbox_limit=1) as fleet:
        await fleet.accept(Message("ana", "hi", id="m-1"))
        await fleet.idle()
        assert not (await fleet.accept(Message("ana", "hi", id="m-1"))).new
        assert (await fleet.accept(Message("ana", "hi", id="m-2"))).new


def test_send_exits_75_with_one_line_and_writes_nothing(tmp_path):
    def send(message_id, limit="2"):
        return call("send", "--home", tmp_path, "--user", "ana", "--id", message_id, "hi", FLEET_INBOX_LIMIT=limit)

    assert [send(each).returncode for each in ("m-1", "m-2")] == [0, 0]
    third = send("m-3")
    assert (third.returncode, third.stdout) == (75, "")
    assert third.stderr == (
        "fleet: the inbox is full: 2 messages wait to be routed and at most 2 may; nothing was sent; "
        "try again in 60 s\n"
    )
    assert "already accepted" in send("m-2").stderr
    assert send("m-3", limit="0").returncode == 0
    with Home(tmp_path).read_ledger() as ledger:
        assert [each.event.message_id for each in ledger.read()] == ["m-1", "m-2", "m-3"]


async def test_when_to_try_again_follows_the_pace_of_the_last_decisions(tmp_path):
    async with open_fleet(tmp_path) as fleet:
        for n in range(5):
            await fleet.accept(Message("ana", f"hi {n}"))
        await fleet.idle()
    with Home(tmp_path).open_ledger() as ledger:
        accept_now(ledger, Message("ana", "waits"), 1000)
        with pytest.raises(InboxFullError) as refused:
            accept_now(ledger, Message("ana", "is refused"), 1000, 1)
        assert 1 <= refused.value.retry_after < 60
        again = pickle.loads(pickle.dumps(refused.value))
        assert (again.message, again.retry_after) == (refused.value.message, refused.value.retry_after)

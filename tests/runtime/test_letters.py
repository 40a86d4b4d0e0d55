"""An operator and a worker at the same message: one of them comes first, the other goes by that."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import decisions, digests, events_of, newest_else_new, open_fleet, printed_message, scripted

from fleet import Message
from fleet.errors import InputError
from fleet.ledger.events import MessageDead, MessageDecided, MessageDropped, MessageFailed
from fleet.runtime.home import Home
from fleet.runtime.letters import drop_message, retry_message


@pytest.fixture
def operator(tmp_path):
    """A ledger of the same home, as another process has it."""
    with Home(tmp_path / "home").open_ledger() as ledger:
        yield ledger


async def applied(fleet, kind):
    """Wait until the fleet has applied an event of this kind."""
    seen = asyncio.Event()
    fleet.on(lambda stored: isinstance(stored.event, kind) and seen.set())
    if not events_of(fleet, kind):
        await seen.wait()


async def test_a_message_dropped_while_the_model_thinks_is_not_routed_and_the_next_one_is(tmp_path, operator):
    thinks, go = asyncio.Event(), asyncio.Event()

    async def route(request):
        thinks.set()
        await go.wait()
        return newest_else_new(request)

    async with open_fleet(tmp_path / "home", models=scripted(route)) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        await fleet.accept(Message("ana", "two", id="m-2"))
        await thinks.wait()
        drop_message(operator, "m-1", by="otto")
        go.set()
        assert await fleet.reply_to("m-1") == ""
        assert await fleet.reply_to("m-2") == "You said: two"
        await fleet.idle()
        assert [each.event.message_id for each in events_of(fleet, MessageDecided)] == ["m-2"]
        assert fleet.ledger.verify().problems == ()
    live, rebuilt = digests(tmp_path / "home", tmp_path / "again")
    assert live == rebuilt


async def test_a_message_dropped_between_two_attempts_is_not_tried_again(tmp_path, operator):
    tried = []

    def route(request):
        tried.append(printed_message(request))
        return 1 / 0 if "poison" in tried[-1] else newest_else_new(request)

    async with open_fleet(tmp_path / "home", models=scripted(route), retry_backoff_s=0.3) as fleet:
        await fleet.accept(Message("ana", "poison", id="m-1"))
        await fleet.accept(Message("ana", "two", id="m-2"))
        await applied(fleet, MessageFailed)
        drop_message(operator, "m-1", by="otto", reason="it will not work")
        assert await fleet.reply_to("m-2") == "You said: two"
        assert tried == ["poison", "two"]
        assert events_of(fleet, MessageDead) == []


async def test_of_two_who_put_the_same_letter_back_one_is_told_about_the_other(tmp_path, operator):
    async with open_fleet(tmp_path / "home", models=scripted(lambda request: 1 / 0), max_attempts=1) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        await fleet.idle()

    def put_back(by):
        try:
            return retry_message(operator, "m-1", by=by).by
        except InputError as refused:
            return refused.message

    said = await asyncio.gather(*(asyncio.to_thread(put_back, by) for by in ("otto", "olga")))
    (first,) = [each for each in said if each in ("otto", "olga")]
    (second,) = [each for each in said if each != first]
    assert second == f"message m-1 is no dead letter: {first} has put it back; nothing was put back"
    drop_message(operator, "m-1", by="otto")
    with pytest.raises(InputError, match="otto has dropped it"):
        drop_message(operator, "m-1", by="olga")
    async with open_fleet(tmp_path / "home") as fleet:
        await fleet.idle()
        assert decisions(fleet) == []
        assert [each.event.by for each in events_of(fleet, MessageDropped)] == ["otto"]

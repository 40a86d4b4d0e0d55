"""What fails with an unforeseen error is tried again, then set aside, and the user's later messages go on."""

from __future__ import annotations

import pytest
from support.fleets import (
    Outgoing,
    decisions,
    digests,
    echo,
    events_of,
    helper_app,
    last_words,
    newest_else_new,
    open_fleet,
    printed_message,
    scripted,
)

from fleet import Message
from fleet.errors import LedgerError
from fleet.ledger.events import (
    MessageAccepted,
    MessageDead,
    MessageDecided,
    MessageFailed,
    TurnEnded,
    TurnFailed,
    TurnStarted,
)

QUICK = {"retry_backoff_s": 0.001}


async def test_a_message_that_cannot_be_routed_goes_to_the_dead_letters_and_the_next_one_goes_on(tmp_path):
    def route(request):
        return 1 / 0 if printed_message(request) == "poison" else newest_else_new(request)

    async with open_fleet(tmp_path / "home", models=scripted(route), **QUICK) as fleet:
        eve = await fleet.accept(Message("eve", "poison", id="m-eve"))
        ana = await fleet.accept(Message("ana", "hi", id="m-ana"))
        assert await fleet.reply_to(ana.message_id) == "You said: hi"
        assert await fleet.reply_to(eve.message_id) == ""
        await fleet.idle()
        failed = [each.event for each in events_of(fleet, MessageFailed)]
        assert [(each.message_id, each.attempt, each.error) for each in failed] == [
            ("m-eve", 1, "ZeroDivisionError: division by zero"),
            ("m-eve", 2, "ZeroDivisionError: division by zero"),
        ]
        assert "1 / 0" in failed[0].trace
        (dead,) = events_of(fleet, MessageDead)
        assert (dead.user, dead.stream, dead.event.stage, dead.event.attempts) == ("eve", "message:m-eve", "routing", 3)
        assert [each.key for each in fleet.ledger.pending("dead")] == ["m-eve"]
        assert fleet.ledger.pending_count("inbox") == 0
        assert fleet.ledger.verify().problems == ()
    live, rebuilt = digests(tmp_path / "home", tmp_path / "again")
    assert live == rebuilt


async def test_a_user_keeps_their_order_while_a_message_is_tried_again(tmp_path):
    tries = []

    def route(request):
        text = printed_message(request)
        tries.append(text)
        if text == "two" and tries.count("two") < 3:
            raise RuntimeError("not yet")
        return newest_else_new(request)

    async with open_fleet(tmp_path, models=scripted(route), **QUICK) as fleet:
        for text in ("one", "two", "three"):
            await fleet.accept(Message("ana", text))
        await fleet.idle()
        assert tries == ["one", "two", "two", "two", "three"]
        assert len(decisions(fleet)) == 3
        assert [each.event.text for each in events_of(fleet, MessageDecided)] == ["one", "two", "three"]


async def test_tries_are_counted_across_restarts(tmp_path):
    class Broken:
        """A model of the application's own that raises what it likes."""

        name = "test:router"
        calls = 0

        async def complete(self, request):
            Broken.calls += 1
            raise OSError("gone")

        async def aclose(self):
            pass

    models = {**scripted(), "test:router": Broken()}
    async with open_fleet(tmp_path, models=models, retry_backoff_s=3600, max_attempts=3) as fleet:
        await fleet.accept(Message("ana", "hi", id="m-1"))
        await until(fleet, MessageFailed, 1)
    async with open_fleet(tmp_path, models=models, retry_backoff_s=3600, max_attempts=3) as fleet:
        await until(fleet, MessageFailed, 2)
    async with open_fleet(tmp_path, models=models, max_attempts=3) as fleet:
        await fleet.idle()
        assert Broken.calls == 3
        assert [each.event.attempt for each in events_of(fleet, MessageFailed)] == [1, 2]
        assert [each.event.attempts for each in events_of(fleet, MessageDead)] == [3]


async def until(fleet, kind, count):
    """Wait until so many events of the kind are on record."""
    import asyncio

    seen = asyncio.Event()
    fleet.on(lambda stored: isinstance(stored.event, kind) and seen.set())
    while len(events_of(fleet, kind)) < count:
        await seen.wait()
        seen.clear()


async def test_a_turn_that_fails_too_often_ends_and_says_so_and_the_next_one_goes_on(tmp_path):
    def work(request):
        if "poison" in last_words(request):
            raise RuntimeError("boom")
        return echo(request)

    out = Outgoing()
    async with open_fleet(tmp_path / "home", helper_app(out), models=scripted(worker=work), **QUICK) as fleet:
        poison = await fleet.accept(Message("ana", "new poison", id="m-1"))
        said = await fleet.reply_to(poison.message_id)
        assert said.startswith("Something went wrong on our side")
        good = await fleet.accept(Message("ana", "good", id="m-2"))
        assert await fleet.reply_to(good.message_id) == "You said: good"
        await fleet.idle()
        assert [each.event.attempt for each in events_of(fleet, TurnFailed)] == [1, 2]
        assert len(events_of(fleet, TurnStarted)) == 2
        first, second = [each.event for each in events_of(fleet, TurnEnded)]
        assert (first.result, second.result) == ("failed", "success")
        assert first.reason == "to the dead letters after 3 attempts: RuntimeError: boom"
        (dead,) = [each.event for each in events_of(fleet, MessageDead)]
        assert (dead.message_id, dead.stage, dead.job_id) == ("m-1", "turn", first.job_id)
        assert [each.key for each in fleet.ledger.pending("dead")] == ["m-1"]
        assert [text for _, text in out.sent] == [said, "You said: good"]
        assert fleet.ledger.verify().problems == ()
    live, rebuilt = digests(tmp_path / "home", tmp_path / "again")
    assert live == rebuilt


async def test_a_turn_goes_on_from_its_last_step_when_it_is_tried_again(tmp_path):
    calls = []

    def work(request):
        calls.append(last_words(request))
        if len(calls) == 1:
            raise RuntimeError("once")
        return echo(request)

    async with open_fleet(tmp_path, models=scripted(worker=work), **QUICK) as fleet:
        sent = await fleet.accept(Message("ana", "hi"))
        assert await fleet.reply_to(sent.message_id) == "You said: hi"
        assert len(events_of(fleet, TurnStarted)) == 1
        assert fleet.ledger.pending_count("dead") == 0


async def test_words_that_cannot_be_stored_are_the_message_s_trouble_not_the_fleet_s(tmp_path):
    class Odd:
        """A model that names itself in a way that no store takes."""

        name = "half a pair: \ud800"

        async def complete(self, request):
            from fleet.errors import ModelUnavailableError

            raise ModelUnavailableError("down")

        async def aclose(self):
            pass

    async with open_fleet(tmp_path, models={**scripted(), "test:router": Odd()}, **QUICK) as fleet:
        await fleet.accept(Message("ana", "hi", id="m-1"))
        await fleet.idle()
        (dead,) = [each.event for each in events_of(fleet, MessageDead)]
        assert "cannot be stored" in dead.error


async def test_exit_in_the_application_s_code_does_not_end_the_fleet(tmp_path):
    def leave(user):
        raise SystemExit(3)

    async with open_fleet(tmp_path, helper_app(preferred_language_for=leave), **QUICK) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        assert [each.event.error for each in events_of(fleet, MessageDead)] == ["SystemExit: 3"]


async def test_an_error_of_the_stores_still_ends_the_fleet(tmp_path):
    def broken(request):
        raise LedgerError("the disk is gone")

    async with open_fleet(tmp_path, models=scripted(broken)) as fleet:
        await fleet.accept(Message("ana", "hi"))
        with pytest.raises(LedgerError, match="the disk is gone"):
            await fleet.idle()
    async with open_fleet(tmp_path) as fleet:
        await fleet.idle()
        assert len(events_of(fleet, MessageAccepted)) == len(decisions(fleet)) == 1

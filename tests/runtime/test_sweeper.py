"""What is stuck past its deadline is found and brought to its end, each on record; what merely waits is left alone."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from support.fleets import Outgoing, echo, events_of, helper_app, newest_else_new, open_fleet, scripted

from fleet import Message
from fleet.clock import now
from fleet.ledger.events import (
    MessageDead,
    MessageDecided,
    MessageFailed,
    ReplyDelivered,
    ReplyFailed,
    StuckFound,
    TurnEnded,
    TurnFailed,
)

QUICK = {"sweep_s": 0.05, "stuck_s": 0.4, "retry_backoff_s": 0.001}


def found(fleet):
    return [(each.event.queue, each.event.key, each.event.did) for each in events_of(fleet, StuckFound)]


class HangsOnce:
    """Answers like `answer`, but the first call never comes to an end."""

    def __init__(self, answer) -> None:
        self.answer, self.calls = answer, 0

    async def __call__(self, request):
        self.calls += 1
        if self.calls == 1:
            await asyncio.Event().wait()
        return self.answer(request)


async def test_routing_that_hangs_is_cut_off_and_tried_again(tmp_path):
    async with open_fleet(tmp_path, models=scripted(HangsOnce(newest_else_new)), **QUICK) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        await fleet.accept(Message("ana", "two", id="m-2"))
        assert "You said:" in await fleet.reply_to("m-2")
        assert found(fleet) == [("inbox", "m-1", "cut off")]
        (failed,) = events_of(fleet, MessageFailed)
        assert failed.event.error.startswith("TimeoutError: no progress for ")
        assert [each.event.message_id for each in events_of(fleet, MessageDecided)] == ["m-1", "m-2"]


async def test_what_always_hangs_ends_as_a_dead_letter(tmp_path):
    async def never(request):
        await asyncio.Event().wait()

    async with open_fleet(tmp_path, models=scripted(never), max_attempts=2, **QUICK) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        assert await fleet.reply_to("m-1") == ""
        await fleet.idle()
        assert [each.event.attempts for each in events_of(fleet, MessageDead)] == [2]
        assert found(fleet) == [("inbox", "m-1", "cut off")] * 2


async def test_a_turn_that_hangs_is_cut_off_and_goes_on_from_its_last_step(tmp_path):
    async with open_fleet(tmp_path, models=scripted(worker=HangsOnce(echo)), **QUICK) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        assert await fleet.reply_to("m-1") == "You said: one"
        assert found(fleet) == [("turns", "m-1", "cut off")]
        assert len(events_of(fleet, TurnFailed)) == len(events_of(fleet, TurnEnded)) == 1


async def test_a_delivery_that_hangs_counts_as_refused(tmp_path):
    calls = []

    async def send(user, text):
        calls.append(text)
        if len(calls) == 1:
            await asyncio.Event().wait()

    async with open_fleet(tmp_path, helper_app(send), delivery_backoff_s=0.001, **QUICK) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        await fleet.idle()
        assert [each.event.attempts for each in events_of(fleet, ReplyDelivered)] == [2]
        assert events_of(fleet, ReplyFailed) == []
        assert [(queue, did) for queue, _, did in found(fleet)] == [("outbox", "cut off")]


async def test_what_waits_for_its_turn_or_its_time_is_left_alone(tmp_path):
    out, steps = Outgoing(), []

    async def work(request):
        """Slow, but with progress."""
        steps.append(request)
        await asyncio.sleep(0.15)
        if len(steps) % 4:
            return [{"type": "tool_use", "id": f"call_{len(steps)}", "name": "nothing", "input": {}}]
        return echo(request)

    app = helper_app(out)
    async with open_fleet(tmp_path, app, models=scripted(worker=work), concurrency=1, **QUICK) as fleet:
        await fleet.accept(Message("zoe", "later", id="m-later", not_before=now() + timedelta(days=1)))
        for n in range(3):
            await fleet.accept(Message(f"user-{n}", "hi"))
        await fleet.idle()
        assert len(out.sent) == 3
        assert found(fleet) == []
        assert events_of(fleet, TurnFailed) == []


async def test_what_the_loop_has_lost_is_set_going_again(tmp_path):
    """Lost as only a mistake in the loop could: taken out of its hands, while the ledger still holds it."""
    go = asyncio.Event()

    async def route(request):
        await go.wait()
        return newest_else_new(request)

    async with open_fleet(tmp_path, models=scripted(route), concurrency=1, **QUICK) as fleet:
        for n in range(3):  # two are taken, one waits in its lane
            await fleet.accept(Message(f"user-{n}", "hi", id=f"m-{n}"))
        fleet._loop.inbox.drop("user-2", "m-2")
        assert not fleet._loop.knows("inbox", "m-2")
        go.set()
        assert await fleet.reply_to("m-2") == "You said: hi"
        await fleet.idle()
        assert ("inbox", "m-2", "set going") in found(fleet)
        assert len(events_of(fleet, MessageDecided)) == 3


async def test_code_that_holds_up_the_event_loop_is_named_in_the_log(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("fleet.runtime.sweeper._ANSWER_S", 0.2)

    def sleepy(user, text):
        time.sleep(1.0)

    async with open_fleet(tmp_path, helper_app(sleepy), **QUICK) as fleet:
        await fleet.accept(Message("ana", "one", id="m-1"))
        await fleet.idle()
    (line,) = [each.getMessage() for each in caplog.records if "loop.blocked" in each.getMessage()]
    assert "in sleepy" in line
    assert "test_sweeper.py" in line

"""Delays and priority through a whole fleet: what is routed when, and after a restart too."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from support.fleets import echo, events_of, last_words, newest_else_new, open_fleet, printed_message, scripted

from fleet import Message
from fleet.clock import now, to_us
from fleet.errors import InputError
from fleet.ledger.events import MessageAccepted, MessageDecided


def routed(fleet):
    return [each.event.message_id for each in events_of(fleet, MessageDecided)]


async def test_a_delayed_message_waits_for_its_time_and_nothing_waits_for_it(tmp_path):
    async with open_fleet(tmp_path) as fleet:
        due = now() + timedelta(seconds=0.5)
        await fleet.accept(Message("ana", "later", id="m-later", not_before=due))
        await fleet.accept(Message("ana", "now", id="m-now"))
        await fleet.idle()
        assert routed(fleet) == ["m-now"]
        assert await fleet.reply_to("m-later") == "You said: later"
        (_, decided) = events_of(fleet, MessageDecided)
        assert decided.at >= to_us(due)
        assert decided.event.decision.latency_us.get("queue", 0) < 60_000_000  # since its time came


async def test_what_was_delayed_before_a_restart_is_routed_after_it_in_the_order_of_its_time(tmp_path):
    soon, past = now() + timedelta(seconds=1), now() - timedelta(days=1)
    async with open_fleet(tmp_path) as fleet:
        await fleet.accept(Message("ana", "tomorrow", id="m-tomorrow", not_before=now() + timedelta(days=1)))
        await fleet.accept(Message("ana", "second", id="m-2", not_before=soon + timedelta(milliseconds=1)))
        await fleet.accept(Message("ana", "first", id="m-1", not_before=soon))
        await fleet.accept(Message("ana", "long ago", id="m-0", not_before=past))
        await fleet.idle()
        assert routed(fleet) == ["m-0"]
    async with open_fleet(tmp_path) as fleet:
        await fleet.reply_to("m-2")
        assert routed(fleet) == ["m-0", "m-1", "m-2"]
        assert [each.key for each in fleet.ledger.pending("inbox")] == ["m-tomorrow"]


async def test_what_fell_due_while_no_worker_ran_is_due_at_its_start(tmp_path):
    due = now() + timedelta(milliseconds=20)
    async with open_fleet(tmp_path, models=scripted()) as fleet:
        await fleet.accept(Message("ana", "later", id="m-later", not_before=due))
    while now() <= due:
        await asyncio.sleep(0.01)
    async with open_fleet(tmp_path) as fleet:
        await fleet.idle()
        assert routed(fleet) == ["m-later"]


async def test_a_message_sent_again_with_another_delay_is_the_same_message(tmp_path):
    async with open_fleet(tmp_path) as fleet:
        await fleet.accept(Message("ana", "hi", id="m-1"))
        again = await fleet.accept(Message("ana", "hi", id="m-1", not_before=now() + timedelta(days=1), priority=3))
        assert not again.new
        await fleet.idle()
        assert len(events_of(fleet, MessageAccepted)) == len(routed(fleet)) == 1


async def test_urgent_users_are_routed_and_answered_first(tmp_path):
    go, asked, answered = asyncio.Event(), [], []

    async def route(request):
        asked.append(printed_message(request))
        await go.wait()
        return newest_else_new(request)

    def work(request):
        answered.append(last_words(request))
        return echo(request)

    async with open_fleet(tmp_path, models=scripted(route, work), concurrency=1) as fleet:
        for n in range(2):  # as many as are taken from the lanes at once
            await fleet.accept(Message(f"first-{n}", f"first {n}"))
        while not asked:
            await asyncio.sleep(0)
        await fleet.accept(Message("bo", "bo: nothing urgent"))
        await fleet.accept({"sender": "low", "text": "low: any time", "priority": -1})
        await fleet.accept(Message("ana", "ana: before"))
        await fleet.accept(Message("ana", "ana: urgent", priority=2))
        await fleet.accept(Message("cy", "cy: a bit urgent", priority=1))
        go.set()
        await fleet.idle()
        # Two are taken at a time: while ana's first is routed her next one waits for it.
        assert asked[2:] == [
            "ana: before", "cy: a bit urgent", "ana: urgent", "bo: nothing urgent", "low: any time",
        ]  # fmt: skip
        assert answered[-2:] == ["bo: nothing urgent", "low: any time"]
        assert {each.event.priority for each in events_of(fleet, MessageDecided)} == {-1, 0, 1, 2}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"priority": 10}, "a priority is a whole number from -9 to 9"),
        ({"priority": "high"}, "a priority is"),
        ({"priority": True}, "a priority is"),
        ({"not_before": datetime(2026, 1, 1)}, "a time with a time zone"),  # noqa: DTZ001
        ({"not_before": "tomorrow"}, "a time with a time zone"),
        ({"not_before": datetime(1969, 1, 1, tzinfo=UTC)}, "a time with a time zone"),
    ],
)
async def test_what_is_no_priority_or_time_is_refused(tmp_path, given, why):
    async with open_fleet(tmp_path) as fleet:
        with pytest.raises(InputError, match=why):
            await fleet.accept({"sender": "ana", "text": "hi", **given})
        assert events_of(fleet, MessageAccepted) == []

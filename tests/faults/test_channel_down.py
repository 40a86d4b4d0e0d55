"""A delivery channel that is down for an hour, or hangs; the hour is the loop's, which the test drives."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from support.fleets import events_of, helper_app, open_fleet, scripted

from fleet import Message
from fleet.ledger.events import ReplyDelivered, ReplyFailed


class Driven(asyncio.SelectorEventLoop):
    """A loop whose time is ahead of the real one by as much as it is told."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run_driven(test) -> None:
    with asyncio.Runner(loop_factory=Driven) as runner:
        runner.run(test)


async def pass_time(seconds: float, until=lambda: False) -> None:
    """Let so many seconds of the loop go by, five at a time; no longer than `until`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end and not until():
        loop.ahead += 5
        for _ in range(3):
            await asyncio.sleep(0)


def test_replies_wait_out_an_hour_without_a_channel_and_leave_in_order(tmp_path: Path) -> None:
    tries: list[tuple[float, str, str]] = []
    sent: list[tuple[str, str]] = []

    async def an_hour() -> None:
        loop = asyncio.get_running_loop()
        back = float("inf")

        def send(user: str, text: str) -> None:
            tries.append((loop.time(), user, text))
            if loop.time() < back:
                raise ConnectionError("the channel is down")
            sent.append((user, text))

        async with open_fleet(tmp_path / "home", helper_app(send)) as fleet:
            back = loop.time() + 3600
            for user, text in (("ana", "new one"), ("ana", "new two"), ("bo", "new three")):
                accepted = await fleet.accept(Message(user, text))
                await fleet.reply_to(accepted.message_id)
            await pass_time(3500)
            assert sent == []
            assert fleet.ledger.pending_count("outbox") == 3
            assert events_of(fleet, ReplyFailed, ReplyDelivered) == []
            await pass_time(600, until=lambda: len(sent) == 3)
            await fleet.idle()
            assert fleet.ledger.pending_count("outbox") == 0
            delivered = {each.user: each.event.attempts for each in reversed(events_of(fleet, ReplyDelivered))}
            assert delivered == {user: len([at for at, who, text in tries if who == user and "two" not in text])
                                 for user in ("ana", "bo")}  # fmt: skip

    run_driven(an_hour())
    assert [text for user, text in sent if user == "ana"] == ["You said: new one", "You said: new two"]
    assert sorted(user for user, _ in sent) == ["ana", "ana", "bo"]
    times = [at for at, user, text in tries if user == "bo"]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(longer >= shorter - 6 for shorter, longer in pairwise(pauses)), "it backs off"
    assert 60 <= max(pauses) <= 75, "to once a minute"
    assert 55 < len(times) < 80


async def test_a_fleet_that_drains_does_not_wait_for_a_channel_that_is_down(tmp_path: Path) -> None:
    tried = asyncio.Event()

    def down(text: str) -> None:
        tried.set()
        raise ConnectionError

    async with open_fleet(tmp_path / "home", helper_app(down), delivery_backoff_s=3600, drain_s=3600) as fleet:
        await fleet.accept(Message("ana", "hello"))
        await fleet.accept(Message("ana", "new hello"))
        await tried.wait()
    sent: list[str] = []
    async with open_fleet(tmp_path / "home", helper_app(sent.append)) as fleet:
        await fleet.idle()
        assert fleet.ledger.pending_count("outbox") == 0
    assert sorted(sent) == ["You said: hello", "You said: new hello"]


async def test_the_reply_of_a_turn_that_ends_while_the_fleet_drains_is_delivered_too(tmp_path: Path) -> None:
    thinking, draining = asyncio.Event(), asyncio.Event()
    sent: list[str] = []

    async def slow(text: str) -> None:
        await asyncio.sleep(0.05)
        sent.append(text)

    async def answer(request):
        thinking.set()
        await draining.wait()
        return "Here you are."

    async with open_fleet(tmp_path / "home", helper_app(slow), models=scripted(worker=answer)) as fleet:
        await fleet.accept(Message("ana", "hello"))
        await thinking.wait()
        asyncio.get_running_loop().call_later(0.1, draining.set)
    assert sent == ["Here you are."]
    async with open_fleet(tmp_path / "home", helper_app(slow)) as fleet:
        assert len(events_of(fleet, ReplyDelivered)) == 1

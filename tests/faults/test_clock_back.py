"""The clock jumps back an hour under a running fleet: nothing waits for it to catch up, and no time on record falls."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from support.commands import call
from support.fleets import check_exactly_once, decisions, digests, events_of, helper_app, open_fleet

import fleet.clock
from fleet import Message
from fleet.clock import now_us
from fleet.runtime.home import Home


class _Back(datetime):
    """A clock that is behind."""

    by = timedelta()

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        moment = datetime.now(tz) - cls.by
        return cls.fromtimestamp(moment.timestamp(), tz)


async def test_a_clock_that_jumps_back_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr(fleet.clock, "datetime", _Back)
    tries: list[str] = []

    def send(text: str) -> None:
        tries.append(text)
        if len(tries) in (1, 4):
            raise ConnectionError

    said = []
    async with open_fleet(home, helper_app(send), delivery_backoff_s=0.01) as running:
        for jump in (0, 3600, 30, 7200):
            monkeypatch.setattr(_Back, "by", _Back.by + timedelta(seconds=jump))
            accepted = await running.accept(Message("ana", f"hello after {jump}"))
            said.append(await running.reply_to(accepted.message_id))
            await running.idle()
        events = events_of(running)
        check_exactly_once(events)
        assert all(took >= 0 for decision in decisions(running) for took in decision.latency_us.values())
        late = now_us() + 10_000_000
        assert late < events[-1].at, "the clock is behind what is on record"
    async with open_fleet(home, helper_app(send)) as running:  # and a start while it is behind
        accepted = await running.accept(Message("ana", "hello after a start"))
        said.append(await running.reply_to(accepted.message_id))
        await running.idle()
        events = events_of(running)
    assert said == [f"You said: hello after {each}" for each in (0, 3600, 30, 7200, "a start")]
    assert [each.at for each in events] == sorted(each.at for each in events)
    assert len(tries) == 7
    with Home(home).read_ledger() as ledger:
        assert ledger.verify().problems == ()
    live, again = digests(home, tmp_path / "again")
    assert live == again
    page = call("why", accepted.message_id, "--home", home)
    assert page.returncode == 0, page.stderr
    assert "-" not in "".join(line for line in page.stdout.splitlines() if "turn start" in line)

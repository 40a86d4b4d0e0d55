"""The hold on a home, within one process: who waits may give up, and who was taken over knows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from fleet.errors import HomeBusyError, HomeError, TakenOverError
from fleet.runtime.hold import Hold


async def test_a_hold_is_had_by_one_and_the_next_gets_it_when_it_is_let_go(tmp_path: Path) -> None:
    first, second = Hold(tmp_path), Hold(tmp_path)
    assert await first.get("refuse") == ""
    with pytest.raises(HomeBusyError, match=f"held by another worker \\(pid {os.getpid()} on .*\\); stop it or use"):
        await second.get("refuse")
    waiting = asyncio.create_task(second.get("wait"))
    while not second.standing_by:
        await asyncio.sleep(0)
    first.release()
    assert await waiting == ""
    assert (second.had, second.standing_by) == (True, False)
    second.release()


async def test_who_gives_up_waiting_does_not_keep_the_hold(tmp_path: Path) -> None:
    first, second = Hold(tmp_path), Hold(tmp_path)
    await first.get("refuse")
    waiting = asyncio.create_task(second.get("wait"))
    while not second.standing_by:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    first.release()
    third = Hold(tmp_path)
    assert await third.get("wait") == ""
    assert not second.had
    third.release()


async def test_who_was_taken_over_is_told_by_whom(tmp_path: Path) -> None:
    first, second, waits = Hold(tmp_path), Hold(tmp_path), Hold(tmp_path)
    await first.get("take over")
    waiting = asyncio.create_task(waits.get("wait"))
    while not waits.standing_by:
        await asyncio.sleep(0)
    assert await second.get("take over") == f"pid {os.getpid()} on {os.uname().nodename}"
    assert (first.had, second.had) == (False, True)
    with pytest.raises(TakenOverError, match=f"home {tmp_path} was taken over by another worker \\(pid {os.getpid()} "):
        first.check()
    second.check()
    first.release()  # wakes who waits for the lock that it had, which is not the home's any more
    with pytest.raises(HomeBusyError):
        await Hold(tmp_path).get("refuse")
    assert waits.standing_by
    second.release()
    await waiting
    assert waits.had
    waits.release()


async def test_a_home_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    for held in ("refuse", "wait", "take over"):
        with pytest.raises(HomeError, match="cannot be used: No such file or directory"):
            await Hold(tmp_path / "nowhere").get(held)


async def test_a_task_that_rewrites_the_home_is_not_taken_over_from(tmp_path: Path) -> None:
    who = f"pid {os.getpid()} on {os.uname().nodename}, fleet forget"
    with Hold(tmp_path, "fleet forget") as task:
        with pytest.raises(HomeBusyError) as refused:
            await Hold(tmp_path).get("take over")
        assert str(refused.value) == f"home {tmp_path} is held by {who}, which nobody can take over from; wait for it"
        with pytest.raises(HomeBusyError, match=f"held by another worker \\({who}\\); stop it or use --home"):
            await Hold(tmp_path).get("refuse")
        assert task.had
    worker = Hold(tmp_path)
    assert await worker.get("take over") == ""
    worker.release()

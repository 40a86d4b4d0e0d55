"""Several processes on one file: one chain, wake-ups, locks, and kills in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import defaultdict
from pathlib import Path

import pytest
from ledger_drafts import accepted, child

from fleet.errors import LedgerError
from fleet.ledger import SqliteLedger, doorbell

APPEND_MANY = """
import sys
from fleet.ledger import SqliteLedger
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with SqliteLedger.open(path) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for place in range(count):
        (stored,) = ledger.append_now(accepted(f"{name}-{place}", name))
        print(stored.seq, flush=True)
"""

APPEND_ONE = """
import sys
from fleet.ledger import SqliteLedger
with SqliteLedger.open(Path(sys.argv[1])) as ledger:
    ledger.append_now(accepted(sys.argv[2]))
"""

APPEND_UNTIL_KILLED = """
import asyncio, itertools, sys
from fleet.ledger import SqliteLedger
path, name = Path(sys.argv[1]), sys.argv[2]

async def lane(ledger, number):
    for place in itertools.count():
        message_id = f"{name}-{number}-{place}"
        await ledger.append(accepted(message_id, text="x" * 3000))
        await ledger.append(decided(message_id, transcript=f"{message_id} " * 100))
        print(message_id, flush=True)

async def main():
    ledger = SqliteLedger.open(path)
    await asyncio.gather(*(lane(ledger, number) for number in range(20)))

asyncio.run(main())
"""


async def test_two_processes_that_append_at_once_keep_one_chain(ledger: SqliteLedger) -> None:
    with child(APPEND_MANY, ledger.path, "other", 60) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        mine = [(await ledger.append(accepted(f"mine-{place}", "mine")))[0].seq for place in range(60)]
        theirs = [int(line) for line in process.stdout]

    assert sorted(mine + theirs) == list(range(1, 121))
    assert [stored.seq for stored in ledger.read(user="mine")] == mine
    assert [stored.seq for stored in ledger.read(user="other")] == theirs
    report = ledger.verify()
    assert report.problems == ()
    assert (report.events, report.streams, report.pending) == (120, 120, 120)


async def test_four_processes_may_make_the_file_at_once(path: Path) -> None:
    processes = [child(APPEND_ONE, path, f"m{number}") for number in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    for process in processes:
        process.communicate()
    with SqliteLedger.open(path) as ledger:
        assert ledger.head()[0] == 4
        assert ledger.verify().ok


async def _send_from_elsewhere(path: Path, message_id: str) -> None:
    process = child(APPEND_ONE, path, message_id)
    await asyncio.to_thread(process.communicate)
    assert process.returncode == 0


async def test_the_doorbell_alone_wakes_a_watcher(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "LOOK_S", 3600.0)
    woken = asyncio.Event()
    with ledger.watch(woken.set):
        await _send_from_elsewhere(ledger.path, "m1")
        await asyncio.wait_for(woken.wait(), 10)
        assert ledger.head()[0] == 1


async def test_every_watcher_of_the_home_is_woken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "LOOK_S", 3600.0)
    woken = [asyncio.Event() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for place, event in enumerate(woken):
            ledger = stack.enter_context(SqliteLedger.open(path, readonly=place == 2))
            stack.enter_context(ledger.watch(event.set))
        await _send_from_elsewhere(path, "m1")
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in woken)), 10)


async def test_where_no_bell_can_be_hung_a_look_finds_the_events(ledger: SqliteLedger) -> None:
    ledger.path.with_name("bells").write_text("in the way")
    woken = asyncio.Event()
    with ledger.watch(woken.set):
        await _send_from_elsewhere(ledger.path, "m1")
        await asyncio.wait_for(woken.wait(), 10)


async def test_ones_own_commits_wake_nobody(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "LOOK_S", 3600.0)
    calls: list[int] = []
    with ledger.watch(lambda: calls.append(ledger.head()[0])) as watch:
        await asyncio.gather(*(ledger.append(accepted(f"m{place}")) for place in range(20)))
        watch.look()
        assert calls == []

        with SqliteLedger.open(ledger.path) as other:
            other.append_now(accepted("theirs"))
        watch.look()
        assert calls == [21]
        watch.look()
        assert calls == [21]


async def test_events_of_others_between_ones_own_are_noticed_by_the_writer(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "LOOK_S", 3600.0)
    ledger.path.with_name("bells").write_text("in the way")
    woken = asyncio.Event()
    with ledger.watch(woken.set), SqliteLedger.open(ledger.path) as other:
        await ledger.append(accepted("mine"))
        assert not woken.is_set()
        other.append_now(accepted("theirs"))
        await ledger.append(accepted("mine again"))
        await asyncio.wait_for(woken.wait(), 10)


async def test_a_watch_ends_and_takes_its_bell_down(ledger: SqliteLedger) -> None:
    calls: list[None] = []
    watch = ledger.watch(lambda: calls.append(None))
    bells = ledger.path.with_name("bells")
    assert len(list(bells.iterdir())) == 1
    watch.close()
    watch.close()
    assert list(bells.iterdir()) == []
    with SqliteLedger.open(ledger.path) as other:
        other.append_now(accepted("theirs"))
    watch.look()
    assert calls == []


async def test_the_bell_of_a_killed_process_is_taken_down(path: Path) -> None:
    code = """
import asyncio, sys
from fleet.ledger import SqliteLedger
async def main():
    ledger = SqliteLedger.open(Path(sys.argv[1]))
    with ledger.watch(lambda: None):
        print("watching", flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""
    with child(code, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        bells = path.with_name("bells")
        assert len(list(bells.iterdir())) == 1
        process.kill()
        process.wait()
    with SqliteLedger.open(path) as ledger:
        ledger.append_now(accepted("m1"))
    assert list(bells.iterdir()) == []


async def test_a_ledger_locked_for_long_is_one_clear_line_and_works_again_after(path: Path) -> None:
    with SqliteLedger.open(path, busy_s=0.05) as ledger, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        results = await asyncio.gather(
            ledger.append(accepted("m1")), ledger.append(accepted("m2")), return_exceptions=True
        )
        assert time.monotonic() - started < 5
        assert {str(result) for result in results} == {
            f"the ledger {path} has been locked by another process for 0.05 s; nothing was written"
        }
        assert ledger.head() == (0, "")
        other.rollback()
        await ledger.append(accepted("m1"))
        assert ledger.verify().ok


async def test_a_writer_waits_for_its_turn(ledger: SqliteLedger) -> None:
    with contextlib.closing(sqlite3.connect(ledger.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(ledger.append(accepted("m1")))
        await asyncio.sleep(0)
        assert not waiting.done()
        other.rollback()
        await waiting
    assert ledger.head()[0] == 1


def test_opening_a_locked_new_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match=r"locked by another process for 0\.05 s"):
            SqliteLedger.open(path, busy_s=0.05)


def test_whatever_was_acknowledged_before_a_kill_is_there_after_it(path: Path) -> None:
    acknowledged: dict[str, list[str]] = defaultdict(list)
    for life in range(3):
        with child(APPEND_UNTIL_KILLED, path, f"life{life}") as process:
            assert process.stdout is not None
            for line in process.stdout:
                acknowledged[f"life{life}"].append(line.strip())
                if len(acknowledged[f"life{life}"]) == 100 + 37 * life:
                    process.kill()

        with SqliteLedger.open(path) as ledger:
            report = ledger.verify()
            assert report.problems == ()
            assert report.seq == report.events
            whole = {stored.stream.removeprefix("message:") for stored in ledger.read(types=["message.decided"])}
            assert whole.issuperset(one for ones in acknowledged.values() for one in ones)
    assert len(acknowledged) == 3

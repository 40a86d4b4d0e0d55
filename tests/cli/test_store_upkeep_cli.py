"""`fleet store status, snapshot, rebuild, backup, restore, migrate`: what they say, change, and refuse."""

from __future__ import annotations

import json
import sqlite3
import threading

import pytest
from support.commands import Running, at_rest, call, refused, run, wait_for
from support.fleets import check_exactly_once, open_fleet

from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now

SERVE = ("worker", "--no-warmup-check", "--log-level", "error", "--home")


@pytest.fixture
async def home(tmp_path):
    async with open_fleet(tmp_path / "home") as fleet:
        for number in range(3):
            await fleet.accept(Message("ana", f"hello {number}", f"m-{number}"))
            await fleet.reply_to(f"m-{number}")
        await fleet.idle()
    return tmp_path / "home"


def told(*arguments):
    done = call("store", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def digest(home) -> str:
    return json.loads(call("store", "verify", "--home", home, "--json").stdout)["rebuilt"]["digest"]


def events(home) -> int:
    with Home(home).read_ledger() as ledger:
        return ledger.head()[0]


def test_status_says_what_lies_there_and_how_the_last_start_went(home):
    count = events(home)
    lines = told("status", "--home", home)
    names = [line.split()[0] for line in lines]
    assert names == ["home", "worker", "ledger", "queues", "graph", "kept", "start"]
    assert lines[1:4] == [
        "worker   none",
        lines[2],
        "queues   inbox 0, turns 0, outbox 0",
    ]
    assert f"{count} events, the last at 2" in lines[2]
    assert f"event {count} at " in lines[4]
    assert "commits" in lines[4]
    assert lines[5] == "kept     none"
    assert lines[6].endswith('Z "small": made, for a new home')
    found = json.loads(call("store", "status", "--home", home, "--json").stdout)
    assert (found["events"], found["graph"]["applied"], found["kept"]) == (count, count, None)
    assert found["starts"][0]["graph"] == ["made, for a new home"]


async def test_status_tells_each_step_of_a_start_that_had_to_climb(home):
    told("snapshot", "--home", home)
    assert any(line.startswith(f"kept     event {events(home)} at ") for line in told("status", "--home", home))
    (home / "graph" / "graph.db0").write_bytes(b"no graph")
    async with open_fleet(home) as fleet:
        await fleet.idle()
    lines = told("status", "--home", home)
    start = next(line for line in lines if line.startswith("start"))
    assert "set the graph file aside: it is not as it was last written; " in start
    assert "; opened the kept copy of event " in start
    assert f"aside    {home / 'graph.aside'} holds the last graph that could not be used" in lines


def test_a_snapshot_is_the_kept_copy(home):
    count = events(home)
    assert told("snapshot", "--home", home)[0].startswith(f"kept     event {count}, built in ")
    made = json.loads(call("store", "snapshot", "--home", home, "--json").stdout)
    assert (made["applied"], made["how"]) == (count, "grown")


def test_rebuild_builds_the_same_graph_again(home):
    before = digest(home)
    (line,) = told("rebuild", "--home", home)
    assert line.startswith(f"rebuilt  {events(home)} events in ")
    assert line.endswith(before[:12])
    assert (home / "graph.aside" / "graph.db0").exists()
    assert told("verify", "--home", home)[-1] == "ok"


def test_what_cannot_be_done_is_refused_in_one_line(home, tmp_path):
    empty = tmp_path / "empty"
    for command in ("status", "snapshot", "rebuild", "migrate"):
        assert refused(call("store", command, "--home", empty)) == (
            f"there is no fleet in {empty}; start one with `fleet demo` or `fleet send`"
        )
    assert "there is no fleet in" in refused(call("store", "backup", tmp_path / "b", "--home", empty))
    assert not (tmp_path / "b").exists()
    sent = tmp_path / "sent"
    call("send", "--home", sent, "--user", "ana", "hello")
    why = refused(call("store", "snapshot", "--home", sent))
    assert why == f"home {sent} has no graph yet: no worker has opened it"
    assert refused(call("store", "backup", home, "--home", home)) == (
        f"{home} is there already; name a folder that is not, for the backup"
    )
    assert refused(call("store", "restore", tmp_path / "nowhere", "--home", home)) == (
        f"there is no backup at {tmp_path / 'nowhere'}"
    )
    assert refused(call("store", "restore", home, "--home", home, "--force")) == (
        f"{home} is what the home {home} holds; there is nothing to restore"
    )
    assert "there is no module 'nowhere'" in refused(call("store", "rebuild", "--home", home, "--app", "nowhere:app"))


def test_a_backup_is_restored_elsewhere_and_never_over_something_unasked(home, tmp_path):
    kept, count = tmp_path / "kept", events(home)
    lines = told("backup", kept, "--home", home)
    assert lines[0].startswith(f"backup   {count} events in ")
    assert lines[1] == "ok"
    assert digest(kept) == digest(home)
    assert told("verify", "--home", kept)[-1] == "ok"  # a backup is a home

    fresh = tmp_path / "fresh"
    assert told("restore", kept, "--home", fresh) == [
        f"restored {count} events from {kept}; the next worker builds the graph"
    ]
    assert digest(fresh) == digest(home)

    call("send", "--home", fresh, "--user", "bo", "one more")
    files = {path: path.read_bytes() for path in fresh.iterdir() if path.is_file()}
    assert refused(call("store", "restore", kept, "--home", fresh)) == (
        f"home {fresh} holds a ledger of {count + 1} events; --force puts it aside and restores {kept} in its place"
    )
    assert {path: path.read_bytes() for path in fresh.iterdir() if path.is_file()} == files
    forced = told("restore", kept, "--home", fresh, "--force")
    (before,) = fresh.glob("before-*")
    assert forced[1] == f"before   what the home held is in {before}"
    assert (events(fresh), events(before)) == (count, count + 1)
    assert told("verify", "--home", fresh)[-1] == "ok"


def test_archives_are_backed_up_and_restored_with_the_ledger(home, tmp_path):
    assert call("archive", "--older-than", "0", "--home", home).stdout.startswith("moved ")
    told("backup", tmp_path / "kept", "--home", home)
    told("restore", tmp_path / "kept", "--home", tmp_path / "fresh")
    for each in (home, tmp_path / "kept", tmp_path / "fresh"):
        assert [path.name for path in (each / "archive").iterdir()] == ["000001.jsonl"]
        assert told("verify", "--home", each)[-1] == "ok"
    told("restore", tmp_path / "kept", "--home", tmp_path / "fresh", "--force")
    (before,) = (tmp_path / "fresh").glob("before-*")
    assert {path.name for path in before.iterdir()} >= {"archive", "ledger.db"}
    assert told("verify", "--home", tmp_path / "fresh")[-1] == "ok"


def test_a_backup_that_does_not_hold_is_not_restored(home, tmp_path):
    kept, target = tmp_path / "kept", tmp_path / "target"
    told("backup", kept, "--home", home)
    with sqlite3.connect(kept / "ledger.db") as raw:
        raw.execute("UPDATE events SET at = at + 1 WHERE seq = 5")
    raw.close()
    why = refused(call("store", "restore", kept, "--home", target))
    assert why.startswith(f"the backup {kept} does not hold, and nothing was changed: event 5 ")
    assert not target.exists()


def test_migrate_has_nothing_to_do_and_refuses_a_newer_ledger(home):
    assert told("migrate", "--home", home) == ["schema   1, today's: there is nothing to do"]
    with sqlite3.connect(home / "ledger.db") as raw:
        raw.execute("PRAGMA user_version = 2")
    raw.close()
    assert refused(call("store", "migrate", "--home", home)) == (
        f"the ledger {home}/ledger.db was written by a newer fleet (schema 2, this one knows 1); update fleet"
    )


def test_a_running_fleet_is_backed_up_under_load_and_goes_on(tmp_path):
    home = tmp_path / "home"
    stop = threading.Event()

    def send():
        ledger = Home(home).open_ledger()
        number = 0
        while not stop.is_set():
            while ledger.pending_count("inbox") > 20 and not stop.is_set():
                stop.wait(0.01)
            number += 1
            accept_now(ledger, Message(f"user{number % 7}", f"When is week {number} due?", f"m-{number}"), 10_000, 0)
        ledger.close()

    with Running(*SERVE, home) as worker:
        worker.read_until("serving", err=True)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            wait_for(home, lambda ledger: ledger.head()[0] > 200)
            assert f"worker   pid {worker.process.pid} on " in "\n".join(told("status", "--home", home))
            for number in range(3):
                made = run("store", "backup", tmp_path / f"kept-{number}", "--home", home)
                assert made.returncode == 0, made.stdout + made.stderr
            snapped = run("store", "snapshot", "--home", home)
            assert snapped.returncode == 0, snapped.stderr
            why = refused(run("store", "rebuild", "--home", home))
            assert f"is held by another worker (pid {worker.process.pid} on " in why
            why = refused(run("store", "restore", tmp_path / "kept-0", "--home", home, "--force"))
            assert "is held by another worker" in why
        finally:
            stop.set()
            sender.join()
        wait_for(home, at_rest)
        worker.process.terminate()
        assert worker.end() == 0
    heads = [events(tmp_path / f"kept-{number}") for number in range(3)]
    assert 200 < heads[0] < heads[1] < heads[2] < events(home)
    told("restore", tmp_path / "kept-1", "--home", tmp_path / "elsewhere")
    with Running(*SERVE, tmp_path / "elsewhere") as worker:
        worker.read_until("serving", err=True)
        wait_for(tmp_path / "elsewhere", at_rest)
        worker.process.terminate()
        assert worker.end() == 0
    for each in (home, tmp_path / "elsewhere"):
        assert told("verify", "--home", each)[-1] == "ok"
        with SqliteLedger.open(each / "ledger.db", readonly=True) as ledger:
            check_exactly_once(list(ledger.read()))

"""Who has the home: one is refused, stands by for the end of another, or takes over from one that is frozen."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Running, call, refused, run, wait_for
from support.faults import freeze, goes_on, holds, send, serving

from fleet.ledger.events import FleetStarted
from fleet.runtime.home import Home


def _waiting(home: Path, holding: Path) -> Running:
    """A worker that stands by."""
    worker = Running("worker", "--home", home, "--app", "holding:app", "--standby", modules=(holding,))
    worker.read_until("fleet.standing_by", err=True)
    return worker


def _taken_over(worker: Running, home: Path, by: Running) -> None:
    """The worker ended as one that was taken over does."""
    assert worker.end() == 76
    who = f"(pid {by.process.pid} on "
    assert worker.said[-1].startswith(f"fleet: home {home} was taken over by another worker {who}")
    assert worker.said[-1].endswith("); nothing more was written\n")
    assert not any("Traceback" in line for line in worker.said)


def test_a_worker_that_stands_by_goes_on_when_the_first_is_killed_and_the_next_one_still_waits(holding):
    home = holding / "home"
    with (
        holds(home, holding) as first,
        _waiting(home, holding) as second,
        _waiting(home, holding) as third,
    ):
        assert f'holder="pid {first.process.pid} on ' in second.said[-1]
        first.signal(signal.SIGKILL)
        assert first.end() == -signal.SIGKILL
        heirs = {second.process.pid: second, third.process.pid: third}
        wait_for(home, lambda ledger: ledger.version("fleet") == 2)
        with Home(home).read_ledger() as ledger:
            heir = heirs.pop(ledger.read_stream("fleet")[-1].event.pid)
        heir.read_until("serving", err=True)
        (holding / "go").touch()
        (waits,) = heirs.values()
        waits.signal(signal.SIGTERM)
        assert waits.end() == 0
        assert not any("serving" in line for line in waits.said)
        goes_on(home, heir, holding / "again")


def test_a_frozen_worker_that_wakes_after_a_takeover_writes_nothing_and_ends(holding):
    home = holding / "home"
    with holds(home, holding) as frozen:
        freeze(frozen, home)
        with serving(home, holding, "--takeover") as heir:
            assert any("fleet.took_over" in line and f"pid {frozen.process.pid} on" in line for line in heir.said)
            why = refused(run("worker", "--home", home, modules=(holding,)))
            assert why.startswith(f"home {home} is held by another worker (pid {heir.process.pid} on ")
            (holding / "go").touch()  # the frozen one has its decision at once when it wakes
            wait_for(home, lambda ledger: not ledger.pending_count("outbox") and ledger.version("message:m-1") == 2)
            assert send(home, "m-2", "after it").returncode == 0
            frozen.signal(signal.SIGCONT)
            _taken_over(frozen, home, by=heir)
            goes_on(home, heir, holding / "again")
    assert run("store", "verify", "--home", home, modules=(holding,)).returncode == 0


def test_a_frozen_worker_that_is_to_stop_when_it_wakes_leaves_the_heirs_graph_alone(holding):
    home = holding / "home"
    with serving(home, holding, FLEET_CHECKPOINT_S="3600") as frozen:
        assert send(home, "m-1", "hello").returncode == 0
        wait_for(home, lambda ledger: ledger.head()[0] > 5 and not ledger.pending_count("outbox"))
        freeze(frozen, home)
        frozen.signal(signal.SIGTERM)
        with serving(home, holding, "--takeover") as heir:
            frozen.signal(signal.SIGCONT)
            _taken_over(frozen, home, by=heir)
            goes_on(home, heir, holding / "again")


def test_a_worker_in_good_health_gives_way_too(holding):
    home = holding / "home"
    with holds(home, holding) as first, serving(home, holding, "--takeover") as heir:
        _taken_over(first, home, by=heir)
        (holding / "go").touch()
        goes_on(home, heir, holding / "again")


def test_a_takeover_of_a_home_that_nobody_has_is_a_start_like_any_other(holding):
    home = holding / "home"
    with serving(home, holding, "--takeover") as worker:
        assert not any("took_over" in line for line in worker.said)
        assert Home(home).graph_folder == home / "graph"
        goes_on(home, worker, holding / "again")


def test_a_worker_frozen_in_the_middle_of_a_write_has_to_be_ended_first(holding):
    """Its hold on the ledger is SQLite's, which nobody can take from it; here another process stands in for it."""
    home = holding / "home"
    with serving(home, holding) as frozen:
        freeze(frozen, home)
        with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            done = run("worker", "--home", home, "--takeover", modules=(holding,))
            assert done.returncode == 75
            said = done.stderr.splitlines()[-1]
            assert said.startswith(f"fleet: the ledger {home}/ledger.db has been locked by another process for 10 s;")
            assert f"stopped in the middle of a write: end it (pid {frozen.process.pid} on " in said
        frozen.signal(signal.SIGKILL)
        frozen.end()
        with serving(home, holding) as heir:
            goes_on(home, heir, holding / "again")


def test_standing_by_and_taking_over_are_a_choice(tmp_path):
    said = refused(run("worker", "--home", tmp_path / "home", "--standby", "--takeover"))
    assert said.startswith("--standby waits for a worker and --takeover does not; choose one.")
    assert not (tmp_path / "home").exists()


def frozen_often(holding: Path, freezes: int, messages: int, seed: int) -> None:
    """Freezes fall where they will, while three people write; all the frozen ones wake while the last heir works."""
    home, chance, frozen = holding / "home", random.Random(seed), []
    (holding / "go").touch()
    texts = {user: [f"hold {number} of {user}" for number in range(messages)] for user in ("ana", "bo", "cy")}

    def talk(user: str) -> None:
        for number, text in enumerate(texts[user]):
            sending = ("send", "--home", home, "--user", user, "--id", f"{user}-{number}", text)
            while (code := call(*sending).returncode) == 75:  # the ledger is locked by one that froze in a write
                pass
            assert code == 0

    worker = serving(home, holding, FLEET_CHECKPOINT_EVENTS="5")
    talking = [threading.Thread(target=talk, args=(user,)) for user in texts]
    for thread in talking:
        thread.start()
    try:
        for _ in range(freezes):
            with Home(home).read_ledger() as ledger:
                upto = ledger.head()[0] + chance.randrange(5, 80)
            wait_for(home, lambda ledger: ledger.head()[0] >= upto or _all_said(ledger, texts))  # noqa: B023
            worker.signal(signal.SIGSTOP)
            frozen.append(worker)
            worker = _heir(home, holding, frozen)
        for each in frozen:
            each.signal(signal.SIGCONT)
        for thread in talking:
            thread.join()
        assert {each.end() for each in frozen} <= {76, -signal.SIGKILL}
        goes_on(home, worker, holding / "again")
    finally:
        for each in (*frozen, worker):
            each.process.kill()
            each.process.communicate()
    with Home(home).read_ledger() as ledger:
        starts = list(ledger.read(types=(FleetStarted.TYPE,)))
        assert len(starts) == freezes + 1
        versions = [ledger.version(f"message:{user}-{number}") for user in texts for number in range(messages)]
        assert versions == [2] * 3 * messages


def test_workers_frozen_and_taken_over_at_any_moment_do_everything_once(holding):
    frozen_often(holding, freezes=3, messages=30, seed=20261121)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_workers_frozen_and_taken_over_again_and_again_do_everything_once(holding, seed):
    frozen_often(holding, freezes=10, messages=150, seed=seed)


def _heir(home: Path, holding: Path, frozen: list[Running]) -> Running:
    """Who took over; a worker that froze while it wrote, and so keeps the ledger, is ended first."""
    while True:
        heir = Running("worker", "--home", home, "--takeover", modules=(holding,), FLEET_CHECKPOINT_EVENTS="5")
        try:
            heir.read_until("serving", err=True)
        except AssertionError:
            assert heir.end() == 75, heir.said
            frozen[-1].signal(signal.SIGKILL)
        else:
            return heir


def _all_said(ledger, texts) -> bool:
    return all(ledger.version(f"message:{user}-{len(said) - 1}") for user, said in texts.items())

"""A disk that gets full under a running worker: senders are refused first, the worker waits, and goes on by itself."""

from __future__ import annotations

import signal

from support.commands import at_rest, call, refused, run, wait_for
from support.faults import fill, goes_on, holds, read_only, send, serving

from fleet.runtime.home import Home

RESERVE = {"FLEET_DISK_RESERVE_MB": "24"}


def test_senders_are_refused_before_the_disk_is_full_and_the_worker_goes_on_in_the_reserve(disk, holding):
    home = disk / "home"
    with holds(home, holding, **RESERVE) as worker:
        ballast = fill(disk, leave_mib=22)
        done = send(home, "m-2", "one more", **RESERVE)
        assert (done.returncode, done.stdout) == (75, "")
        assert done.stderr == (
            f"fleet: the disk of home {home} has 21 MiB left, and the last 24 MiB are kept for what is accepted "
            "already (FLEET_DISK_RESERVE_MB); nothing was sent, try again later\n"
        )
        with Home(home).read_ledger() as ledger:
            assert ledger.version("message:m-2") == 0
        (holding / "go").touch()
        wait_for(home, at_rest)  # what was accepted is answered out of the reserve
        ballast.unlink()
        assert send(home, "m-2", "one more", **RESERVE).returncode == 0
        goes_on(home, worker, holding / "again")


def test_a_worker_on_a_full_disk_waits_and_goes_on_by_itself_when_there_is_room(disk, holding):
    home = disk / "home"
    with holds(home, holding, FLEET_CHECKPOINT_S="0.2", **RESERVE) as worker:
        for number in (2, 3):
            assert send(home, f"m-{number}", "after it", **RESERVE).returncode == 0
        ballast = fill(disk)
        (holding / "go").touch()
        why = "database or disk is full; nothing was written"
        assert why in worker.read_until("ledger.paused", err=True)
        done = send(home, "m-4", "hello", FLEET_DISK_RESERVE_MB="0")
        assert (done.returncode, done.stdout) == (75, "")
        assert done.stderr == f"fleet: the ledger {home}/ledger.db cannot be used: {why}\n"
        ballast.unlink()
        worker.read_until("ledger.resumed", err=True)
        goes_on(home, worker, holding / "again")
    assert sum("ledger.paused" in line for line in worker.said) == 1


def test_a_worker_that_is_stopped_on_a_full_disk_loses_nothing(disk, holding):
    home = disk / "home"
    with holds(home, holding, FLEET_DRAIN_S="0.2", **RESERVE) as worker:
        ballast = fill(disk)
        (holding / "go").touch()
        worker.read_until("ledger.paused", err=True)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 74
        assert worker.said[-1] == (
            "fleet: the graph could not be committed (no room on the disk); nothing is lost, the next start replays\n"
        )
    done = run("worker", "--home", home, modules=(holding,))
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == (
        f"fleet: the disk of home {home} has 0 MiB left, and a worker needs 16 to start; make room and start it again\n"
    )
    ballast.unlink()
    with serving(home, holding, **RESERVE) as worker:
        goes_on(home, worker, holding / "again")


def test_a_read_only_home_is_refused_and_may_still_be_read(disk):
    home = disk / "home"
    assert send(home, "m-1", "hello", **RESERVE).returncode == 0
    read_only(disk, yes=True)
    why = f"home {home} cannot be read and written by this user; choose another with --home"
    assert refused(run("worker", "--home", home)) == why
    assert refused(send(home, "m-2", "hello", **RESERVE)) == why
    assert call("audit", "list", "--home", home).returncode == 0
    read_only(disk, yes=False)
    assert send(home, "m-2", "hello", **RESERVE).returncode == 0

"""A ledger or graph that cannot be written under a running worker: a lock, a limit, damage."""

from __future__ import annotations

import resource
import signal
import sqlite3
from contextlib import closing

from support.commands import at_rest, call, run, wait_for
from support.faults import goes_on, holds, send, serving


def _largest_file(pid: int, size: int) -> None:
    """Let no file of that process grow past `size` bytes."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))


def test_a_ledger_that_stays_locked_pauses_the_worker_and_refuses_senders_until_it_is_let_go(holding):
    home = holding / "home"
    with holds(home, holding) as worker:
        with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            (holding / "go").touch()
            done = run("send", "--home", home, "--user", "ana", "--id", "m-2", "hello")
            locked = f"the ledger {home}/ledger.db has been locked by another process for 10 s; nothing was written"
            assert (done.returncode, done.stdout, done.stderr) == (75, "", f"fleet: {locked}\n")
            assert locked in worker.read_until("ledger.paused", err=True)
            assert call("audit", "list", "--home", home).returncode == 0
            other.execute("ROLLBACK")
        worker.read_until("ledger.resumed", err=True)
        assert send(home, "m-2", "hello").returncode == 0
        goes_on(home, worker, holding / "again")


def test_a_log_that_may_not_grow_pauses_the_worker_until_it_may(holding):
    home = holding / "home"
    with holds(home, holding, FLEET_CHECKPOINT_S="3600") as worker:
        _largest_file(worker.process.pid, (home / "ledger.db-wal").stat().st_size)
        (holding / "go").touch()
        assert "disk I/O error; nothing was written" in worker.read_until("ledger.paused", err=True)
        _largest_file(worker.process.pid, resource.RLIM_INFINITY)
        worker.read_until("ledger.resumed", err=True)
        goes_on(home, worker, holding / "again")


def test_a_graph_that_cannot_be_committed_ends_the_worker_at_once_and_the_next_start_replays(holding):
    home = holding / "home"
    with serving(home, holding, FLEET_CHECKPOINT_S="3600") as worker:
        assert send(home, "m-1", "hello").returncode == 0
        wait_for(home, at_rest)
        _largest_file(worker.process.pid, 4096)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 74
        assert worker.said[-1].startswith("fleet: the graph could not be committed (")
        assert worker.said[-1].endswith("); nothing is lost, the next start replays\n")
    with serving(home, holding) as worker:
        goes_on(home, worker, holding / "again")


def test_a_ledger_that_is_damaged_ends_the_worker_in_one_line(holding):
    home = holding / "home"
    with holds(home, holding) as worker:
        with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as other:
            other.execute("PRAGMA writable_schema = ON")
            other.execute("UPDATE sqlite_master SET rootpage = 1 WHERE name = 'pending_by_seq'")
            (version,) = other.execute("PRAGMA schema_version").fetchone()
            other.execute(f"PRAGMA schema_version = {version + 1}")
        (holding / "go").touch()
        assert worker.end() == 2
        why = "database disk image is malformed; nothing was written"
        assert worker.said[-1] == f"fleet: the ledger {home}/ledger.db cannot be used: {why}\n"
        assert not any("Traceback" in line or "ledger.paused" in line for line in worker.said)

"""A ledger that a newer fleet wrote: every command refuses it in one line, and leaves it as it is."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.commands import refused, run
from support.freeze import LEDGERS

from fleet.version import __version__

COMMANDS = {
    "send": ("send", "--user", "ana", "hello"),
    "worker": ("worker",),
    "why": ("why", "msg_1"),
    "threads": ("threads", "list"),
    "audit": ("audit", "list"),
    "replay": ("replay", "--all"),
    "verify": ("store", "verify"),
    "forget": ("forget", "ana", "--yes"),
    "archive": ("archive",),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(LEDGERS / __version__, tmp_path / "home")
    return tmp_path / "home"


def change(home: Path, sql: str) -> bytes:
    with contextlib.closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as hand:
        hand.execute(sql)
    return (home / "ledger.db").read_bytes()


@pytest.mark.parametrize("command", COMMANDS)
def test_of_another_schema(home: Path, command: str) -> None:
    before = change(home, "PRAGMA user_version = 9")
    said = refused(run(*COMMANDS[command], "--home", home))
    assert (
        said == f"the ledger {home}/ledger.db was written by a newer fleet (schema 9, this one knows 1); update fleet"
    )
    assert (home / "ledger.db").read_bytes() == before


def test_with_an_event_of_a_later_version(home: Path) -> None:
    change(home, "UPDATE events SET v = 9 WHERE kind = (SELECT id FROM kinds WHERE name = 'turn.started')")
    done = run("worker", "--home", home, "--app", "fleet.demo:app")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "fleet: event turn.started v9 was written by a newer fleet; update fleet to read this ledger"
    )
    assert "Traceback" not in done.stderr
    said = refused(run("threads", "list", "--home", home))
    assert said == "event turn.started v9 was written by a newer fleet; update fleet to read this ledger"


def test_with_an_event_of_a_later_type(home: Path) -> None:
    change(home, "UPDATE kinds SET name = 'message.sung' WHERE name = 'message.accepted'")
    done = run("worker", "--home", home, "--app", "fleet.demo:app")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "fleet: event message.sung v1 was written by a newer fleet; update fleet to read this ledger"
    )

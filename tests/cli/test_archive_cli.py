"""`fleet archive` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import call, refused
from support.fleets import open_fleet

from fleet import Message


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    async with open_fleet(tmp_path / "home") as fleet:
        await fleet.accept(Message("ana", "hello", "m-1"))
        await fleet.idle()
    return tmp_path / "home"


def test_it_says_what_it_moved_and_where_to(home: Path) -> None:
    done = call("archive", "--older-than", 0, "--home", home)
    assert (done.returncode, done.stderr) == (0, "")
    size = sum(len(json.dumps(json.loads(line)["body"], separators=(",", ":"), ensure_ascii=False).encode())
               for line in (home / "archive" / "000001.jsonl").read_text("utf-8").splitlines())  # fmt: skip
    assert done.stdout == (
        f"moved 6 payloads ({size} bytes) of 1 threads and 0 other messages to {home}/archive/000001.jsonl\n"
    )
    assert not (home / "ledger.db-wal").exists()
    assert call("why", "m-1", "--home", home).returncode == 0
    assert call("audit", "verify", "--home", home).returncode == 0


def test_what_is_younger_than_the_retention_stays(home: Path) -> None:
    done = call("archive", "--home", home)
    assert (done.returncode, done.stdout) == (0, "nothing to archive: no closed thread is older than 90 days\n")
    done = call("archive", "--home", home, FLEET_RETENTION_DAYS="0.5")
    assert done.stdout == "nothing to archive: no closed thread is older than 0.5 days\n"
    assert not (home / "archive").exists()


def test_as_json(home: Path) -> None:
    nothing = {"threads": 0, "messages": 0, "events": 0, "bytes": 0, "file": None}
    assert json.loads(call("archive", "--home", home, "--json").stdout) == nothing
    said = json.loads(call("archive", "--older-than", 0, "--home", home, "--json").stdout)
    assert (said["threads"], said["events"], said["file"]) == (1, 6, f"{home}/archive/000001.jsonl")


def test_what_cannot_be_is_refused(home: Path, tmp_path: Path) -> None:
    said = refused(call("archive", "--older-than", -1, "--home", home))
    assert said.startswith("Invalid value for '--older-than': -1.0 is not in the range x>=0.")
    said = refused(call("archive", "--home", home, FLEET_RETENTION_DAYS="0"))
    assert said == "FLEET_RETENTION_DAYS must be above 0 (days), not 0.0"
    said = refused(call("archive", "--home", tmp_path / "none"))
    assert said.startswith(f"there is no fleet in {tmp_path / 'none'}")

"""Opening the file: how it is made, what is refused, and reading a copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_drafts import accepted, child, conversation

from fleet.errors import LedgerError
from fleet.ledger import SqliteLedger


def test_the_home_and_the_file_are_for_the_owner_only(path: Path) -> None:
    old = os.umask(0)
    try:
        with SqliteLedger.open(path) as ledger:
            ledger.append_now(accepted("m1"))
            files = list(path.parent.iterdir())
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert len(files) == 3
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_written_is_there_the_next_time(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now)
        events, head = list(ledger.read()), ledger.head()
    with SqliteLedger.open(path) as ledger:
        assert (list(ledger.read()), ledger.head()) == (events, head)
        ledger.append_now(accepted("more"))
        assert ledger.verify().ok
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def _refused(path: Path, *, readonly: bool) -> str:
    with pytest.raises(LedgerError) as refused:
        SqliteLedger.open(path, readonly=readonly)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_missing_file_cannot_be_read(path: Path) -> None:
    assert _refused(path, readonly=True) == f"there is no ledger at {path}"
    assert not path.parent.exists()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, readonly: bool) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("Dear diary, today I was mistaken for a database. " * 50)
    before = path.read_bytes()
    assert _refused(path, readonly=readonly) == f"{path} is not a ledger: file is not a database"
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [True, False])
def test_somebody_elses_database_is_refused_and_left_as_it_is(tmp_path: Path, readonly: bool) -> None:
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE events(seq INTEGER PRIMARY KEY)")
    before = path.read_bytes()
    assert _refused(path, readonly=readonly) == f"{path} is a database, but no ledger of fleet"
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [True, False])
def test_a_ledger_of_a_newer_fleet_is_refused(path: Path, readonly: bool) -> None:
    with SqliteLedger.open(path) as ledger:
        ledger.append_now(accepted("m1"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version = 2")
    assert _refused(path, readonly=readonly) == (
        f"the ledger {path} was written by a newer fleet (schema 2, this one knows 1); update fleet"
    )


def test_an_empty_file_becomes_a_ledger_but_cannot_be_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    assert _refused(path, readonly=True) == f"{path} is empty"
    with SqliteLedger.open(path) as ledger:
        assert ledger.head() == (0, "")


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.mkdir()
    assert _refused(path, readonly=False) == f"the ledger {path} cannot be opened: Is a directory"
    assert str(path) in _refused(path, readonly=True)


def test_a_reader_writes_nothing(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now)
        with SqliteLedger.open(path, readonly=True) as reading:
            with pytest.raises(LedgerError, match=f"the ledger {path} was opened for reading only"):
                reading.append_now(accepted("m9"))
            assert reading.commits == 0
            assert list(reading.read()) == list(ledger.read())


def test_a_reader_beside_a_running_worker_sees_each_commit(path: Path) -> None:
    with SqliteLedger.open(path) as ledger, SqliteLedger.open(path, readonly=True) as reading:
        assert reading.head() == (0, "")
        ledger.append_now(accepted("m1"))
        assert reading.head() == ledger.head()
        assert reading.verify().ok


def test_a_reader_that_came_first_sees_what_a_later_worker_writes(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        ledger.append_now(accepted("m1"))
    with SqliteLedger.open(path, readonly=True) as reading:
        assert reading.head()[0] == 1
        assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]
        with SqliteLedger.open(path) as ledger:
            ledger.append_now(accepted("m2"))
            assert reading.head() == ledger.head()
            ledger.append_now(accepted("m3"))
            assert [stored.stream for stored in reading.read()] == ["message:m1", "message:m2", "message:m3"]
        assert reading.head()[0] == 3


def test_what_a_killed_worker_left_can_be_read(path: Path) -> None:
    code = """
import sys
from fleet.ledger import SqliteLedger
ledger = SqliteLedger.open(Path(sys.argv[1]))
for place in range(5):
    ledger.append_now(accepted(f"m{place}"))
print("written", flush=True)
sys.stdin.read()
"""
    with child(code, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    with SqliteLedger.open(path, readonly=True) as reading:
        assert reading.head()[0] == 5
        assert reading.verify().ok


@pytest.fixture
def sealed() -> Iterator[Path]:
    """A folder into which, while `unprivileged`, nobody can write."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-sealed-"))
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@contextlib.contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Make the folder and its files readable only, and be a user for whom that counts."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_copy_in_a_read_only_folder_can_be_read_and_checked(path: Path, sealed: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now)
        head = ledger.head()
    shutil.copy(path, sealed)
    with unprivileged(sealed):
        with pytest.raises(LedgerError, match="cannot be opened: Permission denied"):
            SqliteLedger.open(sealed / "ledger.db")
        with SqliteLedger.open(sealed / "ledger.db", readonly=True) as copy:
            assert copy.head() == head
            assert len(copy.blob(copy.read_stream("message:m0")[1].event.decision.transcript)) == 340
            assert copy.verify().ok
        assert [file.name for file in sealed.iterdir()] == ["ledger.db"]


def test_a_copy_whose_log_cannot_be_read_in_is_refused_rather_than_shown_old(path: Path, sealed: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now)
        shutil.copy(path, sealed)
        shutil.copy(path.with_name("ledger.db-wal"), sealed)
    with unprivileged(sealed):
        message = _refused(sealed / "ledger.db", readonly=True)
    assert message == (
        f"the ledger {sealed}/ledger.db has recent events in ledger.db-wal, which cannot be read in a folder without "
        "write permission; copy both files to another folder"
    )


def test_a_copy_with_its_log_is_whole_where_it_can_be_read_in(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now)
        shutil.copy(path, copy)
        shutil.copy(path.with_name("ledger.db-wal"), copy)
        head = ledger.head()
    with SqliteLedger.open(copy / "ledger.db", readonly=True) as reading:
        assert reading.head() == head
        assert reading.verify().ok

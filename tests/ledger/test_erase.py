"""Erasing in the ledger's file: what goes, what others still need, and nothing left in free pages or the log."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from support.traces import traces

from fleet.errors import LedgerError
from fleet.ledger import Blob, Draft, SqliteLedger
from fleet.ledger.erase import forget_user, scrub
from fleet.ledger.events import Erased, TurnStarted, UserForgotten

SECRET = "kept between two people and a plant"


def turn(ledger: SqliteLedger, user: str, *blobs: Blob) -> None:
    """An event that names two blobs."""
    started = TurnStarted(
        job_id=f"job_{user}", thread_id="thr_1", turn=1, message_ids=(SECRET + user,),
        transcript=blobs[0].hash, prompt=blobs[-1].hash,
    )  # fmt: skip
    stream = f"job:job_{user}"
    ledger.append_now(Draft(stream, ledger.version(stream), (started,), user, blobs))


def held(ledger: SqliteLedger, blob: Blob) -> bool:
    with contextlib.suppress(LedgerError):
        return ledger.blob(blob.hash) == blob.body
    return False


def test_blobs_that_others_name_or_are_kept_by_stay(tmp_path: Path) -> None:
    sample = Blob.of("what every transcript says anyway " * 20)
    prompt = Blob.of("the prompt of everybody")
    own = Blob.of(sample.body + SECRET.encode(), like=sample.hash)
    other = Blob.of(sample.body + b"something else", like=sample.hash)
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        turn(ledger, "ana", own, sample, prompt)
        turn(ledger, "ben", other, sample, prompt)
        stored = forget_user(ledger.path, "ana", by="", reason="", busy_s=5)
        assert stored is not None
        assert stored.event.erased_blobs == 1
        assert [held(ledger, each) for each in (own, sample, other, prompt)] == [False, True, True, True]
        assert ledger.verify().problems == ()
        stored = forget_user(ledger.path, "ben", by="", reason="", busy_s=5)
        assert stored is not None
        assert stored.event.erased_blobs == 2
        assert [held(ledger, each) for each in (other, prompt)] == [False, False]
        assert ledger.verify().problems == ()


def test_the_file_holds_nothing_of_what_was_erased_even_where_sqlite_does_not_overwrite(tmp_path: Path) -> None:
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        for number in range(50):
            turn(ledger, "ana", Blob.of(f"{SECRET} {number} " * 40))
        with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as careless:
            careless.execute("PRAGMA secure_delete = OFF")
            careless.execute("UPDATE events SET body = x'00' WHERE user IS NOT NULL")
            careless.execute("DELETE FROM blobs")
            assert "ledger.db-wal deflated" in traces(tmp_path, SECRET)
            careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert traces(tmp_path, SECRET) == ["ledger.db deflated"]
        scrub(ledger.path, 5)
        assert traces(tmp_path, SECRET) == []


def test_it_is_read_as_erased_and_left_out_of_what_is_asked_for_by_type(tmp_path: Path) -> None:
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        turn(ledger, "ana", Blob.of("x"))
        turn(ledger, "ben", Blob.of("x"))
        forget_user(ledger.path, "ana", by="me", reason="asked", busy_s=5)
        first, second, third = ledger.read()
        assert first.event == Erased(kind=TurnStarted.TYPE)
        assert second.user == "ben"
        assert third.event == UserForgotten(user="ana", by="me", reason="asked", erased_events=1)
        assert [each.user for each in ledger.read(types=(TurnStarted.TYPE,))] == ["ben"]
        assert [each.event.TYPE for each in ledger.read_stream("job:job_ana")] == [""]
        assert forget_user(ledger.path, "ana", by="me", reason="again", busy_s=5) is None
        assert ledger.head()[0] == 3


def test_a_reader_that_does_not_let_go_is_told_of(tmp_path: Path) -> None:
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        turn(ledger, "ana", Blob.of("x"))
        forget_user(ledger.path, "ana", by="", reason="", busy_s=5)
        with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchall()
            with pytest.raises(LedgerError) as refused:
                scrub(ledger.path, 0.2)
        assert str(refused.value) == (
            f"another process has been reading {ledger.path} for 0.2 s, and what was erased is still in its log; "
            "end it and try again"
        )
        scrub(ledger.path, 5)

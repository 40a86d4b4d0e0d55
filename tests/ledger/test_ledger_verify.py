"""Verify: nothing found in a sound ledger; every altered byte found, and named, in any other."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_drafts import accepted, conversation

from fleet.ledger import SqliteLedger
from fleet.ledger.pack import pack, unpack

EVENTS = 11  # two messages from acceptance to reply, the first reply delivered


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLedger]:
    with SqliteLedger.open(tmp_path_factory.mktemp("sound") / "ledger.db") as ledger:
        conversation(ledger.append_now)
        yield ledger


@pytest.fixture(scope="module")
def hand(sound: SqliteLedger) -> Iterator[sqlite3.Connection]:
    """Somebody's hand in the file."""
    with contextlib.closing(sqlite3.connect(sound.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


@contextlib.contextmanager
def altered(hand: sqlite3.Connection, table: str, row: int, column: str, value: Any) -> Iterator[None]:
    """One cell changed for a while."""
    (old,) = hand.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
    assert old != value
    hand.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
    try:
        yield
    finally:
        hand.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (old, row))


def cell(hand: sqlite3.Connection, table: str, row: int, column: str) -> Any:
    (value,) = hand.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
    return value


def flips(value: bytes) -> Iterator[bytes]:
    """The value with one bit of one byte turned over, for every byte."""
    for place in range(len(value)):
        changed = bytearray(value)
        changed[place] ^= 1 << (place % 8)
        yield bytes(changed)


def test_a_sound_ledger_has_no_problems(sound: SqliteLedger) -> None:
    progress: list[tuple[int, int]] = []
    report = sound.verify(lambda done, total: progress.append((done, total)))
    assert report.ok
    assert report.problems == ()
    assert (report.events, report.streams, report.blobs, report.pending) == (EVENTS, 4, 2, 1)
    assert (report.seq, report.chain) == sound.head()
    assert progress == [(EVENTS, EVENTS)]


def test_an_empty_ledger_has_no_problems(ledger: SqliteLedger) -> None:
    report = ledger.verify()
    assert (report.ok, report.events, report.seq, report.chain) == (True, 0, 0, "")


def test_the_chain_is_what_its_description_says(sound: SqliteLedger, hand: sqlite3.Connection) -> None:
    chain = bytes(32)
    for stored in sound.read():
        body, v = cell(hand, "events", stored.seq, "body"), cell(hand, "events", stored.seq, "v")
        header = struct.pack(">qqqq", stored.seq, stored.version, v, stored.at)
        for text in (stored.stream, stored.event.TYPE, stored.user):
            header += struct.pack(">I", len(text.encode())) + text.encode()
        chain = hashlib.sha256(chain + header + hashlib.sha256(unpack(body)).digest()).digest()
        assert stored.chain == chain.hex()


@pytest.mark.parametrize("seq", [1, 5, EVENTS])
@pytest.mark.parametrize("column", ["body", "digest", "chain"])
def test_every_flipped_byte_is_found_at_its_event(
    sound: SqliteLedger, hand: sqlite3.Connection, seq: int, column: str
) -> None:
    for value in flips(cell(hand, "events", seq, column)):
        with altered(hand, "events", seq, column, value):
            first, *_ = sound.verify().problems
            assert f"event {seq} (" in first
    assert sound.verify().ok


@pytest.mark.parametrize("seq", range(1, EVENTS + 1))
@pytest.mark.parametrize("column", ["stream", "version", "kind", "v", "at", "user"])
def test_every_other_changed_column_is_found_at_its_event(
    sound: SqliteLedger, hand: sqlite3.Connection, seq: int, column: str
) -> None:
    old = cell(hand, "events", seq, column)
    values: list[Any] = [old ^ (1 << bit) for bit in (0, 1, 7, 8, 30, 40)] + [-old, None, "x", b"\x00", 1.5]
    for value in values:
        with contextlib.suppress(sqlite3.IntegrityError), altered(hand, "events", seq, column, value):
            assert any(f"event {seq} (" in problem for problem in sound.verify().problems), value
    assert sound.verify().ok


def test_a_renumbered_event_is_found(sound: SqliteLedger, hand: sqlite3.Connection) -> None:
    hand.execute("UPDATE events SET seq = 12 WHERE seq = 11")
    problems = sound.verify().problems
    hand.execute("UPDATE events SET seq = 11 WHERE seq = 12")
    assert problems[0] == "event 11 is missing"
    assert problems[1].startswith("event 12 (turn.ended, job:job_1 version 6) does not fit the hash chain")


@pytest.mark.parametrize("table", ["streams", "users", "kinds"])
def test_every_flipped_byte_of_a_name_is_found(sound: SqliteLedger, hand: sqlite3.Connection, table: str) -> None:
    for (row,) in hand.execute(f"SELECT id FROM {table}").fetchall():
        for name in flips(cell(hand, table, row, "name").encode()):
            value = name.decode("latin-1")
            with altered(hand, table, row, "name", value):
                assert "does not fit the hash chain" in sound.verify().problems[0]
    hand.execute("UPDATE users SET name = CAST(x'80' AS TEXT) WHERE name = 'bo'")
    problems = sound.verify().problems
    hand.execute("UPDATE users SET name = 'bo' WHERE name = CAST(x'80' AS TEXT)")
    assert "does not fit the hash chain" in problems[0]


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_of_any_event_is_found(sound: SqliteLedger, hand: sqlite3.Connection, data: st.DataObject) -> None:
    seq = data.draw(st.integers(1, EVENTS))
    column = data.draw(st.sampled_from(["body", "digest", "chain"]))
    value = bytearray(cell(hand, "events", seq, column))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    with altered(hand, "events", seq, column, bytes(value)):
        assert f"event {seq} (" in sound.verify().problems[0]


def test_an_altered_event_is_one_problem_and_not_one_for_each_event_after_it(
    sound: SqliteLedger, hand: sqlite3.Connection
) -> None:
    body = unpack(cell(hand, "events", 2, "body")).replace(b"Friday", b"Monday")
    with altered(hand, "events", 2, "body", pack(body)):
        assert sound.verify().problems == (
            "the payload of event 2 (message.decided, message:m0 version 2) was altered: it does not match its digest",
        )
    with altered(hand, "events", 2, "digest", bytes(32)):
        assert sound.verify().problems == (
            "the digest of event 2 (message.decided, message:m0 version 2) was altered: "
            "the payload and the chain agree without it",
        )
    for column, value in (("chain", bytes(32)), ("at", 1_900_000_000_000_000)):
        with altered(hand, "events", 2, column, value):
            problems = [problem for problem in sound.verify().problems if "earlier time" not in problem]
            assert problems == [
                "event 2 (message.decided, message:m0 version 2) does not fit the hash chain: "
                "it was altered, or something before it is gone"
            ]


def test_a_body_and_its_digest_altered_together_are_found(sound: SqliteLedger, hand: sqlite3.Connection) -> None:
    body = unpack(cell(hand, "events", 2, "body")).replace(b"Friday", b"Monday")
    with (
        altered(hand, "events", 2, "body", pack(body)),
        altered(hand, "events", 2, "digest", hashlib.sha256(body).digest()),
    ):
        (problem,) = sound.verify().problems
    assert problem.startswith("event 2 (message.decided, message:m0 version 2) does not fit the hash chain")


def test_a_payload_taken_away_is_found(sound: SqliteLedger, hand: sqlite3.Connection) -> None:
    with altered(hand, "events", 7, "body", None):
        problems = sound.verify().problems
    assert problems[0] == "the payload of event 7 (message.accepted, message:m1 version 1) is missing"


def test_events_taken_out_are_found(ledger: SqliteLedger) -> None:
    conversation(ledger.append_now)
    with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as hand:
        hand.execute("DELETE FROM events WHERE seq IN (3, 4, 5)")
    problems = ledger.verify().problems
    assert problems[0] == "events 3 to 5 are missing"
    assert problems[1].startswith("event 6 (reply.delivered, reply:rep_m0 version 1) does not fit the hash chain")
    assert "stream job:job_1 has version 4 at event 9 where version 1 should follow event 0" in problems


def test_a_changed_queue_is_found(sound: SqliteLedger, hand: sqlite3.Connection) -> None:
    hand.execute("INSERT INTO pending VALUES ('inbox', 'forged', 3, 'ana')")
    hand.execute("UPDATE pending SET user = 'ana' WHERE queue = 'outbox'")
    problems = sound.verify().problems
    hand.execute("DELETE FROM pending WHERE key = 'forged'")
    assert problems == (
        "queue inbox holds forged (event 3), which no event leaves open",
        "queue outbox holds rep_m1 for event 11 and user 'ana' instead of for event 11 and user 'bo'",
    )
    hand.execute("DELETE FROM pending")
    problems = sound.verify().problems
    hand.execute("INSERT INTO pending VALUES ('outbox', 'rep_m1', 11, 'bo')")
    assert problems == ("queue outbox lacks rep_m1, which event 11 opened and none closed",)
    assert sound.verify().ok


def test_changed_and_missing_blobs_are_found(sound: SqliteLedger, hand: sqlite3.Connection) -> None:
    (row, hash_, size, body) = hand.execute("SELECT id, hash, size, body FROM blobs ORDER BY id").fetchone()
    said = f"blob {hash_.hex()} was altered: its body does not match its hash"
    for value in flips(body):
        with altered(hand, "blobs", row, "body", value):
            assert said in sound.verify().problems
    with altered(hand, "blobs", row, "size", size + 1):
        assert sound.verify().problems == (said,)

    hand.execute("DELETE FROM blobs WHERE id = ?", (row,))
    problems = sound.verify().problems
    hand.execute("INSERT INTO blobs(id, hash, size, body) VALUES (?, ?, ?, ?)", (row, hash_, size, body))
    assert problems == (f"blob {hash_.hex()}, named by event 2 (message.decided, message:m0 version 2), is missing",)
    assert sound.verify().ok


def test_a_chain_forged_from_the_start_over_is_found_by_what_it_leaves_out(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    """Somebody with the code can write a chain that holds; what hangs on the events still tells."""
    conversation(ledger.append_now)
    with SqliteLedger.open(tmp_path / "forged.db") as forged:
        forged.append_now(accepted("m0"))
        with contextlib.closing(sqlite3.connect(forged.path, isolation_level=None)) as hand:
            hand.execute("DELETE FROM pending")
        assert forged.verify().problems == ("queue inbox lacks m0, which event 1 opened and none closed",)
        assert forged.head()[1] != next(ledger.read()).chain


def test_a_damaged_page_is_a_problem_and_not_a_crash(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now, 40)
    sound = path.read_bytes()
    for start in range(4096, len(sound), 4096):
        damaged = bytearray(sound)
        damaged[start : start + 64] = bytes(byte ^ 0x5A for byte in damaged[start : start + 64])
        path.write_bytes(damaged)
        with SqliteLedger.open(path, readonly=True) as ledger:
            report = ledger.verify()
        assert not report.ok
        assert all("\n" not in problem for problem in report.problems)


def test_many_problems_are_cut_short(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now, 40)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as hand:
            hand.execute("UPDATE events SET digest = x'00'")
        problems = ledger.verify().problems
    assert len(problems) == 101
    assert problems[-1] == "and 139 more"

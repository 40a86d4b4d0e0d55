"""Reading: filters, pages, directions, streams by prefix."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_drafts import accepted, conversation, decided, writing_connection

from fleet.errors import LedgerError, TamperedError
from fleet.ledger import Blob, SqliteLedger, Stored


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLedger]:
    """1,199 events: 200 messages of two users, from acceptance to delivery."""
    with SqliteLedger.open(tmp_path_factory.mktemp("full") / "ledger.db") as ledger:
        writing_connection(ledger).execute("PRAGMA synchronous = OFF")
        conversation(ledger.append_now, 200)
        yield ledger


@pytest.fixture(scope="module")
def everything(full: SqliteLedger) -> list[Stored]:
    return list(full.read())


def test_everything_comes_in_order(everything: list[Stored]) -> None:
    assert [stored.seq for stored in everything] == list(range(1, 1200))


SPANS = [
    {},
    {"after": 100},
    {"upto": 900},
    {"before": 900},
    {"after": 3, "upto": 700, "before": 650},
    {"limit": 7},
    {"limit": 0},
    {"after": 5000},
    {"after": 700, "before": 700},
    {"upto": 0},
]
FILTERS = [
    {},
    {"types": ["message.accepted"]},
    {"types": ["reply.delivered", "message.decided", "turn.ended"]},
    {"types": ["message.decided", "never.seen"]},
    {"types": ["never.seen"]},
    {"user": "bo"},
    {"user": "nobody"},
    {"user": "ana", "types": ["turn.started", "app.event"]},
]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("span", SPANS, ids=str)
@pytest.mark.parametrize("only", FILTERS, ids=str)
def test_every_filter_in_both_directions(
    full: SqliteLedger, everything: list[Stored], span: dict[str, int], only: dict[str, object], newest_first: bool
) -> None:
    wanted = [
        stored
        for stored in everything
        if stored.seq > span.get("after", 0)
        and stored.seq <= span.get("upto", 10**9)
        and stored.seq < span.get("before", 10**9)
        and ("types" not in only or stored.event.TYPE in only["types"])
        and ("user" not in only or stored.user == only["user"])
    ]
    if newest_first:
        wanted.reverse()
    assert list(full.read(**span, **only, newest_first=newest_first)) == wanted[: span.get("limit")]


def test_a_stream_is_read_from_a_version_on(full: SqliteLedger) -> None:
    versions = [stored.version for stored in full.read_stream("job:job_1", after=590)]
    assert versions == list(range(591, 601))
    assert full.read_stream("job:job_2") == []
    assert full.version("job:job_2") == 0


def test_pages_can_be_followed_by_seq(full: SqliteLedger, everything: list[Stored]) -> None:
    got: list[Stored] = []
    before = None
    while page := list(full.read(types=["message.decided"], newest_first=True, before=before, limit=33)):
        got += page
        before = page[-1].seq
    assert got == [stored for stored in reversed(everything) if stored.event.TYPE == "message.decided"]


def test_a_reader_meets_the_events_that_come_while_it_reads_and_holds_nobody_up(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        for place in range(120):
            ledger.append_now(accepted(f"m{place}"))
        reading = ledger.read()
        first = [next(reading).seq for _ in range(10)]
        ledger.append_now(accepted("late"))
        busy, _, moved = writing_connection(ledger).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, moved) == (0, 0)
        assert first + [stored.seq for stored in reading] == list(range(1, 122))


def test_streams_are_found_by_exactly_their_beginning(ledger: SqliteLedger) -> None:
    names = ["m_1", "m_12", "m%1", "mx1", "M_1", "m", "m\U0010ffff", "mé", "m_"]
    for name in names:
        ledger.append_now(accepted(name))

    def found(prefix: str, limit: int = 10) -> list[str]:
        return [name.removeprefix("message:") for name in ledger.find_streams("message:" + prefix, limit)]

    assert found("m_") == ["m_", "m_1", "m_12"]
    assert found("m_", 2) == ["m_", "m_1"]
    assert found("m%") == ["m%1"]
    assert found("m\U0010ffff") == ["m\U0010ffff"]
    assert found("mé") == ["mé"]
    assert found("nothing") == []
    assert found("") == sorted(names)
    assert found("m", 0) == []


def test_a_blob_that_was_changed_is_not_given_out(ledger: SqliteLedger) -> None:
    ledger.append_now(accepted("m1"))
    draft = decided("m1", transcript="a transcript " * 10)
    ledger.append_now(draft)
    hash_ = draft.blobs[0].hash
    writing_connection(ledger).execute("UPDATE blobs SET body = x'00112233'")

    with pytest.raises(TamperedError, match=f"blob {hash_} is not what was recorded"):
        ledger.blob(hash_)
    with pytest.raises(LedgerError, match="'xyz' is no blob's hash"):
        ledger.blob("xyz")
    missing = Blob.of("never stored").hash
    with pytest.raises(LedgerError, match=f"the ledger holds no blob {missing}"):
        ledger.blob(missing)


def test_an_event_that_cannot_be_read_is_named(ledger: SqliteLedger) -> None:
    for place in range(1, 5):
        ledger.append_now(accepted(f"m{place}"))
    writing = writing_connection(ledger)
    writing.execute("UPDATE events SET body = NULL WHERE seq = 2")
    writing.execute("UPDATE events SET body = x'7B7D' WHERE seq = 3")
    writing.execute("UPDATE events SET v = 99 WHERE seq = 4")

    with pytest.raises(LedgerError, match=r"the payload of event 2 \(message.accepted\) has been erased"):
        list(itertools.islice(ledger.read(after=1), 1))
    with pytest.raises(LedgerError, match=r"event 3 \(message.accepted v1\) cannot be read: ValidationError"):
        ledger.read_stream("message:m3")
    with pytest.raises(LedgerError, match="written by a newer fleet; update fleet"):
        ledger.read_stream("message:m4")

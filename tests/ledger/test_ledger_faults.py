"""A disk that is full, a file that cannot grow: the batch fails whole, and the writer lives on."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ledger_drafts import accepted, conversation, decided, writing_connection

from fleet.errors import LedgerError, LedgerUnavailableError
from fleet.ledger import Draft, SqliteLedger

NOISE = "".join(random.Random(1).choices("0123456789abcdef", k=100_000))  # packs into no less than 50 kB


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow past `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def _all_refused(ledger: SqliteLedger, drafts: list[Draft]) -> set[str]:
    results = await asyncio.gather(*(ledger.append(draft) for draft in drafts), return_exceptions=True)
    assert {type(result) for result in results} == {LedgerUnavailableError}
    assert len({id(result) for result in results}) == len(drafts)
    return {str(result) for result in results}


async def test_a_full_database_refuses_the_batch_and_takes_the_next(ledger: SqliteLedger) -> None:
    conversation(ledger.append_now)
    head, seen = ledger.head(), []
    ledger.subscribe(seen.extend)
    writing = writing_connection(ledger)
    (pages,) = writing.execute("PRAGMA page_count").fetchone()
    writing.execute(f"PRAGMA max_page_count = {pages + 2}")

    big = [accepted(f"big{place}", f"user{place}", NOISE) for place in range(5)]
    assert await _all_refused(ledger, big) == {
        f"the ledger {ledger.path} cannot be used: database or disk is full; nothing was written"
    }
    assert (ledger.head(), seen) == (head, [])

    writing.execute("PRAGMA max_page_count = 1000000")
    await asyncio.gather(*(ledger.append(draft) for draft in big))
    assert [stored.user for stored in seen] == [f"user{place}" for place in range(5)]
    assert ledger.verify().problems == ()


async def test_a_log_that_cannot_grow_refuses_the_batch_and_takes_the_next(path: Path) -> None:
    with SqliteLedger.open(path) as ledger:
        conversation(ledger.append_now)
        commits, head = ledger.commits, ledger.head()
        drafts = [accepted(f"m{place + 100}", "cy", NOISE) for place in range(10)]
        with largest_file(path.with_name("ledger.db-wal").stat().st_size + 40_000):
            (message,) = await _all_refused(ledger, drafts)
        assert message.startswith(f"the ledger {path} cannot be used: ")
        assert (ledger.head(), ledger.commits) == (head, commits)

        await asyncio.gather(*(ledger.append(draft) for draft in drafts))
        assert ledger.commits > commits
        assert ledger.verify().problems == ()
    with SqliteLedger.open(path) as ledger:
        assert ledger.verify().problems == ()
        assert ledger.head()[0] == head[0] + 10


async def test_names_given_numbers_in_a_failed_batch_are_not_believed_later(ledger: SqliteLedger) -> None:
    writing = writing_connection(ledger)
    (pages,) = writing.execute("PRAGMA page_count").fetchone()
    writing.execute(f"PRAGMA max_page_count = {pages + 1}")
    await _all_refused(ledger, [accepted("m1", "first", NOISE)])
    writing.execute("PRAGMA max_page_count = 1000000")

    await ledger.append(accepted("m2", "second"))
    await ledger.append(accepted("m1", "first"))
    await ledger.append(decided("m2", "second"))

    assert [stored.user for stored in ledger.read()] == ["second", "first", "second"]
    assert [stored.seq for stored in ledger.read(user="first")] == [2]
    assert ledger.verify().problems == ()


def test_a_full_disk_at_the_first_start_is_one_line(path: Path) -> None:
    with largest_file(2000), pytest.raises(LedgerError) as refused:
        SqliteLedger.open(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
    with SqliteLedger.open(path) as ledger:
        ledger.append_now(accepted("m1"))
        assert ledger.verify().ok

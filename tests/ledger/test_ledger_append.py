"""Appending: versions, stale writers, one commit for many, subscribers, and what happens on the way out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freezegun import freeze_time
from ledger_drafts import accepted, decided, delivered, turn

from fleet.clock import now_us, to_us
from fleet.errors import LedgerError, StaleWriteError
from fleet.ledger import Blob, Draft, Event, SqliteLedger, Stored
from fleet.ledger.events import FleetStarted, MessageAccepted


async def test_an_event_is_stored_with_its_place_its_time_and_its_user(ledger: SqliteLedger) -> None:
    before = now_us()

    (stored,) = await ledger.append(accepted("m1", text="Can I swap Friday? ž 🙂"))

    assert (stored.seq, stored.stream, stored.version, stored.user) == (1, "message:m1", 1, "ana")
    assert before <= stored.at <= now_us()
    assert list(ledger.read()) == [stored]
    assert ledger.read_stream("message:m1") == [stored]
    assert ledger.version("message:m1") == 1
    assert ledger.head() == (1, stored.chain)


async def test_several_events_of_a_draft_follow_each_other(ledger: SqliteLedger) -> None:
    await ledger.append(accepted("m1"))

    stored = await ledger.append(turn("m1", 0))

    assert [(one.seq, one.version) for one in stored] == [(2, 1), (3, 2), (4, 3)]
    assert ledger.version("job:job_1") == 3


async def test_a_stale_writer_is_refused_and_writes_nothing(ledger: SqliteLedger) -> None:
    await ledger.append(accepted("m1"))

    with pytest.raises(StaleWriteError) as refused:
        await ledger.append(accepted("m1", text="the same id again"))

    assert str(refused.value) == (
        "stream message:m1 is at version 1, not 0: it moved on since it was read; nothing was written"
    )
    assert ledger.head()[0] == 1


async def test_a_draft_without_events_asks_that_its_stream_has_not_moved_on(ledger: SqliteLedger) -> None:
    await ledger.append(accepted("m1"))
    for stream, known in (("message:m1", 0), ("message:m1", 2), ("message:none", 1)):
        with pytest.raises(StaleWriteError, match=f"stream {stream} is at version"):
            await ledger.append(replace(accepted("m2"), beside=(Draft(stream, known, ()),)))
    assert ledger.version("message:m2") == 0

    still = (Draft("message:m1", 1, ()), Draft("message:none", 0, ()))
    (stored,) = await ledger.append(replace(accepted("m2"), beside=still))

    assert (stored.stream, ledger.find_streams("message:none"), ledger.verify().streams) == ("message:m2", [], 2)


async def test_drafts_beside_one_another_stand_or_fall_together(ledger: SqliteLedger) -> None:
    ahead = decided("m2", "bo")  # a stream that is not there yet

    for stale in (replace(accepted("m1"), beside=(ahead,)), replace(ahead, beside=(accepted("m1"),))):
        with pytest.raises(StaleWriteError, match=r"message:m2 is at version 0, not 1: .*nothing was written"):
            await ledger.append(stale)
    assert (ledger.head()[0], ledger.pending_count("inbox")) == (0, 0)

    stored = await ledger.append(replace(accepted("m1"), beside=(accepted("m2", "bo"), accepted("m3"))))
    assert [(each.seq, each.stream, each.version, each.user) for each in stored] == [
        (1, "message:m1", 1, "ana"),
        (2, "message:m2", 1, "bo"),
        (3, "message:m3", 1, "ana"),
    ]
    both = replace(decided("m1"), beside=(decided("m2", "bo", transcript="another"),))
    assert [each.version for each in await ledger.append(both)] == [2, 2]
    assert [each.key for each in ledger.pending("inbox")] == ["m3"]
    assert ledger.verify().ok


async def test_a_writer_ahead_of_the_stream_is_refused_too(ledger: SqliteLedger) -> None:
    with pytest.raises(StaleWriteError, match="is at version 0, not 1"):
        await ledger.append(decided("m1"))
    assert list(ledger.read()) == []


async def test_a_refused_draft_leaves_no_blob_no_user_and_no_commit(ledger: SqliteLedger) -> None:
    draft = decided("m1", user="somebody new")

    with pytest.raises(StaleWriteError):
        await ledger.append(draft)

    assert ledger.commits == 0
    with pytest.raises(LedgerError, match=f"holds no blob {draft.blobs[0].hash}"):
        ledger.blob(draft.blobs[0].hash)
    await ledger.append(accepted("m2", user="somebody new"))
    assert [stored.user for stored in ledger.read(user="somebody new")] == ["somebody new"]


async def test_many_tasks_share_few_commits(ledger: SqliteLedger) -> None:
    results = await asyncio.gather(*(ledger.append(accepted(f"m{place}")) for place in range(100)))

    assert sorted(stored.seq for (stored,) in results) == list(range(1, 101))
    assert ledger.commits <= 20


async def test_in_one_batch_each_draft_stands_or_falls_alone(ledger: SqliteLedger) -> None:
    unreadable = Draft(
        "message:m4", 0, (MessageAccepted(message_id="m4", user="ana", text="half a pair \ud800"),), "ana"
    )

    first, second, third, fourth, fifth = await asyncio.gather(
        ledger.append(accepted("m1")),
        ledger.append(accepted("m1")),
        ledger.append(decided("m1")),
        ledger.append(unreadable),
        ledger.append(accepted("m2")),
        return_exceptions=True,
    )

    assert isinstance(first, tuple)
    assert isinstance(second, StaleWriteError)
    assert isinstance(third, tuple)
    assert isinstance(fourth, LedgerError)
    assert isinstance(fifth, tuple)
    assert [stored.stream for stored in ledger.read()] == ["message:m1", "message:m1", "message:m2"]
    assert ledger.verify().ok


class NotInTheVocabulary(Event):
    TYPE = "not.known"


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (Draft("", 0, (MessageAccepted(message_id="m", user="u", text="t"),)), "events need a stream"),
        (Draft("x", 0, (NotInTheVocabulary(),)), "NotInTheVocabulary is not in the ledger's vocabulary"),
        (Draft("x\ud800", 0, ()), "cannot be stored"),
        (Draft("x", 0, (), blobs=(Blob("00" * 32, b"body"),)), "has a body of another hash"),
    ],
)
async def test_what_could_not_be_read_back_is_refused(ledger: SqliteLedger, draft: Draft, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as refused:
        await ledger.append(draft)
    assert str(refused.value).endswith("nothing was written")
    assert "\n" not in str(refused.value)
    assert ledger.commits == 0


async def test_subscribers_get_each_batch_in_order_before_its_writers_go_on(ledger: SqliteLedger) -> None:
    seen: list[int] = []
    threads: set[int] = set()

    def subscriber(batch: Sequence[Stored]) -> None:
        threads.add(threading.get_ident())
        seen.extend(stored.seq for stored in batch)

    ledger.subscribe(subscriber)

    async def write(place: int) -> None:
        (stored,) = await ledger.append(accepted(f"m{place}"))
        assert stored.seq in seen

    await asyncio.gather(*(write(place) for place in range(50)))
    await write(50)

    assert seen == list(range(1, 52))
    assert threads == {threading.get_ident()}


async def test_subscribers_and_writers_get_the_very_event_that_was_given(ledger: SqliteLedger) -> None:
    handed: list[Stored] = []
    ledger.subscribe(handed.extend)
    draft = accepted("m1")

    (stored,) = await ledger.append(draft)

    assert stored.event is draft.events[0]
    assert handed == [stored]
    assert handed[0].event is draft.events[0]


async def test_a_subscriber_that_ends_or_fails_disturbs_nobody(ledger: SqliteLedger) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    seen: list[int] = []

    def fails(batch: Sequence[Stored]) -> None:
        raise RuntimeError("cannot apply")

    ledger.subscribe(fails)
    end = ledger.subscribe(lambda batch: seen.extend(stored.seq for stored in batch))
    await ledger.append(accepted("m1"))
    end()
    end()
    await ledger.append(accepted("m2"))

    assert seen == [1]
    assert [str(complaint) for complaint in complaints] == ["cannot apply", "cannot apply"]


async def test_append_now_serves_another_thread_and_the_loops_subscribers(ledger: SqliteLedger) -> None:
    arrived = asyncio.Event()
    ledger.subscribe(lambda batch: arrived.set())

    (stored,) = await asyncio.to_thread(ledger.append_now, accepted("m1"))

    await asyncio.wait_for(arrived.wait(), 10)
    assert stored.seq == 1


def test_append_now_needs_no_loop(ledger: SqliteLedger) -> None:
    (stored,) = ledger.append_now(accepted("m1"))
    assert list(ledger.read()) == [stored]
    with pytest.raises(StaleWriteError):
        ledger.append_now(accepted("m1"))


async def test_a_cancelled_task_harms_nobody_and_its_draft_is_still_written(ledger: SqliteLedger) -> None:
    tasks = [asyncio.create_task(ledger.append(accepted(f"m{place}"))) for place in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)
    ledger.close()

    assert [isinstance(result, tuple) for result in results] == [False, True] * 5
    with SqliteLedger.open(ledger.path, readonly=True) as closed:
        assert closed.head()[0] == 10


async def test_closing_writes_what_was_handed_in_and_takes_no_more(ledger: SqliteLedger) -> None:
    tasks = [asyncio.create_task(ledger.append(accepted(f"m{place}"))) for place in range(20)]
    await asyncio.sleep(0)

    ledger.close()
    results = await asyncio.gather(*tasks)
    ledger.close()

    assert len(results) == 20
    with pytest.raises(LedgerError, match=r"is closed; nothing was written"):
        await ledger.append(accepted("late"))
    with pytest.raises(LedgerError, match=r"is closed; nothing was written"):
        ledger.append_now(accepted("late"))
    with pytest.raises(LedgerError, match="is closed"):
        ledger.head()


def test_one_ledger_serves_one_loop_after_another(ledger: SqliteLedger) -> None:
    async def write(name: str) -> None:
        await ledger.append(accepted(name))

    asyncio.run(write("m1"))
    asyncio.run(write("m2"))
    assert ledger.head()[0] == 2


async def test_but_not_two_loops_at_once(ledger: SqliteLedger) -> None:
    await ledger.append(accepted("m1"))

    def elsewhere() -> None:
        asyncio.run(ledger.append(accepted("m2")))

    with pytest.raises(LedgerError, match="serves another event loop"):
        await asyncio.to_thread(elsewhere)


async def test_time_never_runs_backwards_in_the_history(ledger: SqliteLedger) -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    with freeze_time(noon):
        (first,) = await ledger.append(accepted("m1"))
    with freeze_time(noon - timedelta(hours=1)):
        (second,) = await ledger.append(accepted("m2"))
    with freeze_time(noon + timedelta(seconds=1)):
        (third,) = await ledger.append(accepted("m3"))

    assert [first.at, second.at, third.at] == [to_us(noon), to_us(noon), to_us(noon) + 1_000_000]


async def test_an_event_may_belong_to_nobody(ledger: SqliteLedger) -> None:
    started = FleetStarted(app="demo", code_version="0.1.0", pid=1, host="here")
    (stored,) = await ledger.append(Draft("fleet", 0, (started,)))
    assert stored.user == ""
    assert list(ledger.read()) == [stored]


async def test_queues_hold_what_is_begun_and_not_ended(ledger: SqliteLedger) -> None:
    await asyncio.gather(*(ledger.append(accepted(f"m{place}", "bo")) for place in range(3)))
    assert [(entry.key, entry.seq, entry.user) for entry in ledger.pending("inbox")] == [
        ("m0", 1, "bo"),
        ("m1", 2, "bo"),
        ("m2", 3, "bo"),
    ]
    assert [entry.key for entry in ledger.pending("inbox", after_seq=1, limit=1)] == ["m1"]

    await ledger.append(decided("m1"))
    assert [entry.key for entry in ledger.pending("inbox")] == ["m0", "m2"]
    assert [(entry.key, entry.seq, entry.user) for entry in ledger.pending("turns")] == [("m1", 4, "ana")]

    await ledger.append(turn("m1", 0))
    assert ledger.pending_count("turns") == 0
    assert [entry.key for entry in ledger.pending("outbox")] == ["rep_m1"]

    await ledger.append(delivered("m1"))
    assert [ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox")] == [2, 0, 0]
    assert ledger.verify().ok


async def test_what_begins_and_ends_within_one_batch_is_not_left_in_a_queue(ledger: SqliteLedger) -> None:
    drafts = [accepted("m1"), decided("m1"), turn("m1", 0), delivered("m1"), accepted("m2")]
    await asyncio.gather(*(ledger.append(draft) for draft in drafts))
    assert [ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox")] == [1, 0, 0]
    assert ledger.verify().ok


async def test_a_blob_is_kept_once_and_given_back_whole(ledger: SqliteLedger, path: Path) -> None:
    text = "You route messages. " * 5000
    await asyncio.gather(*(ledger.append(accepted(f"m{place}")) for place in range(40)))
    await asyncio.gather(*(ledger.append(decided(f"m{place}", transcript=text)) for place in range(40)))
    await ledger.append(Draft("fleet", 0, (), blobs=(Blob.of(b""), Blob.of(bytes(range(256))))))

    assert ledger.blob(Blob.of(text).hash) == text.encode()
    assert ledger.blob(Blob.of(b"").hash) == b""
    assert ledger.blob(Blob.of(bytes(range(256))).hash) == bytes(range(256))
    report = ledger.verify()
    assert (report.ok, report.blobs) == (True, 3)
    ledger.close()
    assert path.stat().st_size < 150_000

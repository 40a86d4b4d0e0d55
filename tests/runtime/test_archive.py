"""Archiving: payloads of closed threads leave the ledger's file, all reads, replays and verifies as before."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.fleets import digests, events_of, helper_app, newest_else_new, open_fleet, scripted
from support.traces import traces

from fleet import Fleet, Message
from fleet.errors import LedgerError, LedgerUnavailableError
from fleet.ledger.archive import changing_history
from fleet.ledger.base import Stored
from fleet.ledger.events import MessageDecided, TurnEnded
from fleet.llm.base import Answer, Request
from fleet.routing.gates import DispatchAction, DispatchResult
from fleet.runtime.archive import archive
from fleet.runtime.forget import forget
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now
from fleet.runtime.takeover import release, reply, takeover
from fleet.runtime.verify import verify_store

SECRET = "the orchid of Zanzibar blooms at 4711"
NOW = 2**62


def worker(request: Request) -> object:
    if "forbidden" in str(request.messages[-1]["content"]):
        return Answer(({"type": "text", "text": "No."},), "refusal", "test:worker")
    return f"Yes, {SECRET}."


def gate(message: object) -> DispatchResult | None:
    """Drops what says so."""
    return DispatchResult("", DispatchAction.DROP) if "advertisement" in message.text else None


def fleet_on(home: Path) -> Fleet:
    models = scripted(newest_else_new, worker)
    return open_fleet(home, helper_app(gate=gate), models=models)


async def say(fleet: Fleet, user: str, text: str) -> None:
    await fleet.accept(Message(user, text))
    await fleet.idle()


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """Two threads of ana's, one of ben's, a message that was dropped."""
    home = tmp_path / "home"
    async with fleet_on(home) as fleet:
        for user, text in (
            ("ana", f"this is new, {SECRET}"), ("ana", "and more of it"), ("ben", "new from ben"),
            ("ben", "advertisement"), ("ana", "another new thing"),
        ):  # fmt: skip
            await say(fleet, user, text)
    return home


def history(home: Path) -> list[Stored]:
    with Home(home).read_ledger() as ledger:
        return list(ledger.read())


def held(home: Path) -> set[str]:
    """The streams of which the ledger's file holds payloads."""
    with sqlite3.connect(home / "ledger.db") as connection:
        rows = connection.execute("SELECT stream FROM history WHERE body NOT IN ('(archived)', '(erased)')").fetchall()
    connection.close()
    return {stream for (stream,) in rows}


def lines(home: Path) -> list[dict[str, object]]:
    texts = [path.read_text("utf-8") for path in sorted((home / "archive").iterdir())]
    return [json.loads(line) for text in texts for line in text.removesuffix("\n").split("\n")]


async def test_everything_reads_replays_and_verifies_as_before(home: Path, tmp_path: Path) -> None:
    before, (digest, _) = history(home), digests(home, tmp_path / "before")
    done = archive(Home(home), NOW)
    assert (done.threads, done.messages) == (3, 1)
    assert history(home) == before
    assert digests(home, tmp_path / "after") == (digest, digest)
    report = verify_store(Home(home))
    assert report.problems == ()
    assert {each.split(":")[0] for each in held(home)} == {"fleet", "agent"}
    assert (
        done.moved.events == len(lines(home)) == sum(not each.stream.startswith(("fleet", "agent")) for each in before)
    )


async def test_a_line_is_the_event_with_its_body_as_it_was_written(home: Path) -> None:
    before = {each.seq: each for each in history(home)}
    done = archive(Home(home), NOW)
    assert done.moved.file == home / "archive" / "000001.jsonl"
    assert done.moved.file.stat().st_mode & 0o777 == 0o600
    for line in lines(home):
        stored = before[line["seq"]]
        assert (line["stream"], line["version"], line["at"], line["user"]) == \
            (stored.stream, stored.version, stored.at, stored.user)  # fmt: skip
        assert (line["type"], line["v"]) == (stored.event.TYPE, stored.event.VERSION)
        assert line["body"] == json.loads(stored.event.body())


async def test_only_what_is_closed_for_so_long_goes(home: Path) -> None:
    events = history(home)
    ended = [each for each in events if isinstance(each.event, TurnEnded)]
    of_ben = next(each.event.thread_id for each in ended if each.user == "ben")
    last = max(each.at for each in ended if each.event.thread_id == of_ben)
    done = archive(Home(home), last)
    assert (done.threads, done.messages) == (1, 0)
    assert {line["user"] for line in lines(home)} == {"ana"}
    assert archive(Home(home), last).moved.file is None
    assert archive(Home(home), NOW).threads == 2
    assert sorted(each.name for each in (home / "archive").iterdir()) == ["000001.jsonl", "000002.jsonl"]


async def test_a_thread_that_a_person_has_stays_until_it_is_released_and_then_goes_whole(home: Path) -> None:
    thread = next(each.event.thread_id for each in history(home) if isinstance(each.event, TurnEnded))
    with Home(home).open_ledger() as ledger:
        takeover(ledger, thread, by="eva")
        reply(ledger, thread, SECRET)
    async with fleet_on(home) as fleet:
        await fleet.idle()
    assert archive(Home(home), NOW).threads == 2
    assert f"takeover:{thread}" in held(home)
    with Home(home).open_ledger() as ledger:
        release(ledger, thread)
    before = history(home)
    assert archive(Home(home), NOW).threads == 1
    assert history(home) == before
    assert {each.split(":")[0] for each in held(home)} == {"fleet", "agent"}


async def test_what_is_left_to_do_or_waits_for_a_person_stays(home: Path) -> None:
    async with fleet_on(home) as fleet:
        await say(fleet, "eve", "new and forbidden")
        await say(fleet, "eve", "new and done")
    async with Fleet(helper_app(), fleet.settings, models=scripted(), workers=False) as routing:
        await say(routing, "ben", "more from ben")
    with Home(home).open_ledger() as ledger:
        accept_now(ledger, Message("eve", "still in the inbox", "late"), 10_000)
    ended = [each.event for each in history(home) if isinstance(each.event, TurnEnded)]
    blocked = {f"job:{each.job_id}" for each in ended if each.result == "blocked"}
    waiting = {f"job:{each.job_id}" for each in ended if each.user == "ben"}
    assert (len(blocked), len(waiting)) == (1, 1)

    assert archive(Home(home), NOW).threads == 3
    left = held(home)
    assert "message:late" in left
    assert {each for each in left if each.startswith("job:")} == blocked | waiting
    async with fleet_on(home) as fleet:
        await fleet.idle()
    assert verify_store(Home(home)).problems == ()


async def test_an_archived_thread_goes_on_and_beside_a_worker(home: Path, tmp_path: Path) -> None:
    async with fleet_on(home) as fleet:
        assert archive(Home(home), NOW).threads == 3
        await say(fleet, "ana", "one more")
        decided = events_of(fleet, MessageDecided)[-1].event.decision
        assert decided.outcome == "dispatch_to"
        assert archive(Home(home), NOW).threads == 1
    live, again = digests(home, tmp_path / "again")
    assert live == again
    assert verify_store(Home(home)).problems == ()


async def test_who_is_forgotten_is_so_in_the_archive_too(home: Path) -> None:
    archive(Home(home), NOW)
    shutil.copy(home / "archive" / "000001.jsonl", home / "archive" / "000007.jsonl")  # as a run that was cut off
    assert "000001.jsonl plain" in traces(home, SECRET)
    before = len(lines(home))
    forget(Home(home), "ana")
    assert traces(home, f"this is new, {SECRET}") == []
    assert {line["user"] for line in lines(home) if "user" in line} == {"ben"}
    assert len(lines(home)) == before
    assert verify_store(Home(home)).problems == ()


async def test_an_altered_and_a_missing_archive_are_found(home: Path) -> None:
    archive(Home(home), NOW)
    file = home / "archive" / "000001.jsonl"
    raw = file.read_bytes()
    place = raw.index(b"Zanzibar")
    file.write_bytes(raw[:place] + b"z" + raw[place + 1 :])
    with Home(home).read_ledger() as ledger:
        (problem,) = ledger.verify().problems
        assert problem.startswith("the payload of event ")
        assert problem.endswith("was altered: it does not match its digest")
    file.unlink()
    with Home(home).read_ledger() as ledger:
        problems = ledger.verify().problems
        assert problems[0].endswith("is missing: there is no archive/000001.jsonl")
        with pytest.raises(LedgerError) as refused:
            list(ledger.read())
    assert str(refused.value).endswith(f"is archived and cannot be read: {file}: No such file or directory")


async def test_two_at_a_time_are_refused(home: Path) -> None:
    with changing_history(home / "ledger.db"):
        for doing in (lambda: archive(Home(home), NOW), lambda: forget(Home(home), "ana")):
            with pytest.raises(LedgerUnavailableError) as refused:
                doing()
            assert str(refused.value) == (
                f"another process archives or erases in {home} just now; try again when it is done"
            )
            assert refused.value.exit_code == 75

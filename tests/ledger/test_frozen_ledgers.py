"""Ledgers as released versions of fleet wrote them: they are read, verified and made graphs of, for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.freeze import LEDGERS, shown
from support.story import rebuilt

from fleet.ledger import EVENT_TYPES, Event, SqliteLedger, events
from fleet.ledger.events import Erased, ReplyDelivered
from fleet.version import __version__

RELEASED = sorted(each.name for each in LEDGERS.iterdir())


@pytest.fixture(params=RELEASED)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the folder that one version left."""
    folder = tmp_path / "frozen"
    shutil.copytree(LEDGERS / request.param, folder)
    return folder


def told(folder: Path) -> list[dict[str, object]]:
    text = (folder / "events.jsonl").read_text("utf-8").removesuffix("\n")
    return [json.loads(line) for line in text.split("\n")]


def test_there_is_one_of_this_version() -> None:
    assert __version__ in RELEASED


def test_every_event_is_read_as_it_was(frozen: Path) -> None:
    with SqliteLedger.open(frozen / "ledger.db", readonly=True) as ledger:
        for stored, then in zip(ledger.read(), told(frozen), strict=True):
            now = json.loads(json.dumps(shown(stored)))
            if now["v"] == then["v"]:
                assert now == then
            else:  # brought up to a later version: its place is the same, its fields are the upcast's matter
                assert {**now, "event": 0, "v": 0} == {**then, "event": 0, "v": 0}


def test_it_holds_what_a_ledger_can_hold(frozen: Path) -> None:
    then = told(frozen)
    assert {each["type"] for each in then} >= {"", "message.accepted", "turn.ended", "user.forgotten"}
    with SqliteLedger.open(frozen / "ledger.db", readonly=True) as ledger:
        assert any(isinstance(each.event, Erased) for each in ledger.read())
        report = ledger.verify()
    assert report.problems == ()
    assert (report.events, report.blobs) == (len(then), 4)
    assert (frozen / "archive" / "000001.jsonl").exists()


def test_a_graph_is_made_of_it(frozen: Path, tmp_path: Path) -> None:
    with SqliteLedger.open(frozen / "ledger.db") as ledger:
        assert rebuilt(tmp_path / "one", ledger) == rebuilt(tmp_path / "two", ledger)


class LaterDelivered(Event):
    """`reply.delivered` as a later version might spell it."""

    TYPE = "reply.delivered"
    VERSION = 3
    reply_id: str
    thread: str
    tries: int

    def closes(self):
        return (("outbox", self.reply_id),)


def test_an_older_version_is_brought_up_step_by_step(frozen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(data: dict[str, object]) -> dict[str, object]:
        return {"reply_id": data["reply_id"], "thread": data["thread_id"], "attempts": data.get("attempts", 1)}

    def counted(data: dict[str, object]) -> dict[str, object]:
        return {"reply_id": data["reply_id"], "thread": data["thread"], "tries": data["attempts"]}

    with SqliteLedger.open(frozen / "ledger.db", readonly=True) as ledger:
        (before,) = ledger.read(types=(ReplyDelivered.TYPE,))
        monkeypatch.setitem(EVENT_TYPES, "reply.delivered", LaterDelivered)
        monkeypatch.setitem(events._UPCASTS, ("reply.delivered", 1), renamed)
        monkeypatch.setitem(events._UPCASTS, ("reply.delivered", 2), counted)
        (now,) = ledger.read(types=("reply.delivered",))
        assert ledger.verify().problems == ()
    assert isinstance(before.event, ReplyDelivered)
    assert now.event == LaterDelivered(reply_id=before.event.reply_id, thread=before.event.thread_id, tries=1)

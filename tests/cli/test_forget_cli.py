"""`fleet forget` as it is typed: what it asks, what it says, what it refuses; and what is told of the forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.commands import call, refused
from support.fleets import open_fleet
from support.traces import traces

from fleet import Message


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    async with open_fleet(tmp_path / "home") as fleet:
        for user in ("ana", "ben"):
            await fleet.accept(Message(user, "hello", f"of-{user}"))
        await fleet.idle()
    return tmp_path / "home"


def threads(home: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in call("threads", "list", "--home", home, "--json").stdout.splitlines()]


def test_it_says_what_it_erased_and_then_that_nothing_is_left(home: Path) -> None:
    done = call("forget", "ana", "--yes", "--home", home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'erased 6 events (1 messages) and 2 blobs of "ana"; on record as event 16\n'
    again = call("forget", "ana", "--yes", "--home", home)
    assert (again.returncode, again.stdout) == (0, 'nothing of "ana" is left to erase\n')
    assert call("store", "verify", "--home", home).returncode == 0


def test_as_json(home: Path) -> None:
    done = call("forget", "ana", "--yes", "--by", "the desk", "--reason", "Art. 17", "--home", home, "--json")
    assert json.loads(done.stdout) == {
        "user": "ana", "seq": 16, "erased_events": 6, "erased_messages": 1, "erased_blobs": 2, "aside": [],
    }  # fmt: skip
    again = json.loads(call("forget", "ana", "--home", home, "--json").stdout)
    assert again == {
        "user": "ana",
        "seq": None,
        "erased_events": 0,
        "erased_messages": 0,
        "erased_blobs": 0,
        "aside": [],
    }


def test_without_a_yes_nothing_is_erased(home: Path) -> None:
    said = refused(call("forget", "ana", "--home", home))
    assert said == '6 events of "ana" would be erased, which cannot be undone; say --yes'
    assert len(threads(home)) == 2


def test_an_unknown_user_and_a_home_that_is_not_there(home: Path, tmp_path: Path) -> None:
    said = refused(call("forget", "zoe", "--yes", "--home", home))
    assert said == 'there is no user "zoe" in this ledger; nothing was erased'
    said = refused(call("forget", "ana", "--yes", "--home", tmp_path / "none"))
    assert said.startswith(f"there is no fleet in {tmp_path / 'none'}")


async def test_what_a_restore_had_put_aside_forgets_too(home: Path, tmp_path: Path) -> None:
    assert call("store", "backup", tmp_path / "backup", "--home", home).returncode == 0
    async with open_fleet(home) as fleet:
        for number in range(5):  # the graph's file may keep one row in two places, where `traces` does not find it
            await fleet.accept(Message("zoe", f"a new orchid of Zanzibar, number {number}", f"of-zoe-{number}"))
            await fleet.idle()
    assert call("store", "restore", tmp_path / "backup", "--force", "--home", home).returncode == 0
    (before,) = home.glob("before-*")
    assert {each.split()[0] for each in traces(home, "orchid of Zanzibar")} == {"ledger.db", "graph.db0"}
    said = refused(call("forget", "zoe", "--home", home))
    assert re.fullmatch(r'\d\d events of "zoe" would be erased, which cannot be undone; say --yes', said)
    done = call("forget", "zoe", "--yes", "--home", home)
    assert done.stdout == f'erased "zoe" from {before}, which was put aside by a restore, too\n'
    assert traces(home, "orchid of Zanzibar") == []
    assert call("store", "verify", "--home", before).returncode == 0
    assert [each["user"] for each in threads(home)] == ["ben", "ana"]
    (before / "ledger.db").write_bytes(b"not a ledger any more" * 100)
    said = refused(call("forget", "ana", "--yes", "--home", home))
    assert said.startswith(f"{before} holds a ledger that was put aside and cannot be read (")
    assert said.endswith("remove it, or what it says of the user stays; nothing was erased")
    assert len(threads(home)) == 2


async def test_beside_a_worker_it_refuses_and_names_the_holder(home: Path) -> None:
    async with open_fleet(home):
        said = refused(call("forget", "ana", "--yes", "--home", home))
    assert said.startswith(f"home {home} is held by another worker (pid ")
    assert len(threads(home)) == 2


def test_the_verbs_of_the_audit_say_so(home: Path) -> None:
    (thread,) = (each["thread_id"] for each in threads(home) if each["user"] == "ana")
    asked = ("dispatch", "create", "--agent", "helper", "--user", "ana", "--id", "dsp-1", "look into it")
    assert call(*asked, "--home", home).returncode == 0
    call("forget", "ana", "--yes", "--home", home)
    said = refused(call("dispatch", "show", "dsp-1", "--home", home))
    assert said == "dispatch dsp-1 was erased: its user was forgotten, and nothing but its id is left"
    for verb in (("why",), ("replay",), ("audit", "label", "--right")):
        said = refused(call(*verb, "of-ana", "--home", home))
        assert said.startswith("message of-ana was erased: its sender was forgotten, and nothing but its id is left (")
    said = refused(call("threads", "show", thread, "--home", home))
    assert said == f"thread {thread} was erased: its user was forgotten, and nothing but its id is left"
    assert [each["user"] for each in threads(home)] == ["ben"]
    for verb in (("audit", "list"), ("threads", "list")):
        listed = call(*verb, "--user", "ana", "--home", home)
        assert listed.returncode == 0
        assert 'everything of "ana" was erased at ' in listed.stderr
        assert listed.stderr.endswith(" (event 17); nothing before that is shown\n")
        assert call(*verb, "--user", "ben", "--home", home).stderr == ""
    said = refused(call("why", "--last", "--user", "ana", "--home", home))
    assert said == 'there is no message of user "ana"; everything of theirs was erased'
    listed = [json.loads(line) for line in call("audit", "list", "--home", home, "--json").stdout.splitlines()]
    assert [each["user"] for each in listed] == ["ben"]
    assert call("replay", "--all", "--home", home).returncode == 0
    assert call("audit", "verify", "--home", home).returncode == 0
    said = refused(call("send", "--user", "ana", "--id", "of-ana", "hello", "--home", home))
    assert said == "message id of-ana was of a message that has been forgotten; send it under another id"

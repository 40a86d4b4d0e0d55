"""`fleet store verify`: 0 only if the chain holds and the graph that is rebuilt is the graph that lives."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3

import pytest
from support.commands import call, refused
from support.fleets import helper_app, open_fleet, scripted, use

from fleet import AppEvent, Message, ToolContext, reducer, tool
from fleet.graph.checkpoints import Graph
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.reducing import reducer_of


class Noted(AppEvent):
    NAME = "store_cli.noted"
    what: str


@reducer(Noted)
def note(state, event):
    state[event.what] = True


@tool(effect="write", confirm="never")
def write_down(what: str, context: ToolContext) -> str:
    """Write something down."""
    context.emit(Noted(what=what))
    return "written"


async def _talk(home, app=None, worker=None):
    async with open_fleet(home, app, models=scripted(worker=worker) if worker else None) as fleet:
        for number in range(3):
            await fleet.accept(Message("ana", f"hello {number}", f"m-{number}"))
            await fleet.reply_to(f"m-{number}")
        await fleet.idle()


@pytest.fixture
async def home(tmp_path):
    await _talk(tmp_path / "home")
    return tmp_path / "home"


def _verify(home, *options):
    done = call("store", "verify", "--home", home, "--json", *options)
    return done.returncode, json.loads(done.stdout)


def _files(home):
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))
    }


def _meddle(home):
    """Change the graph behind the ledger's back."""
    with SqliteLedger.open(home / "ledger.db", readonly=True) as ledger:
        graph = Graph(home / "graph", ledger, reducer_of)
        graph.root.changing.users["ana"].messages += 1
        graph._uncommitted += 1
        graph.close()


def test_a_home_at_rest_holds_and_is_left_as_it_was(home):
    before = _files(home)
    code, found = _verify(home)
    assert (code, found["ok"], found["problems"]) == (0, True, [])
    assert found["live"]["digest"] == found["rebuilt"]["digest"]
    assert found["live"]["opened_at"] == found["upto"] == found["ledger"]["seq"]
    assert found["rebuilt"]["opened_at"] == 0
    assert _files(home) == before
    lines = call("store", "verify", "--home", home).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ledger", "rebuilt", "live", "ok"]


def test_a_changed_payload_is_named_by_its_seq(home):
    with sqlite3.connect(home / "ledger.db") as raw:
        (seq, body) = raw.execute("SELECT seq, body FROM events WHERE CAST(body AS TEXT) LIKE '%hello 1%'").fetchone()
        raw.execute("UPDATE events SET body = ? WHERE seq = ?", (body.replace(b"hello 1", b"hello 9"), seq))
    raw.close()
    code, found = _verify(home)
    assert code == 1
    assert any(f"event {seq}" in problem for problem in found["problems"])
    printed = call("store", "verify", "--home", home).stdout
    assert "problem" in printed
    assert printed.endswith("not ok\n")


def test_a_graph_that_is_not_what_the_ledger_amounts_to_is_found(home):
    _meddle(home)
    code, found = _verify(home)
    assert code == 1
    (problem,) = found["problems"]
    assert f"at event {found['upto']} the live graph" in problem
    assert "is not the one rebuilt from the ledger" in problem


def test_a_graph_that_is_cut_short_is_found_and_one_that_is_missing_is_told(home):
    graph = home / "graph" / "graph.db0"
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    code, found = _verify(home)
    assert code == 1
    assert "the live graph cannot be used, and the next worker rebuilds it" in found["problems"][0]
    shutil.rmtree(home / "graph")
    code, found = _verify(home)
    assert (code, found["live"]) == (0, None)
    assert found["note"] == "there is no graph file; the next worker builds it"


async def test_a_graph_of_another_ledger_is_found(home, tmp_path):
    other = tmp_path / "other"
    await _talk(other)
    shutil.rmtree(home / "graph")
    shutil.copytree(other / "graph", home / "graph")
    code, found = _verify(home)
    assert code == 1
    assert "is not this ledger's" in found["problems"][0]


def test_a_home_that_no_worker_has_opened_has_nothing_to_compare(tmp_path):
    call("send", "--home", tmp_path, "--user", "ana", "hello")
    code, found = _verify(tmp_path)
    assert (code, found["live"]) == (0, None)
    assert "no worker has opened this home" in found["note"]


def test_a_copied_ledger_is_verified_by_itself(home, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copyfile(home / "ledger.db", copy)
    code, found = _verify(copy)
    assert (code, found["live"]) == (0, None)
    assert found["rebuilt"]["applied"] == found["upto"]
    assert "copied ledger" in found["note"]


async def test_events_of_an_application_need_its_code(tmp_path):
    def work(request):
        asked = isinstance(request.messages[-1]["content"], str)
        return [use("write_down", f"call_{len(request.messages)}", what="it")] if asked else "Done."

    home = tmp_path / "home"
    await _talk(home, helper_app(tools=[write_down]), work)
    why = refused(call("store", "verify", "--home", home))
    assert "store_cli.noted" in why
    assert "--app" in why
    assert "there is no module 'nowhere'" in refused(call("store", "verify", "--home", home, "--app", "nowhere:app"))


def test_a_home_without_a_ledger_is_refused(tmp_path):
    assert "there is no fleet in" in refused(call("store", "verify", "--home", tmp_path))

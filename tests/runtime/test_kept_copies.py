"""The kept copy and the fresh file: made by a process of its own, gone on in by the worker, and by the next start."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.commands import environment
from support.fleets import check_exactly_once, digests, helper_app, open_fleet, scripted, use

from fleet import AppEvent, ToolContext, reducer, tool
from fleet.graph import records
from fleet.graph.checkpoints import Graph
from fleet.graph.db import Database
from fleet.graph.files import GraphFiles
from fleet.graph.mark import whole
from fleet.ledger.events import FleetStarted
from fleet.runtime.home import Home
from fleet.runtime.intake import Message
from fleet.runtime.keeper import keep_command
from fleet.runtime.reducing import reducer_of


async def talk(home: Path, *names: str, **settings):
    async with open_fleet(home, **settings) as fleet:
        for name in names:
            await fleet.accept(Message("ana", f"hello {name}", name))
            await fleet.reply_to(name)
        await fleet.idle()


def keep(home: Path, app: str = "") -> subprocess.CompletedProcess[str]:
    command = keep_command(home / "ledger.db", home / "graph", app)
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def opened_by(home: Path, worn: int = 300) -> tuple[tuple[str, ...], str, int]:
    """How the graph is opened now, its digest and its commits."""
    with Home(home).read_ledger() as ledger:
        graph = Graph(home / "graph", ledger, reducer_of, worn=worn)
        try:
            return graph.opened, graph.digest(), graph.commits
        finally:
            graph.close()


async def test_the_kept_copy_is_gone_on_from_when_the_live_file_is_damaged(tmp_path):
    home = tmp_path / "home"
    await talk(home, "m-1", "m-2")
    done = keep(home)
    assert done.returncode == 0, done.stderr
    assert '"how": "built"' in done.stdout
    await talk(home, "m-3")
    assert '"how": "grown"' in keep(home).stdout
    await talk(home, "m-4")
    graph = home / "graph" / "graph.db0"
    graph.write_bytes(b"\0" * graph.stat().st_size)
    opened, digest, _ = opened_by(home)
    assert opened[0] == "set the graph file aside: it is not as it was last written"
    assert opened[1].startswith("opened the kept copy of event ")
    assert opened[1].endswith("and caught up 7 events")
    assert digests(home, tmp_path / "again") == (digest, digest)
    await talk(home, "m-5")
    with Home(home).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))


async def test_a_graph_that_another_version_made_of_the_same_events_is_made_anew(tmp_path, monkeypatch):
    home = tmp_path / "home"
    await talk(home, "m-1")
    monkeypatch.setattr(records, "GRAPH_VERSION", records.GRAPH_VERSION + 1)
    opened, _, _ = opened_by(home)
    assert opened[0] == "set the graph file aside: another version of fleet made it"
    assert opened[1].startswith("rebuilt from ")
    opened, digest, _ = opened_by(home)
    assert opened == ("opened and caught up 0 events",)
    assert digests(home, tmp_path / "again") == (digest, digest)


@pytest.mark.parametrize("harm", ["flipped", "another's"])
async def test_a_kept_copy_that_is_damaged_is_no_step(tmp_path, harm):
    home, other = tmp_path / "home", tmp_path / "other"
    await talk(home, "m-1", "m-2")
    keep(home)
    kept = GraphFiles(home / "graph").kept
    if harm == "flipped":
        body = bytearray(Database.file(kept).read_bytes())
        body[len(body) // 2] ^= 1
        Database.file(kept).write_bytes(body)
    else:
        await talk(other, "m-1")
        keep(other)
        shutil.rmtree(kept)
        shutil.copytree(GraphFiles(other / "graph").kept, kept)
    (home / "graph" / "graph.db0").unlink()
    opened, digest, _ = opened_by(home)
    why = "it is not as it was written" if harm == "flipped" else "is not this ledger's"
    assert why in opened[0]
    assert opened[0].startswith("the kept copy cannot be used: ")
    assert opened[1].startswith("rebuilt from ")
    assert digests(home, tmp_path / "again") == (digest, digest)
    assert '"how": "built"' in keep(home).stdout  # and the next one does not grow from it


async def test_a_worn_file_gives_way_at_the_next_start(tmp_path):
    home = tmp_path / "home"
    await talk(home, "m-1", "m-2", checkpoint_events=1)
    files = GraphFiles(home / "graph")
    assert keep(home).returncode == 0
    assert not whole(Database.file(files.fresh)).closed
    await talk(home, "m-3")
    _, digest, worn = opened_by(home)
    assert worn > 1
    _, renewed, commits = opened_by(home, worn=worn)
    assert renewed == digest
    assert commits < worn
    assert not files.fresh.exists()
    assert not (home / "graph" / "previous.db0").exists()
    assert opened_by(home, worn=1)[0] == ("opened and caught up 0 events",)


async def test_a_fresh_file_that_is_damaged_is_not_gone_on_in(tmp_path):
    home = tmp_path / "home"
    await talk(home, "m-1", checkpoint_events=1)
    keep(home)
    fresh = Database.file(GraphFiles(home / "graph").fresh)
    fresh.write_bytes(fresh.read_bytes()[:-100])
    _, digest, commits = opened_by(home, worn=1)
    assert commits >= 1
    assert digests(home, tmp_path / "again") == (digest, digest)


async def test_a_running_fleet_keeps_copies_and_goes_on_in_the_fresh_file(tmp_path, caplog):
    caplog.set_level("INFO", "fleet")
    home = tmp_path / "home"
    settings = {"checkpoint_events": 2, "checkpoint_s": 0.05, "compact_commits": 4}
    async with open_fleet(home, **settings) as fleet:
        number = 0
        while "graph.renewed" not in caplog.text:
            number += 1
            await fleet.accept(Message("ana", f"hello {number}", f"m-{number}"))
            await fleet.reply_to(f"m-{number}")
        await fleet.accept(Message("ana", "and after it", "after"))
        assert await fleet.reply_to("after") == "You said: and after it"
        await fleet.idle()
    assert "graph.kept " in caplog.text
    assert "Traceback" not in caplog.text
    live, again = digests(home, tmp_path / "again")
    assert live == again
    with Home(home).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))
        starts = [each.event.graph for each in ledger.read(types=(FleetStarted.TYPE,))]
    assert starts == [("made, for a new home",)]


class Noted(AppEvent):
    NAME = "kept_copies.noted"
    what: str


@reducer(Noted)
def note(state, event):
    state[event.what] = True


@tool(effect="write", confirm="never")
def write_down(what: str, context: ToolContext) -> str:
    """Write something down."""
    context.emit(Noted(what=what))
    return "written"


async def test_events_that_only_the_application_can_apply_leave_a_copy_of_the_live_file(tmp_path):
    def work(request):
        asked = isinstance(request.messages[-1]["content"], str)
        return [use("write_down", f"call_{len(request.messages)}", what="it")] if asked else "Done."

    home = tmp_path / "home"
    async with open_fleet(home, helper_app(tools=[write_down]), models=scripted(worker=work)) as fleet:
        await fleet.accept(Message("ana", "note it", "m-1"))
        await fleet.reply_to("m-1")
        await fleet.idle()
    done = keep(home)
    assert done.returncode == 0, done.stderr
    assert '"how": "copied"' in done.stdout
    assert not GraphFiles(home / "graph").fresh.exists()
    (home / "graph" / "graph.db0").write_bytes(b"")
    opened, digest, _ = opened_by(home)
    assert opened[1].startswith("opened the kept copy of event ")
    assert digests(home, tmp_path / "again") == (digest, digest)


def test_without_a_ledger_or_a_graph_nothing_is_kept(tmp_path):
    done = keep(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"there is no ledger at {tmp_path}/ledger.db\n"

"""How an open graph comes to be current: caught up, replayed after a kill, or built again from the ledger."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.story import Story, rebuilt, reducer_of

from fleet.errors import GraphError
from fleet.graph.checkpoints import Graph
from fleet.graph.db import Database
from fleet.graph.mark import mark
from fleet.ledger.sqlite import SqliteLedger

ROOT = Path(__file__).parents[2]


def tell(story: Story) -> None:
    """Some of everything."""
    first = story.start("ana", "Can I swap Friday?")
    story.turn(first)
    story.go_on(first)
    second = story.start("bo", "Kiom da tagoj? Ĉu?")
    story.begin(second)
    story.call(second, "a")
    story.intend(second, "a")
    story.result(second, "a", "öäü 文", by=2)
    story.end(second)


def test_what_is_closed_opens_where_it_was(story, opened):
    tell(story)
    digest = opened().digest()
    assert opened.now.opened_by.startswith("rebuilt from")
    reopened = opened()
    assert reopened.opened_by == "opened and caught up 0 events"
    assert reopened.digest() == digest


def test_what_came_in_between_is_caught_up(story, opened, tmp_path):
    opened()
    opened.close()
    tell(story)
    graph = opened()
    assert graph.opened_by.startswith("opened and caught up")
    digest = graph.digest()
    opened.close()
    assert rebuilt(tmp_path / "other", story.ledger) == digest


def test_checkpoints_fall_due_by_events_and_by_time(story, opened):
    graph = opened(checkpoint_events=3, checkpoint_s=3600)
    assert not graph.checkpoint_due
    for due in (False, False, True):
        story.accept()
        graph.catch_up()
        assert graph.checkpoint_due is due
    graph.checkpoint(wait=True)
    assert not graph.checkpoint_due
    hasty = opened(checkpoint_events=1000, checkpoint_s=0)
    assert not hasty.checkpoint_due  # nothing was applied
    story.accept()
    hasty.catch_up()
    assert hasty.checkpoint_due


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    with file.open("r+b") as graph:
        graph.truncate(file.stat().st_size // 2)


def overwrite(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("closed", ["closed", "killed"])
@pytest.mark.parametrize("harm", [empty, cut, overwrite, remove])
def test_a_damaged_file_is_set_aside_and_the_graph_built_again(story, opened, tmp_path, harm, closed):
    tell(story)
    digest = opened().digest()
    opened.close()
    file = Database.file(tmp_path / "graph")
    if closed == "killed":
        mark(file, 0, 0, closed=False)
    harm(file)
    graph = opened()
    assert graph.digest() == digest
    assert (tmp_path / "graph.aside" / file.name).exists() is (harm is not remove)
    assert opened().opened_by == "opened and caught up 0 events"


def test_the_graph_of_another_ledger_is_not_taken(story, opened, tmp_path):
    tell(story)
    digest = opened().digest()
    opened.close()
    with SqliteLedger.open(tmp_path / "other" / "ledger.db") as other:
        told = Story(other)
        told.declare("billing")
        for n in range(30):
            told.start("eve", f"other {n}", role="billing")
        Graph(tmp_path / "foreign", other, reducer_of).close()
    shutil.rmtree(tmp_path / "graph")
    shutil.copytree(tmp_path / "foreign", tmp_path / "graph")
    graph = opened()
    assert graph.opened_by.startswith("rebuilt from")
    assert graph.digest() == digest
    assert (tmp_path / "graph.aside" / "graph.db0").exists()


def test_a_graph_ahead_of_a_ledger_that_was_restored_is_built_again(story, opened, tmp_path):
    story.accept()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
    tell(story)
    opened()
    opened.close()
    with SqliteLedger.open(tmp_path / "backup.db") as earlier:
        graph = Graph(tmp_path / "graph", earlier, reducer_of)
        try:
            assert graph.opened_by.startswith("rebuilt from")
            assert graph.root.applied == earlier.head()[0]
        finally:
            graph.close()


def test_a_reducer_that_failed_leaves_a_graph_that_is_built_again(story, opened, tmp_path):
    thread = story.start()
    opened()
    opened.close()

    def raising(name):
        def reduce(state, data):
            state["half"] = 1
            raise KeyError("reducer")

        return dict, reduce

    graph = Graph(tmp_path / "graph", story.ledger, raising)
    story.begin(thread)
    story.call(thread, "a")
    story.result(thread, "a", by=3)
    with pytest.raises(GraphError, match=r"app\.event"):
        graph.catch_up()
    graph.close()
    mended = opened()
    assert mended.opened_by.startswith("rebuilt from")
    assert dict(mended.root.state.items()) == {"counted": 3}


KILLED = """
import os, signal, sys
from pathlib import Path
from support.story import Story, reducer_of
from fleet.graph.checkpoints import Graph
from fleet.ledger.sqlite import SqliteLedger
home, every = Path(sys.argv[1]), int(sys.argv[2])
with SqliteLedger.open(home / "ledger.db") as ledger:
    story = Story(ledger)
    story.declare()
    graph = Graph(home / "graph", ledger, reducer_of, checkpoint_events=every, checkpoint_s=3600)
    for n in range(40):
        story.turn(story.start(f"user {n % 7}", f"message {n}"))
        graph.catch_up()
        graph.tend()
    while graph.checkpoint_due or not graph.marked:
        graph.tend()
    print(graph.digest(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("every", [1000, 12])
def test_after_a_kill_the_events_since_the_last_checkpoint_are_replayed(tmp_path, every):
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(every)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL, run.stderr
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        graph = Graph(tmp_path / "graph", ledger, reducer_of)
        try:
            assert graph.opened_by.startswith("opened and caught up")
            caught_up = int(graph.opened_by.split()[-2])
            assert (caught_up == 200) is (every == 1000)  # all of the forty rounds, if there was no checkpoint in them
            assert graph.digest() == run.stdout.strip()
        finally:
            graph.close()


def test_one_process_opens_one_graph(story, opened, tmp_path):
    opened()
    with pytest.raises(GraphError, match="it can open one at a time"):
        Graph(tmp_path / "second", story.ledger, reducer_of)


def test_a_graph_that_another_process_has_open_is_busy(story, opened, tmp_path):
    opened()
    code = (
        "import sys; from pathlib import Path; from fleet.graph.checkpoints import Graph; "
        "from fleet.ledger.sqlite import SqliteLedger; "
        "Graph(Path(sys.argv[1]) / 'graph', SqliteLedger.open(Path(sys.argv[1]) / 'ledger.db'), None)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "HomeBusyError" in run.stderr.splitlines()[-1]
    assert "is open in another process" in run.stderr
    assert opened.now.digest()

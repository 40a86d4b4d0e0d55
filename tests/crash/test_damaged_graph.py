"""A graph file that is damaged, in whatever way: the worker starts, and has the graph that the ledger amounts to."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import Running, at_rest, call, environment, wait_for

from fleet.agents.app import import_app
from fleet.graph.checkpoints import Graph
from fleet.graph.db import Database
from fleet.graph.files import GraphFiles
from fleet.graph.mark import mark_of, read_mark, whole
from fleet.runtime.home import Home
from fleet.runtime.keeper import keep_command
from fleet.runtime.reducing import reducer_of

SERVE = ("worker", "--no-warmup-check", "--log-level", "error", "--home")
FLIPS = 50


def copied(home: Path, to: Path) -> None:
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("bells"))  # where processes waited for each other


def live(home: Path) -> Path:
    return Database.file(home / "graph")


def worked(home: Path, *said: str, how: signal.Signals) -> None:
    """A worker that answered what was said, and was ended or killed when its graph was committed and marked."""
    with Running(*SERVE, home, FLEET_CHECKPOINT_S="0.1") as worker:
        worker.read_until("serving", err=True)
        for number, text in enumerate(said):
            assert call("send", "--home", home, "--user", f"user{number % 3}", text).returncode == 0
        wait_for(home, at_rest)
        if how is signal.SIGKILL:
            with Home(home).read_ledger() as ledger:
                head = ledger.head()[0]
            while (said_of := read_mark(live(home))) is None or said_of.applied < head or not whole(live(home)):
                assert worker.process.poll() is None
        worker.signal(how)
        worker.end()


@pytest.fixture(scope="module")
def homes(tmp_path_factory) -> dict[str, Path]:
    """A home that was closed, one whose worker was killed, and another home; the first two with a kept copy."""
    import_app("fleet.demo:app")
    folder = tmp_path_factory.mktemp("homes")
    made = {name: folder / name for name in ("closed", "killed", "another's")}
    talk = [f"When is the report of week {week} due?" for week in range(6)]
    worked(made["closed"], *talk[:3], how=signal.SIGTERM)
    kept = subprocess.run(
        keep_command(made["closed"] / "ledger.db", made["closed"] / "graph", "fleet.demo:app"),
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert kept.returncode == 0, kept.stderr
    copied(made["closed"], made["killed"])
    worked(made["closed"], *talk[3:], how=signal.SIGTERM)
    worked(made["killed"], *talk[3:], how=signal.SIGKILL)
    worked(made["another's"], *talk[:2], how=signal.SIGTERM)
    return made


def opened(home: Path, folder: str = "graph") -> tuple[str, str]:
    """How the graph was opened, and its digest."""
    with Home(home).read_ledger() as ledger:
        graph = Graph(home / folder, ledger, reducer_of)
        try:
            return graph.opened_by, graph.digest()
        finally:
            graph.close()


def cut(file: Path, homes: dict[str, Path]) -> None:
    with file.open("r+b") as graph:
        graph.truncate(file.stat().st_size // 2)


def emptied(file: Path, homes: dict[str, Path]) -> None:
    file.write_bytes(b"")


def overwritten(file: Path, homes: dict[str, Path]) -> None:
    file.write_bytes(random.Random(1).randbytes(file.stat().st_size))


def anothers(file: Path, homes: dict[str, Path]) -> None:
    shutil.rmtree(file.parent)
    shutil.copytree(homes["another's"] / "graph", file.parent)


def missing(file: Path, homes: dict[str, Path]) -> None:
    file.unlink()


def flipped(file: Path, at: int, bit: int) -> None:
    body = bytearray(file.read_bytes())
    body[at] ^= 1 << bit
    file.write_bytes(body)


def one_bit(file: Path, homes: dict[str, Path]) -> None:
    flipped(file, file.stat().st_size // 3, 4)


@pytest.mark.parametrize("left", ["closed", "killed"])
@pytest.mark.parametrize("harm", [cut, emptied, overwritten, one_bit, anothers, missing])
def test_a_worker_starts_on_a_damaged_graph_and_goes_on(homes, tmp_path, left, harm):
    home = tmp_path / "home"
    copied(homes[left], home)
    harm(live(home), homes)
    worked(home, "When is the report of week 9 due?", how=signal.SIGTERM)
    done = call("store", "verify", "--home", home)
    assert done.stdout.endswith("ok\n"), done.stdout
    steps = [line for line in call("store", "status", "--home", home).stdout.splitlines() if line.startswith("start")]
    assert "opened the kept copy of event " in steps[0]


@pytest.mark.parametrize(("left", "kept"), [("closed", True), ("killed", False)])
def test_a_bit_that_flipped_anywhere_changes_nothing(homes, tmp_path, left, kept):
    home, chance = tmp_path / "home", random.Random(left)
    copied(homes[left], home)
    if not kept:
        GraphFiles(home / "graph").forget_copies()
    step, digest = opened(home)
    assert step.startswith("opened and caught up")
    assert opened(home, "again")[1] == digest
    mark, body = mark_of(live(home)).read_bytes(), live(home).read_bytes()
    for part in range(FLIPS):
        live(home).write_bytes(body)
        mark_of(live(home)).write_bytes(mark)
        at = (part * len(body) + chance.randrange(len(body))) // FLIPS
        flipped(live(home), at, chance.randrange(8))
        step, found = opened(home)
        assert found == digest, f"bit at {at}"
        assert step.startswith("opened the kept copy" if kept else "rebuilt")

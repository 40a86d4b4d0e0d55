"""`fleet forget` and `fleet archive` killed at their points: done or not, and whoever comes next finishes it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill_points import ARCHIVING, FORGETTING
from support.commands import Running, at_rest, environment, run, wait_for
from support.traces import traces

HERE = Path(__file__).parent
SECRET = "the orchid of Zanzibar blooms at 4711"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on which two people wrote to the demo's help desk."""
    home = tmp_path_factory.mktemp("told") / "home"
    for number, user in enumerate(("ana", "ben", "ana")):
        run("send", "--home", home, "--user", user, "--id", f"m-{number}", f"How long is my leave? {SECRET} {user}")
    work(home)
    # The graph's file has it too, but may keep a row in two places, where `traces` does not find it.
    assert "ledger.db" in {each.split()[0] for each in traces(home, f"{SECRET} ana")}
    return home


def work(home: Path) -> None:
    """Let a worker do whatever is to be done."""
    with Running("worker", "--home", home, "--no-warmup-check") as worker:
        worker.read_until("serving", err=True)
        wait_for(home, at_rest)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0, worker.said


def kill(point: str, *command: object) -> None:
    """Run a command that dies at the point, before it has said anything."""
    died = subprocess.run(
        [sys.executable, HERE / "kill_points.py", point, "1", *map(str, command)],
        env=environment(), capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (died.returncode, died.stdout) == (-signal.SIGKILL, ""), died


@pytest.mark.parametrize(
    ("point", "then"),
    [*((point, "forget") for point in FORGETTING), ("before the erasing", "worker"), ("after the erasing", "worker")],
)
def test_whoever_comes_next_finishes_it(told: Path, tmp_path: Path, point: str, then: str) -> None:
    home = tmp_path / "home"
    shutil.copytree(told, home)
    forgetting = ("forget", "--home", home, "ana", "--yes")
    kill(point, *forgetting)
    erased = "after" in point or "scrubbing" in point
    if then == "worker":
        work(home)
        assert bool(traces(home, f"{SECRET} ana")) == (not erased)
    again = run(*forgetting)
    assert (again.returncode, again.stdout.startswith("nothing of")) == (0, erased), again
    assert traces(home, f"{SECRET} ana") == []
    assert traces(home, f"{SECRET} ben") != []
    verified = run("store", "verify", "--home", home)
    assert verified.returncode == 0, verified.stdout
    assert not (home / "forgetting").exists()


@pytest.mark.parametrize("point", ARCHIVING)
def test_what_is_in_an_archive_and_in_the_ledger_is_so_once_and_forgotten_in_both(
    told: Path, tmp_path: Path, point: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(told, home)
    archiving = ("archive", "--home", home, "--older-than", 0)
    kill(point, *archiving)
    assert SECRET in (home / "archive" / "000001.jsonl").read_text("utf-8")
    assert run("store", "verify", "--home", home).returncode == 0
    again = run(*archiving)
    assert again.returncode == 0
    assert again.stdout.endswith(f"to {home}/archive/000002.jsonl\n")
    assert run("forget", "--home", home, "ana", "--yes").returncode == 0
    assert traces(home, f"{SECRET} ana") == []
    verified = run("store", "verify", "--home", home)
    assert verified.returncode == 0, verified.stdout

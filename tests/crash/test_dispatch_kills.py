"""A dispatch is durable or it is not there: whoever is killed between its making and its start, it comes to its end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill_points import POINTS, STEPS
from support.commands import environment, run

from fleet.ledger.events import DispatchRequested, TurnEnded
from fleet.runtime.dispatches import dispatches, find_dispatch
from fleet.runtime.home import Home

HERE = Path(__file__).parent
SENDING = ("before a send is durable", "after a send is durable")
OFFLINE = [each for each in POINTS if each not in SENDING and not {"model's", "tool", "delivery"} & set(each.split())]


def command(home: Path, number: int) -> tuple[object, ...]:
    return (
        "dispatch", "create", "--home", home, "--agent", "information_retriever", "--user", "ana", "--new-thread",
        "--id", f"d-{number}", "--by", "test", "--metadata", '{"order": 7}', "How do I get a ticket reimbursed?",
    )  # fmt: skip


def killed(home: Path, point: str, count: int, *arguments: object) -> int:
    """Run a command until it dies at the point; -9 if it did."""
    done = subprocess.run(
        [sys.executable, HERE / "kill_points.py", point, str(count), *map(str, arguments)],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode


@pytest.mark.timeout(300)
def test_a_dispatch_made_while_its_maker_is_killed_is_there_once_or_not_at_all(tmp_path):
    home = tmp_path / "home"
    for number, point in enumerate(SENDING):
        assert killed(home, point, 1, *command(home, number)) == -signal.SIGKILL
        again = run(*command(home, number))
        assert (again.returncode, again.stdout) == (0, f"d-{number}\n")
        assert ("already accepted" in again.stderr) == point.startswith("after")
    with Home(home).read_ledger() as ledger:
        assert [each.id for each in dispatches(ledger)] == ["d-1", "d-0"]
        assert all(isinstance(each.event, DispatchRequested) for each in ledger.read())


@pytest.mark.timeout(600)
def test_no_kill_between_create_and_start_strands_a_dispatch(tmp_path):
    home = tmp_path / "home"
    for number, point in enumerate(OFFLINE):
        assert run(*command(home, number)).returncode == 0
        worker = subprocess.Popen(
            [sys.executable, HERE / "kill_points.py", point, "1", "worker", "--home", str(home)],
            env=environment(FLEET_CHECKPOINT_EVENTS="1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said, _ = worker.communicate(timeout=60)
        assert worker.returncode in (-signal.SIGKILL, -signal.SIGALRM), (point, said)
    last = run(*command(home, len(OFFLINE)))
    assert last.returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", "worker", "--home", str(home)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as worker:  # fmt: skip
        waited = run(
            "dispatch", "create", "--home", home, "--agent", "sounding_board", "--user", "bo", "--wait", "Hello"
        )
        assert waited.returncode == 0, waited.stderr
        with Home(home).read_ledger() as ledger:
            for number in range(len(OFFLINE) + 1):
                while not find_dispatch(ledger, f"d-{number}").ended:
                    assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    with Home(home).read_ledger() as ledger:
        found = list(dispatches(ledger, user="ana"))
        assert len(found) == len(OFFLINE) + 1
        assert {each.state for each in found} <= {"success", "need_input"}
        assert all(each.reason and each.metadata == {"order": 7} for each in found)
        assert len({each.thread_id for each in found}) == len(found)
        assert not any(ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox"))
        assert ledger.verify().ok


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", STEPS)
def test_a_worker_killed_between_the_steps_of_a_workflow_neither_loses_nor_doubles_one(tmp_path, point):
    home = tmp_path / "home"
    made = run(
        "dispatch", "create", "--home", home, "--user", "ana", "--id", "w-1", "--mode", "workflow",
        "--agent", "information_retriever", "--agent", "information_retriever", "--agent", "sounding_board",
        "How do I get a ticket reimbursed?",
    )  # fmt: skip
    assert (made.returncode, made.stdout) == (0, "w-1\n"), made.stderr
    for _ in range(2):
        worker = subprocess.run(
            [sys.executable, HERE / "kill_points.py", point, "1", "worker", "--home", str(home)],
            env=environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert worker.returncode == -signal.SIGKILL, worker.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", "worker", "--home", str(home)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as worker:  # fmt: skip
        with Home(home).read_ledger() as ledger:
            while not (found := find_dispatch(ledger, "w-1")).ended:
                assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    assert (found.state, [each.state for each in found.steps]) == ("success", ["success"] * 3)
    with Home(home).read_ledger() as ledger:
        asked = [each.event.message_id for each in ledger.read(types=(DispatchRequested.TYPE,))]
        assert asked == ["w-1", "w-1.step2", "w-1.step3"]
        assert len(list(ledger.read(types=(TurnEnded.TYPE,)))) == 3
        assert not any(ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox", "steps"))
        assert ledger.verify().ok

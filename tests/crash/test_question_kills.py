"""A worker killed around a question to a user: it is asked once and settled once, and nobody's message is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill_points import ASKING
from support.commands import environment, run

from fleet.ledger.events import MessageAccepted, MessageDecided, QuestionAsked, TurnEnded
from fleet.runtime.home import Home

HERE = Path(__file__).parent
QUEUES = ("inbox", "turns", "outbox")


def killed(home, point):
    """Run a worker until it dies at the point."""
    worker = subprocess.run(
        [sys.executable, HERE / "kill_points.py", point, "1", "worker", "--home", str(home)],
        env=environment(FLEET_ASK_BELOW="1"), capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert worker.returncode == -signal.SIGKILL, (point, worker.stderr)


@pytest.mark.timeout(300)
def test_a_question_is_asked_once_and_settled_once_whenever_the_worker_is_killed(tmp_path):
    home = tmp_path / "home"
    send = ("send", "--home", home, "--user", "ana", "--id")
    assert run(*send, "m", "I need to move my Thursday shift to another day.").returncode == 0
    asking, settling = list(ASKING)[:2], list(ASKING)[2:]
    for point in asking:
        killed(home, point)
    assert run(*send, "a", "1").returncode == 0
    for point in settling:
        killed(home, point)
    with subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", "worker", "--home", str(home)],
        env=environment(FLEET_ASK_BELOW="1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as worker:  # fmt: skip
        with Home(home).read_ledger() as ledger:
            while any(ledger.pending_count(queue) for queue in QUEUES) or not ended(ledger):
                assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(100) == 0
    with Home(home).read_ledger() as ledger:
        events = [each.event for each in ledger.read()]
        assert [each.message_id for each in events if isinstance(each, MessageAccepted)] == ["m", "a"]
        assert [each.message_id for each in events if isinstance(each, QuestionAsked)] == ["m"]
        decided = [each for each in events if isinstance(each, MessageDecided)]
        assert [each.message_id for each in decided] == ["m", "a"]
        assert [(each.decision.by, each.decision.asked, each.decision.answer_to) for each in decided] == [
            ("user", "answered", ""), ("user", "", "m"),
        ]  # fmt: skip
        assert [each.message_ids for each in ended(ledger)] == [("m",)]
    assert run("store", "verify", "--home", home).returncode == 0


def ended(ledger):
    return [each.event for each in ledger.read(types=(TurnEnded.TYPE,))]

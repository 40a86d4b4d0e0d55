"""A burst is settled as a whole or not at all: wherever the worker is killed, it is one decision and one reply."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill_points import BURSTS
from support.commands import environment, wait_for

from fleet.ledger.events import MessageDecided, TurnEnded
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now

HERE = Path(__file__).parent
SAID = ("Hello", "I came by train", "How do I get the ticket reimbursed?")


@pytest.mark.timeout(600)
def test_no_kill_takes_a_burst_apart(tmp_path):
    home = tmp_path / "home"
    bursting = environment(FLEET_BURST_WINDOW_S="3600", FLEET_BURST_MOST_S="3", FLEET_CHECKPOINT_EVENTS="1")
    for number, point in enumerate(BURSTS):
        with Home(home).open_ledger() as ledger:
            for place, text in enumerate(SAID):
                accept_now(ledger, Message(f"user-{number}", text, f"{number}.{place}"), 1000)
        worker = subprocess.run(
            [sys.executable, HERE / "kill_points.py", point, "1", "worker", "--home", str(home)],
            env=bursting, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert worker.returncode == -signal.SIGKILL, (point, worker.stderr)
    with subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", "worker", "--home", str(home)],
        env=bursting, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as worker:  # fmt: skip
        queues = ("inbox", "turns", "outbox")
        wait_for(home, lambda ledger: not any(map(ledger.pending_count, queues)))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    with Home(home).read_ledger() as ledger:
        assert ledger.verify().ok
        decided = {each.event.message_id: each.event.decision for each in ledger.read(types=(MessageDecided.TYPE,))}
        ended = [each.event.message_ids for each in ledger.read(types=(TurnEnded.TYPE,))]
        assert len(list(ledger.read(types=(MessageDecided.TYPE,)))) == len(decided) == len(SAID) * len(BURSTS)
    bursts = [tuple(f"{number}.{place}" for place in range(len(SAID))) for number in range(len(BURSTS))]
    assert sorted(ended) == sorted(bursts)
    for first, *others in bursts:
        assert decided[first].covers == tuple(others)
        assert {(decided[each].joined, decided[each].thread_id) for each in others} == {
            (first, decided[first].thread_id)
        }

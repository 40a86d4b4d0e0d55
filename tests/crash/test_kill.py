"""A worker killed at random moments, again and again, while messages come in: nothing is lost, doubled or reordered."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.crashes import QUEUES, Tally, look
from support.fleets import digests

from fleet.demo.day import DAY
from fleet.ledger.events import AppEventRecorded, FleetStarted, ToolReturned
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now

ROOT = Path(__file__).parents[2]
GIVEN_UP_S = 300  # a message may wait through many kills


class Worker:
    """One `fleet worker` process on a home."""

    def __init__(self, home: Path, checkpoint_events: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fleet.cli", "worker", "--no-warmup-check", "--home", home],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "PYTHONPATH": str(ROOT),
                "FLEET_CHECKPOINT_EVENTS": str(checkpoint_events),
            },
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end(self, how: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=GIVEN_UP_S)
        return self.process.returncode, said


def wait_until(worker: Worker, done) -> None:
    """Look until `done()`; the moment counts here, so it looks all the time."""
    late = time.monotonic() + GIVEN_UP_S
    while not done():
        assert worker.process.poll() is None, worker.process.stderr.read()
        assert time.monotonic() < late, "the worker came to no end"
        time.sleep(0.001)


def talk(home: Path, person: str, texts: list[str], chance: random.Random) -> None:
    """One person's messages in order; now and then without waiting for the answer to the one before."""
    ledger = Home(home).open_ledger()
    for number, text in enumerate(texts):
        message = Message(person, text, id=f"{person}-{number:03}")
        assert accept_now(ledger, message, 10_000).new
        assert not accept_now(ledger, message, 10_000).new
        late = time.monotonic() + GIVEN_UP_S
        patient = chance.random() < 0.8
        while patient and any(each.key == message.id for queue in QUEUES[:2] for each in ledger.pending(queue)):
            assert time.monotonic() < late
            time.sleep(0.01)
        time.sleep(chance.random() / 20)
    ledger.close()


def people(home: Path, days: int, seed: int) -> dict[str, tuple[threading.Thread, list[str]]]:
    """The two people of the scripted day, so many times over, each a thread that talks, and what they say."""
    found = {}
    for number in range(days):
        for user in dict.fromkeys(line.user for line in DAY):
            person, texts = f"{user}{number}", [line.text for line in DAY if line.user == user]
            chance = random.Random(f"{seed} {person}")
            thread = threading.Thread(target=talk, args=(home, person, texts, chance), daemon=True)
            found[person] = (thread, [f"{person}-{each:03}" for each in range(len(texts))])
    return found


def started(home: Path, checkpoint_events: int, ledger) -> Worker:
    """A worker that has opened the home."""
    runs = len(list(ledger.read(types=(FleetStarted.TYPE,))))
    worker = Worker(home, checkpoint_events)
    wait_until(worker, lambda: len(list(ledger.read(types=(FleetStarted.TYPE,)))) > runs)
    return worker


def killed_often(tmp_path: Path, kills: int, days: int, seed: int, tally: Tally) -> None:
    chance = random.Random(seed)
    home = tmp_path / "home"
    ledger = Home(home).open_ledger()
    talking = people(home, days, seed)
    for thread, _ in talking.values():
        thread.start()
    for _ in range(kills):
        worker = started(home, chance.choice((5, 40, 2000)), ledger)
        steps = ledger.head()[0] + chance.randrange(1, 50)
        wait_until(worker, lambda: ledger.head()[0] >= steps or over(talking, ledger))  # noqa: B023
        time.sleep(chance.random() / 100)
        code, said = worker.end(signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        tally.kills += 1
    worker = started(home, 2000, ledger)
    wait_until(worker, lambda: over(talking, ledger))
    code, said = worker.end(signal.SIGTERM)
    assert code == 0, said
    assert "Traceback" not in said
    tally.add(look(ledger, {person: ids for person, (_, ids) in talking.items()}, over=True))
    check_effects([each.event for each in ledger.read()], runs=kills + 1)
    tally.unrecoverable += ledger.verify().problems
    ledger.close()
    live, again = digests(home, tmp_path / "again")
    if live != again:
        tally.unrecoverable.append(f"the graph {live} is not {again}, which the ledger amounts to")
    assert tally.clean, vars(tally)


def over(talking, ledger) -> bool:
    """Whether everybody has said everything, and nothing is left to do."""
    if any(thread.is_alive() for thread, _ in talking.values()):
        return False
    return not any(ledger.pending_count(queue) for queue in QUEUES)


def check_effects(events, runs: int) -> None:
    """Every run is on record, and every submitted request was submitted once."""
    assert sum(isinstance(each, FleetStarted) for each in events) == runs
    submitted = [each.data["request_id"] for each in events if isinstance(each, AppEventRecorded)
                 if "request_id" in each.data]  # fmt: skip
    said = [each.content for each in events if isinstance(each, ToolReturned) and "Submitted as R-" in each.content]
    assert len(submitted) == len(set(submitted)) == len(said) > 0


def test_a_worker_killed_ten_times_does_everything_once(tmp_path, tally):
    killed_often(tmp_path, kills=10, days=3, seed=20261121, tally=tally)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_a_worker_killed_a_hundred_times_does_everything_once(tmp_path, seed, tally):
    killed_often(tmp_path, kills=100, days=20, seed=seed, tally=tally)

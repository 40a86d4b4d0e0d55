"""A worker killed at each named point between the strokes, with models behind a socket and effects outside."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest
from kill_points import POINTS
from support.claude import KEY
from support.commands import environment, run
from support.crashes import ANNOUNCE, QUEUES, Tally, look

from fleet.demo.day import DAY
from fleet.ledger.events import ToolIntended, ToolReturned, TurnEnded
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now

HERE = Path(__file__).parent
PATIENCE_S = 120
# The how-manieth passing at most ends the process: what is passed often is also passed in the middle of things.
SELDOM = {
    "before a tool runs": 2, "after a tool ran": 2, "after accept": 5, "before delivery": 4, "after delivery": 4,
    "before a checkpoint": 6, "in a checkpoint": 6, "after a checkpoint": 6, "after a model's answer": 9,
}  # fmt: skip
OFTEN = 25
SENDING = ("before a send is durable", "after a send is durable")


class Desk:
    """A home, the people who write to it one after another, and the worker that is killed under them."""

    def __init__(self, folder: Path, models: str, seed: int, tally: Tally) -> None:
        self.home, self.models, self.tally = folder / "home", models, tally
        self.chance = random.Random(seed)
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.ledger = Home(self.home).open_ledger()
        self.said: dict[str, list[str]] = {}
        self.people = {user: cycle([line.text for line in DAY if line.user == user]) for user in ("ana", "ben")}
        self.people["eve"] = cycle([f"{ANNOUNCE} the lift is out of order.", f"{ANNOUNCE} it works again."])
        self.log = folder / "worker.log"

    def environment(self, checkpoint_events: int) -> dict[str, str]:
        return environment(
            HERE, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=self.models, FLEET_TEST_OUTSIDE=str(self.outside),
            FLEET_CHECKPOINT_EVENTS=str(checkpoint_events), FLEET_DELIVERY_BACKOFF_S="0.01",
        )  # fmt: skip

    def next_message(self, user: str) -> Message:
        ids = self.said.setdefault(user, [])
        return Message(user, next(self.people[user]), f"{user}-{len(ids):04}")

    def send_all(self) -> None:
        """One message of everybody, in any order; nobody waits for an answer."""
        for user in self.chance.sample(sorted(self.people), len(self.people)):
            message = self.next_message(user)
            assert accept_now(self.ledger, message, 10_000).new
            self.said[user].append(message.id)

    def kill_sender(self, point: str) -> None:
        """Somebody's `fleet send` dies, and is tried again until it says that the message is taken."""
        message = self.next_message("ana")
        command = ("send", "--home", self.home, "--user", "ana", "--id", message.id, message.text)
        died = subprocess.run(
            [sys.executable, HERE / "kill_points.py", point, "1", *command],
            env=self.environment(2000), capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert (died.returncode, died.stdout) == (-signal.SIGKILL, ""), died
        again = run(*command)
        assert (again.returncode, again.stdout) == (0, f"{message.id}\n")
        assert ("already accepted" in again.stderr) == (point == "after a send is durable")
        self.said["ana"].append(message.id)

    def kill_worker(self, point: str) -> None:
        """Run a worker under messages until it comes to the point and dies there."""
        count = self.chance.randint(1, SELDOM.get(point, OFTEN))
        command = [sys.executable, HERE / "kill_points.py", point, str(count), "worker", "--home", self.home]
        with self.log.open("w") as log:
            worker = subprocess.Popen(
                [*map(str, command), "--app", "help_desk:app", "--no-warmup-check"],
                env=self.environment(self.chance.choice((5, 20) if "checkpoint" in point else (5, 20, 2000))),
                stdout=log, stderr=log,
            )  # fmt: skip
        late = time.monotonic() + PATIENCE_S
        while worker.poll() is None:
            if not any(map(self.ledger.pending_count, QUEUES)):
                self.send_all()
            assert time.monotonic() < late, f"never came to {count} times {point}: {self.log.read_text()}"
            time.sleep(0.005)
        assert worker.returncode in (-signal.SIGKILL, -signal.SIGALRM), self.log.read_text()

    def kill(self, point: str) -> None:
        (self.kill_sender if point in SENDING else self.kill_worker)(point)
        self.tally.kills += 1
        found = look(self.ledger, self.said, over=False)
        assert found.clean, (point, found.lost, found.doubled, found.reordered)

    def finish(self) -> None:
        """Let a worker do what is left, end it as anybody would, and look at everything."""
        with self.log.open("w") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "fleet.cli", "worker", "--home", str(self.home), "--app", "help_desk:app"],
                env=self.environment(2000), stdout=log, stderr=log,
            )  # fmt: skip
        late = time.monotonic() + PATIENCE_S
        while any(map(self.ledger.pending_count, QUEUES)) or "serving" not in self.log.read_text():
            if worker.poll() is not None or time.monotonic() > late:
                self.tally.unrecoverable.append(self.log.read_text())
                worker.kill()
                break
            time.sleep(0.01)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()
        self.tally.add(look(self.ledger, self.said, over=True))
        self._check_outside()
        self.ledger.close()
        verified = run("store", "verify", "--home", self.home, modules=(HERE,), FLEET_TEST_OUTSIDE=str(self.outside))
        if verified.returncode != 0:
            self.tally.unrecoverable.append(verified.stdout + verified.stderr)

    def _check_outside(self) -> None:
        """Nothing was announced twice, nothing that is said to be was not; every reply reached its channel."""
        events = [each.event for each in self.ledger.read()]
        announced = Counter(line.split(" ", 1)[0] for line in self._outside("announced"))
        intended = {each.call_id: each.idempotency_key for each in events if isinstance(each, ToolIntended)}
        done = {intended[each.call_id] for each in events if isinstance(each, ToolReturned)
                if each.tool == "announce" and not each.error}  # fmt: skip
        self.tally.doubled += [f"announced {count} times: {key}" for key, count in announced.items() if count > 1]
        self.tally.lost += [f"not announced: {key}" for key in done - announced.keys()]
        assert announced.keys() <= set(intended.values())
        blocked = [each for each in events if isinstance(each, TurnEnded) and each.result == "blocked"]
        assert len(blocked) == len(intended) - len(done), "an unknown effect is a person's matter, and is asked once"
        replies = {each.reply_id for each in events if isinstance(each, TurnEnded) and each.deliver}
        assert set(self._outside("delivered")) == replies

    def _outside(self, name: str) -> list[str]:
        return (self.outside / name).read_text("utf-8").splitlines()


def killed_at(points: list[str], folder: Path, models: str, seed: int, tally: Tally) -> None:
    desk = Desk(folder, models, seed, tally)
    for point in desk.chance.sample(points, len(points)):
        desk.kill(point)
    desk.finish()
    assert tally.clean, vars(tally)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
def test_a_fleet_killed_at_every_point_does_everything_once(tmp_path, models, seed, tally):
    killed_at([*POINTS], tmp_path, models, seed, tally)
    assert tally.kills == len(POINTS) >= 15


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(100, 119))
def test_a_fleet_killed_at_every_point_five_times_does_everything_once(tmp_path, models, seed, tally):
    killed_at([*POINTS] * 5, tmp_path, models, seed, tally)

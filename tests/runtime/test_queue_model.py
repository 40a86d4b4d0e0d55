"""The queues against a simple model: people who send, send again and delay; a worker that is killed; operators.

Hypothesis makes up the story; real processes live it. In the end every message is where the model says that it must
be, each user's in order, nothing twice, and a graph rebuilt from the ledger is the live one.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.commands import wait_for
from support.fleets import digests
from support.nursery import Nursery

from fleet.clock import now, to_us
from fleet.errors import InputError
from fleet.ledger.events import (
    MessageAccepted,
    MessageDead,
    MessageDecided,
    MessageDropped,
    MessageRetried,
    ReplyDelivered,
    TurnEnded,
)
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now
from fleet.runtime.letters import drop_message, retry_message

USERS = st.sampled_from(["ana", "bo", "cy"])
KINDS = st.sampled_from(["plain", "plain", "plain", "new", "poison", "venom"])
DELAYS = st.sampled_from([None, None, None, None, 0.05, 86400.0])
PRIORITIES = st.sampled_from([0, 0, 0, 2, -1])
QUICK = {"retry_backoff_s": 0.01, "max_attempts": 2, "concurrency": 2, "checkpoint_events": 7}


@dataclass
class Sent:
    """What the model knows of a message: all that was asked for it."""

    message: Message
    tomorrow: bool
    dropped: bool = False
    retried: int = 0


class Queues(RuleBasedStateMachine):
    """One home. The model is `sent`: ids in the order accepted, and what became of each by whose hand."""

    ids = Bundle("ids")
    nursery: Nursery

    @initialize(seed=st.integers(0, 2**32), burst=st.sampled_from([0.0, 0.05, 0.3]))
    def begin(self, seed, burst):
        self.settings = {**QUICK, "burst_window_s": burst}
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-queues-"))
        self.home = self.folder / "home"
        self.ledger = Home(self.home).open_ledger()
        self.sent: dict[str, Sent] = {}
        self.worker = 0
        self.starts = seed
        self.well = False

    @rule(target=ids, user=USERS, kind=KINDS, delay=DELAYS, priority=PRIORITIES)
    def send(self, user, kind, delay, priority):
        name = f"m-{len(self.sent)}"
        due = None if delay is None else now() + timedelta(seconds=delay)
        message = Message(user, f"{kind} {name}", name, priority=priority, not_before=due)
        assert accept_now(self.ledger, message, 1000).new
        self.sent[name] = Sent(message, tomorrow=delay == 86400.0)
        return name

    @rule(name=ids)
    def send_again(self, name):
        assert not accept_now(self.ledger, self.sent[name].message, 1000).new

    @rule(name=ids)
    def send_something_else_under_the_same_id(self, name):
        with pytest.raises(InputError):
            accept_now(self.ledger, Message("zoe", "something else", name), 1000)

    @rule()
    def start(self):
        if not self.worker:
            self.starts += 1
            self.worker = self.nursery.start(self.home, self.starts, **self.settings)

    @rule(events=st.integers(0, 25))
    def kill(self, events):
        """Kill the worker once it has written so much, or has nothing left to do."""
        if self.worker:
            upto = self.ledger.head()[0] + events
            wait_for(self.home, lambda ledger: ledger.head()[0] >= upto or self.at_rest(ledger))
            self.nursery.end(self.worker, signal.SIGKILL)
            self.worker = 0

    @rule()
    def drain(self):
        if self.worker:
            self.nursery.end(self.worker, signal.SIGTERM)
            self.worker = 0

    @rule(name=ids)
    def drop(self, name):
        with suppress(InputError):  # it is settled, or was dropped before
            drop_message(self.ledger, name, by="otto")
            self.sent[name].dropped = True

    @rule(name=ids)
    def retry(self, name):
        with suppress(InputError):  # it is no dead letter
            retry_message(self.ledger, name, by="otto")
            assert not self.sent[name].dropped
            self.sent[name].retried += 1

    @rule()
    def heal(self):
        self.well = True
        (self.home / "well").touch()

    def at_rest(self, ledger):
        """Whether only what waits for tomorrow is left."""
        waiting = {entry.key for entry in ledger.pending("inbox")}
        left = ledger.pending_count("turns") + ledger.pending_count("outbox")
        return not left and all(self.sent[name].tomorrow for name in waiting)

    def teardown(self):
        if not hasattr(self, "folder"):
            return
        try:
            self.start()
            wait_for(self.home, self.at_rest)
            self.nursery.end(self.worker, signal.SIGTERM)
            self.check()
            assert self.ledger.verify().problems == ()
            self.ledger.close()
            live, rebuilt = digests(self.home, self.folder / "again")
            assert live == rebuilt
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def check(self):
        """What is on record against what the model says."""
        events = list(self.ledger.read())
        by_kind = {}
        for stored in events:
            by_kind.setdefault(type(stored.event), []).append(stored)

        def of(kind):
            return by_kind.get(kind, [])

        assert [each.event.message_id for each in of(MessageAccepted)] == list(self.sent)
        dropped = {each.event.message_id for each in of(MessageDropped)}
        assert dropped == {name for name, each in self.sent.items() if each.dropped}
        assert Counter(each.event.message_id for each in of(MessageRetried)) == Counter(
            {name: each.retried for name, each in self.sent.items() if each.retried}
        )
        decided = Counter(each.event.message_id for each in of(MessageDecided))
        answered = Counter(each for stored in of(TurnEnded) for each in stored.event.message_ids)
        dead = {entry.key for entry in self.ledger.pending("dead")}
        turns = [set(stored.event.message_ids) for stored in of(TurnEnded)]  # of which all share the end
        to_blame = {name for name, each in self.sent.items() if each.message.text.startswith("poison")}
        to_blame |= {name for turn in turns if any(self.is_venom(each) for each in turn) for name in turn}
        assert set(decided.values()) <= {1}
        for name, each in self.sent.items():
            if each.dropped:
                assert name not in dead
            elif each.tomorrow:
                assert name not in decided
                assert self.ledger.pending_entry("inbox", name)
            elif name in dead:
                assert name in to_blame
            else:  # answered; once, and once more for each time that it was put back after its turn had failed
                put_back = sum(e.event.message_id == name and bool(e.event.job_id) for e in of(MessageRetried))
                assert (decided[name], answered[name]) == (1, 1 + put_back)
                assert self.well or not (self.is_venom(name) or each.message.text.startswith("poison"))
        for ended in of(TurnEnded):
            replies = [each for each in of(ReplyDelivered) if each.event.reply_id == ended.event.reply_id]
            assert len(replies) == 1
        self.check_order(events)

    def is_venom(self, name):
        return self.sent[name].message.text.startswith("venom")

    def check_order(self, events):
        """Each user's messages are settled in the order in which they fell due, and none before."""
        due: dict[str, tuple[int, int]] = {}  # of the messages in the inbox: when, and by which event
        lanes: dict[str, list[tuple[int, int]]] = {}
        for stored in events:
            event = stored.event
            if isinstance(event, MessageAccepted):
                due[event.message_id] = (max(stored.at, event.not_before), stored.seq)
            elif isinstance(event, MessageRetried) and not event.job_id:
                due[event.message_id] = (stored.at, stored.seq)
            elif isinstance(event, MessageDecided) or (isinstance(event, MessageDead) and event.stage == "routing"):
                when = due.pop(event.message_id)
                assert stored.at >= when[0]
                lanes.setdefault(stored.user, []).append(when)
        for lane in lanes.values():
            assert lane == sorted(lane)
        assert all(when > to_us(now()) for name, (when, _) in due.items() if not self.sent[name].dropped)


def explore(examples: int, steps: int, phases=tuple(Phase)) -> None:
    with Nursery() as nursery:
        Queues.nursery = nursery
        run_state_machine_as_test(
            Queues,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_queues_hold_what_they_promise_whatever_happens():
    explore(examples=8, steps=20, phases=(Phase.generate,))  # a story that fails is told as it is, in time


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_queues_hold_what_they_promise_through_long_stories():
    explore(examples=300, steps=60)

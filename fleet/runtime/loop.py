"""The loop: what each applied event sets going.

A user's messages are routed one after another, users in parallel; a thread's turns never overlap; a reply in another
thread never waits for them. Everything is set going by events: nothing here polls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from fleet.graph.living import LivingRoot
from fleet.graph.turns import has_work
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    AgentPaused,
    CallResolved,
    ConfirmationSettled,
    DispatchCancelled,
    Event,
    JobCancelled,
    MessageAccepted,
    MessageDead,
    MessageDecided,
    MessageDropped,
    MessageRetried,
    PersonReplied,
    QuestionAsked,
    ReminderCancelled,
    ReminderFired,
    ReminderSet,
    ReplyRetried,
    SubjobStarted,
    ThreadReleased,
    ThreadTakenOver,
    TurnEnded,
    TurnSetAside,
)
from fleet.ledger.question_events import asked_about
from fleet.runtime.attempts import Attempts
from fleet.runtime.inbox import Inbox
from fleet.runtime.lanes import rank_of
from fleet.runtime.outbox import Outbox
from fleet.runtime.prewarm import Prewarm
from fleet.runtime.steps import Steps
from fleet.runtime.stretch import Stretches
from fleet.runtime.timer import Timer
from fleet.runtime.turns import Turns
from fleet.settings import Settings

__all__ = ["Loop"]


class Loop:
    """Keeps the tasks of routing, turns and deliveries; `failed` is told what ends the fleet.

    `inbox`, `outbox`, `steps`, `timer`, and `turns` and `prewarm` where there is a worker, are set by whoever makes it.
    """

    def __init__(
        self,
        ledger: Ledger,
        root: LivingRoot,
        attempts: Attempts,
        stretches: Stretches,
        failed: Callable[[BaseException], None],
        settings: Settings,
    ) -> None:
        self._ledger, self._root, self._failed = ledger, root, failed
        self.attempts, self.stretches = attempts, stretches
        self._step_us = round(settings.priority_step_s * 1e6)
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = asyncio.Event()
        self.inbox: Inbox
        self.outbox: Outbox
        self.steps: Steps
        self.timer: Timer
        self.prewarm: Prewarm | None = None
        self.turns: Turns | None = None

    def react(self, stored: Stored) -> None:
        """Set going what an applied event asks for. Never waits."""
        event = stored.event
        if isinstance(event, MessageAccepted):
            self.inbox.put(stored, event, max(stored.at, event.not_before))
        elif isinstance(event, MessageDecided):
            self.inbox.settled(event.message_id, event.decision.thread_id)
            self.outbox.withdraw(event.message_id)
            if event.decision.outcome == "cancelled":  # by another process
                self.inbox.drop(event.user, event.message_id)
            if event.decision.job_id:
                self._wake(event.decision.job_id, rank_of(stored.at, event.priority, self._step_us))
        elif isinstance(event, TurnEnded):
            self.inbox.touched(event.thread_id)
            if event.then:
                self.spawn(self.steps.begin(event))
            if (parent := self._root.jobs[event.job_id].parent) and has_work(self._root.jobs[parent]):
                self._wake(parent, self._rank_of_child(event.job_id))
            for child in event.subjobs:
                self._interrupt(child, stored.at)
            if event.reply_id and event.deliver:
                self.outbox.put(event, self._root.jobs[event.job_id].agent, 0)
        else:
            self._react_seldom(stored, event)

    def _react_seldom(self, stored: Stored, event: Event) -> None:
        if isinstance(event, (DispatchCancelled, JobCancelled, ThreadTakenOver)):
            self._interrupt(event.job_id, stored.at)
        elif isinstance(event, SubjobStarted):
            self._wake(event.job_id, self._rank_of_child(event.job_id))
        elif isinstance(event, ReminderSet):
            self.timer.put(event)
        elif isinstance(event, ReminderCancelled):
            self.timer.drop(event.reminder_id)
        elif isinstance(event, ReminderFired):
            self.timer.drop(event.reminder_id)
            self._wake(event.job_id, stored.at)
        elif isinstance(event, TurnSetAside):
            for child in event.subjobs:
                self._interrupt(child, stored.at)
        elif isinstance(event, AgentPaused):
            self.inbox.offer()
            if self.turns is not None:
                self.turns.paused(event.role, paused=event.paused)
        elif isinstance(event, QuestionAsked):
            self.outbox.ask(event, 0)
        elif isinstance(event, MessageDead):
            self.inbox.settled(event.message_id)
            self.outbox.withdraw(event.message_id)
        elif isinstance(event, MessageDropped):
            self.inbox.drop(stored.user, event.message_id)
            self.outbox.withdraw(event.message_id)
        elif isinstance(event, (ConfirmationSettled, CallResolved, PersonReplied, ThreadReleased)):
            self._wake(event.job_id, stored.at)
        elif isinstance(event, MessageRetried) and event.job_id:
            self.inbox.touched(event.thread_id)
            self._wake(event.job_id, stored.at)
        elif isinstance(event, MessageRetried):
            accepted = self._ledger.read_stream(f"message:{event.message_id}")[0].event
            if isinstance(accepted, MessageAccepted):
                self.inbox.put(stored, accepted, stored.at)
        elif isinstance(event, ReplyRetried):
            said = f"message:{asked}" if (asked := asked_about(event.reply_id)) else f"job:{event.job_id}"
            for each in self._ledger.read_stream(said):
                if isinstance(each.event, TurnEnded) and each.event.reply_id == event.reply_id:
                    self.outbox.put(each.event, self._root.jobs[event.job_id].agent, stored.version)
                elif isinstance(each.event, QuestionAsked):
                    self.outbox.ask(each.event, stored.version)

    def begin(self, seqs: Sequence[int]) -> None:
        """Prewarm the agents, and set going what an earlier run has left in the queues: these events, in order."""
        if self.prewarm is not None:
            self.prewarm.begin()
        if seqs:
            self.attempts.recall(self._ledger, seqs[0])
        for seq in seqs:
            self.set_going(seq)
        self.timer.look()

    def set_going(self, seq: int) -> None:
        """React to event `seq` of the ledger, once more or for the first time."""
        for stored in self._ledger.read(after=seq - 1, upto=seq):
            self.react(stored)

    def knows(self, queue: str, key: str) -> bool:
        """Whether an entry of the ledger's queue waits here, or is worked on; for the turns the key is a job's id."""
        if queue == "inbox":
            return self.inbox.knows(key)
        if queue == "turns":
            return self.turns is None or self.turns.knows(key)
        return self.outbox.knows(key)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task of the loop; an error in it ends the fleet."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
        if not self._tasks:
            self._idle.set()

    @property
    def quiet(self) -> bool:
        """Whether nothing is being routed or answered: no task has a durable object in its hands."""
        return self.inbox.quiet and (self.turns is None or self.turns.quiet)

    def later(self, seconds: float, then: Callable[[], None]) -> None:
        """Do `then` after so many seconds; not at all if the fleet drains before: the next start does it."""
        self.spawn(self._pause(seconds, then))

    async def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        if await self.rest(seconds):
            then()

    async def rest(self, seconds: float) -> bool:
        """Wait for so many seconds; False, at once, when the fleet drains."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        return not self._draining.is_set()

    async def idle(self) -> None:
        """Return when nothing is being routed, answered or delivered, and nothing is due to be."""
        self.inbox.look()
        self.timer.look()
        while self._tasks or not self.inbox.closed.is_set():
            await (self._idle if self._tasks else self.inbox.closed).wait()

    async def drain(self, seconds: float) -> bool:
        """Begin nothing new, and let what runs finish; False if some had to be cut off after `seconds`.

        What was cut off, or had not begun, is in the ledger's queues, and goes on at the next start.
        """
        self._draining.set()
        self.inbox.drain()
        self.timer.drain()
        if self.prewarm is not None:
            self.prewarm.close()
        if self.turns is not None:
            self.turns.drain()
        end = time.monotonic() + seconds
        while self._tasks and (left_s := end - time.monotonic()) > 0:  # a turn that ends has its reply delivered
            await asyncio.wait(self._tasks, timeout=left_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return not left

    def _rank_of_child(self, job_id: str) -> int:
        """A child, and whoever waits for it, comes before what came later than the turn that began it all."""
        job = self._root.jobs[job_id]
        while job.parent:
            job = self._root.jobs[job.parent]
        return job.turn_at

    def _interrupt(self, job_id: str, rank: int) -> None:
        if self.turns is not None:
            self.turns.interrupt(job_id, rank)

    def _wake(self, job_id: str, rank: int) -> None:
        if self.turns is not None:
            self.turns.wake(job_id, rank)

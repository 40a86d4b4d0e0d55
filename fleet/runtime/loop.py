"""The loop: lanes of users, turns of jobs, and what each applied event sets going.

A user's messages are routed one after another, users in parallel; a thread's turns never overlap; a reply in another
thread never waits for them. Everything is set going by events: nothing here polls.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.clock import now, now_us
from fleet.errors import StaleWriteError
from fleet.graph.living import LivingRoot
from fleet.ledger.base import Draft, Stored
from fleet.ledger.events import (
    Decision,
    DispatchCancelled,
    DispatchRequested,
    MessageAccepted,
    MessageDecided,
    TurnEnded,
)
from fleet.routing.decided import Decided
from fleet.routing.decider import Decider
from fleet.routing.facts import ThreadViews, agent_views, facts_of
from fleet.runtime.outbox import Outbox
from fleet.workers.worker import Worker

__all__ = ["Loop"]


class Loop:
    """Schedules routing, turns and deliveries. `write` appends a draft and returns once it is applied.

    `waiting` is kept to the ids of the messages that are accepted and not routed.
    """

    def __init__(
        self,
        catalog: Catalog,
        root: LivingRoot,
        decider: Decider,
        worker: Worker | None,
        write: Callable[[Draft], Awaitable[Any]],
        failed: Callable[[BaseException], None],
        waiting: set[str],
        concurrency: int,
    ) -> None:
        self._catalog, self._root, self._decider, self._worker, self._write = catalog, root, decider, worker, write
        self._failed, self._waiting = failed, waiting
        self._views, self._threads = agent_views(catalog), ThreadViews(root)
        # More are routed than may call the model: while calls are out, others are read, written and made durable.
        self._routing, self._turning = asyncio.Semaphore(2 * concurrency), asyncio.Semaphore(concurrency)
        self._lanes: dict[str, deque[tuple[Stored, MessageAccepted]]] = {}
        self._jobs: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self.outbox: Outbox

    def react(self, stored: Stored) -> None:
        """Set going what an applied event asks for. Never waits."""
        event = stored.event
        if isinstance(event, MessageAccepted):
            self._queue(stored, event)
        elif isinstance(event, MessageDecided):
            self._waiting.discard(event.message_id)
            self._threads.forget(event.decision.thread_id)
            if event.decision.job_id:
                self.wake(event.decision.job_id)
        elif isinstance(event, DispatchCancelled) and self._worker is not None:
            self._worker.interrupt(event.job_id)
            self.wake(event.job_id)
        elif isinstance(event, TurnEnded):
            self._threads.forget(event.thread_id)
            if event.reply_id and event.deliver:
                self.outbox.put(event, self._root.jobs[event.job_id].agent)

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
        return not self._lanes and not self._jobs

    async def idle(self) -> None:
        """Return when nothing is being routed, answered or delivered."""
        while self._tasks:
            await self._idle.wait()

    async def drain(self, seconds: float) -> bool:
        """Begin nothing new, and let what runs finish; False if some had to be cut off after `seconds`.

        What was cut off, or had not begun, is in the ledger's queues, and goes on at the next start.
        """
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return not left

    def _queue(self, stored: Stored, message: MessageAccepted) -> None:
        self._waiting.add(message.message_id)
        lane = self._lanes.get(message.user)
        if lane is not None:
            lane.append((stored, message))
            return
        self._lanes[message.user] = deque([(stored, message)])
        self.spawn(self._lane(message.user))

    async def _lane(self, user: str) -> None:
        lane = self._lanes[user]
        while lane and not self._draining:
            async with self._routing:
                if not self._draining:
                    await self._route(*lane.popleft())
        del self._lanes[user]

    async def _route(self, stored: Stored, message: MessageAccepted) -> None:
        """Decide about one accepted message and record it, with the ack, in one transaction."""
        decided, decision = await self._decide(stored, message)
        if decision is None:
            decided, decision = await self._decide(stored, message)
        if decision is None:  # twice the chosen thread went away while the model thought
            decision = decided.decision.model_copy(
                update={
                    "by": "fallback",
                    "outcome": "human",
                    "fallback": "human",
                    "fallback_reason": f"thread {decided.decision.thread_id} was gone when the decision was applied",
                    "thread_id": "",
                    "thread_index": None,
                }
            )
        event = MessageDecided(message_id=message.message_id, user=message.user, text=message.text, decision=decision)
        try:
            await self._write(Draft(stored.stream, stored.version, (event,), message.user, decided.blobs))
        except StaleWriteError:
            if not isinstance(message, DispatchRequested):
                raise  # a dispatch may be called off by any process, as long as nothing is decided about it

    async def _decide(self, stored: Stored, message: MessageAccepted) -> tuple[Decided, Decision | None]:
        facts = facts_of(
            self._root,
            self._threads,
            message,
            self._views,
            now(),
            self._catalog.app.preferred_language_for,
            self._catalog.roles,
        )
        decided = await self._decider.decide(facts, max(0, now_us() - stored.at))
        return decided, self._bind(decided, message)

    def _bind(self, decided: Decided, message: MessageAccepted) -> Decision | None:
        """The decision with its ids; None if the thread that was printed cannot take the message any more."""
        decision = decided.decision
        if decision.outcome == "dispatch_to":
            thread = self._root.threads.get(decision.thread_id)
            if thread is None or thread.user != message.user or thread.agent not in self._catalog.roles:
                return None
            return decision.model_copy(update={"job_id": thread.job})
        if decision.outcome != "start_new_thread":
            return decision
        name = decided.thread_key or hashlib.sha256(message.message_id.encode()).hexdigest()[:16]
        return decision.model_copy(update={"thread_id": f"thr_{name}", "job_id": f"job_{name}"})

    def wake(self, job_id: str) -> None:
        """See to it that the job runs a turn for what waits for it."""
        if job_id not in self._jobs and self._worker is not None:
            self._jobs.add(job_id)
            self.spawn(self._run_job(self._worker, job_id))

    async def _run_job(self, worker: Worker, job_id: str) -> None:
        job = self._root.jobs[job_id]
        try:
            while (len(job.waiting) or len(job.turn_ids)) and not self._draining:
                async with self._turning:
                    if not self._draining:
                        await worker.turn(job_id)
        finally:
            self._jobs.discard(job_id)

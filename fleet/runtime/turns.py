"""Turns: which job runs next. A job's turns never overlap; jobs run side by side, the most urgent first.

An agent runs no more turns at a time than it declares, and none while it is paused; its other jobs wait at the side,
and hold nobody up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fleet.clock import now_us
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.graph.turns import has_work, waits
from fleet.runtime.attempts import UNFORESEEN, Attempts, ends_the_fleet
from fleet.runtime.fairness import Shares
from fleet.runtime.lanes import Ranking
from fleet.runtime.stretch import Stretches
from fleet.workers.worker import Worker

__all__ = ["Turns"]


class Turns:
    """Runs the turns of jobs that have something waiting, at most `concurrency` at a time.

    `spawn` keeps a task; `later` calls a function after so many seconds, unless the fleet drains before.
    """

    def __init__(
        self,
        root: LivingRoot,
        worker: Worker,
        attempts: Attempts,
        stretches: Stretches,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        later: Callable[[float, Callable[[], None]], None],
        concurrency: int,
        step_us: int,
    ) -> None:
        self._root, self._worker, self._attempts, self._stretches = root, worker, attempts, stretches
        self._spawn, self._later, self._concurrency = spawn, later, concurrency
        self._ready = Shares(step_us)
        self._limits = {role: limit for role, limit in worker.limits.items() if limit}
        self._paused = {role for role, each in root.task_agents.items() if each.paused and role in worker.waits}
        self._cold = {role for role, agent in worker.agents.items() if agent.prewarm is not None}
        self._of_agent: Counter[str] = Counter()  # turns that run
        self._aside: dict[str, Ranking] = {}  # jobs of agents that are at their limit
        self._busy: dict[str, int | None] = {}  # job that runs or pauses → the rank of what came meanwhile
        self._alarms: dict[str, asyncio.TimerHandle] = {}  # of jobs that may wait for children so long and no longer
        self._slots = self._starting = 0
        self.ended = 0  # turns since the start
        self._draining = False

    def wake(self, job_id: str, rank: int) -> None:
        """See to it that the job runs a turn for what waits for it."""
        if alarm := self._alarms.pop(job_id, None):
            alarm.cancel()
        if job_id in self._busy:
            known = self._busy[job_id]
            self._busy[job_id] = rank if known is None else min(known, rank)
            return
        self._ready.put(job_id, rank, self._owner(job_id))
        self._pump()

    def interrupt(self, job_id: str, rank: int) -> None:
        """Something of the job was called off, or a person took it over: it asks its model no more, and ends that."""
        self._worker.interrupt(job_id)
        self.wake(job_id, rank)

    @property
    def quiet(self) -> bool:
        """Whether no turn runs."""
        return not self._slots

    @property
    def load(self) -> tuple[int, int, int]:
        """How many turns run, how many jobs wait for that, how many turns may run at a time."""
        return self._slots, len(self._ready), self._concurrency

    def load_of(self, role: str) -> tuple[int, int, int]:
        """The same for one agent: what waits stands aside for it alone, and 0 may run at a time if it has no limit."""
        return self._of_agent[role], len(self._aside.get(role, ())), self._limits.get(role, 0)

    def knows(self, job_id: str) -> bool:
        """Whether the job runs, pauses, or waits for its turn to run, for a child, or for a person in its place."""
        job = self._root.jobs.get(job_id)
        if job is not None and (waits(job) or (not has_work(job) and job.taken_over)):
            return True
        return job_id in self._busy or job_id in self._ready or any(job_id in each for each in self._aside.values())

    def drain(self) -> None:
        """Begin no more turns."""
        self._draining = True
        for alarm in self._alarms.values():
            alarm.cancel()

    def _pump(self) -> None:
        while len(self._ready) > self._starting and self._slots < self._concurrency and not self._draining:
            self._slots += 1
            self._starting += 1
            self._spawn(self._slot())

    async def _slot(self) -> None:
        """Run one turn after the other, until there is none to begin."""
        self._starting -= 1
        try:
            while not self._draining and (job_id := self._next()) is not None:
                self._busy[job_id] = None
                agent = self._agent(job_id)
                try:
                    pause = await self._turn(job_id)
                finally:
                    self._ended(job_id, agent)
                if pause is None:
                    self._free(job_id)
                else:
                    self._later(pause, partial(self._free, job_id))
        finally:
            self._slots -= 1

    def _next(self) -> str | None:
        """The job to run a turn of; those of agents that are at their limit are put aside on the way."""
        while (taken := self._ready.pop()) is not None:
            job_id, rank = taken
            agent = self._agent(job_id)
            running, limit = self._of_agent.get(agent, 0), self._limits.get(agent)
            job = self._root.jobs[job_id]
            rests = agent in self._paused or agent in self._cold or self._reminds_later(job, agent)
            if rests and job.said == "[]" and not len(job.cancelled):  # for those it takes no agent
                limit = 0
            if limit is None or running < limit:
                self._of_agent[agent] = running + 1
                return job_id
            self._ready.ended(self._owner(job_id))
            self._aside.setdefault(agent, Ranking()).put(job_id, rank)
        return None

    def _reminds_later(self, job: JobRecord, agent: str) -> bool:
        """Whether there is nothing but a reminder to take up, and the agent is paused: then it waits for the agent."""
        rests = self._root.task_agents[agent].paused and job.due != "[]"
        return rests and not job.open and not len(job.waiting) and job.settled == "[]"

    def _ended(self, job_id: str, agent: str) -> None:
        """A turn has ended: its slot, and its agent's, are free again."""
        self._ready.ended(self._owner(job_id))
        self._of_agent[agent] -= 1
        self.ended += 1
        if agent in self._limits:
            aside = self._aside.get(agent)
            if aside is not None and agent not in self._paused and (waiting := aside.take()) is not None:
                self.wake(*waiting)

    def paused(self, role: str, *, paused: bool) -> None:
        """An agent rests, so that its jobs wait, or goes on."""
        if paused and role in self._worker.waits:
            self._paused.add(role)
            return
        self._paused.discard(role)
        self._go_on(role)

    def warm(self, role: str) -> None:
        """An agent is prewarmed: its turns may run."""
        self._cold.discard(role)
        self._go_on(role)

    def _go_on(self, role: str) -> None:
        aside = self._aside.pop(role, None)
        while aside is not None and (waiting := aside.take()) is not None:
            self.wake(*waiting)

    def _agent(self, job_id: str) -> str:
        """Who runs the job's next turn: between turns, whoever its thread was handed to."""
        job = self._root.jobs[job_id]
        return job.agent if job.open else self._root.threads[job.thread].agent

    def _owner(self, job_id: str) -> str:
        return self._root.threads[self._root.jobs[job_id].thread].user

    async def _turn(self, job_id: str) -> float | None:
        """One turn; seconds to pause if it failed and is tried again."""
        try:
            with self._stretches.of("turns", job_id):
                await self._worker.turn(job_id)
        except UNFORESEEN as error:
            if ends_the_fleet(error):
                raise
            deliver = self._worker.delivers.get(self._root.jobs[job_id].agent, False)
            return await self._attempts.turn_failed(job_id, error, deliver=deliver)
        self._attempts.turn_done(job_id)
        return None

    def _free(self, job_id: str) -> None:
        """Let the job run again, if there is something for it."""
        rank = self._busy.pop(job_id)
        job = self._root.jobs[job_id]
        if has_work(job):
            self.wake(job_id, now_us() if rank is None else rank)
        elif not self._draining and (most_s := self._worker.waits_at_most_s(job)) is not None:
            loop = asyncio.get_running_loop()
            self._alarms[job_id] = loop.call_later(max(0.0, most_s), self.wake, job_id, now_us())

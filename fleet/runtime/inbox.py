"""The inbox of a running fleet: messages wait in their users' lanes, and are routed from there.

Each decision is recorded with the ack, in one transaction; that of a burst with the acks of all its messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.clock import now, now_us
from fleet.errors import StaleWriteError
from fleet.graph.living import LivingRoot
from fleet.ledger.base import Draft, Ledger, Stored
from fleet.ledger.events import (
    Decision,
    DispatchRequested,
    MessageAccepted,
    RulesChanged,
)
from fleet.routing.decided import Decided
from fleet.routing.decider import Decider
from fleet.routing.facts import Facts, ThreadViews, agent_views, facts_of
from fleet.routing.rules import Rules
from fleet.runtime.attempts import UNFORESEEN, Attempts, ends_the_fleet
from fleet.runtime.binding import bound, unbound
from fleet.runtime.bursts import Bursts, settling
from fleet.runtime.lanes import Lanes, Waiting, rank_of
from fleet.runtime.letters import dropped_since
from fleet.runtime.questions import Questions
from fleet.runtime.stretch import Stretches
from fleet.settings import Settings

__all__ = ["Inbox"]

_LONGEST_TIMER_S = 60.0  # so that a clock that was set right is noticed


class Inbox:
    """Routes what waits. `write` appends a draft and returns once it is applied.

    `waiting` is kept to the ids of the messages that are accepted and not settled. `spawn` keeps a task; `later` calls
    a function after so many seconds, unless the fleet drains before.
    """

    def __init__(
        self,
        catalog: Catalog,
        ledger: Ledger,
        root: LivingRoot,
        decider: Decider,
        attempts: Attempts,
        stretches: Stretches,
        write: Callable[[Draft], Awaitable[Any]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        later: Callable[[float, Callable[[], None]], None],
        waiting: set[str],
        settings: Settings,
    ) -> None:
        self._catalog, self._ledger, self._root, self._decider, self._write = catalog, ledger, root, decider, write
        self._attempts, self._stretches, self._spawn, self._later = attempts, stretches, spawn, later
        self.waiting = waiting
        self._threads = ThreadViews(root)
        self.offer()
        # More are routed than may call the model: while calls are out, others are read, written and made durable.
        self._concurrency = 2 * settings.concurrency
        self._step_us = round(settings.priority_step_s * 1e6)
        self._lanes = Lanes(Bursts(settings))
        self._questions = Questions(root, ledger, decider, self._lanes, settings)
        self._closings: dict[str, asyncio.TimerHandle] = {}  # users whose lane stands open
        self.closed = asyncio.Event()  # no lane stands open
        self.closed.set()
        self._slots = self._starting = 0
        self.routed = 0  # decisions since the start
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False

    def offer(self) -> None:
        """Have the router shown the agents that are at work; those that are paused are not."""
        agents = self._root.task_agents
        self._views = {
            role: view
            for role, view in agent_views(self._catalog).items()
            if (known := agents.get(role)) is None or not known.paused
        }

    def put(self, stored: Stored, message: MessageAccepted, due: int) -> None:
        """Let a message wait for its routing: `stored` put it into the inbox, and it is not routed before `due`."""
        self.waiting.add(message.message_id)
        waiting = Waiting(message, stored.version, stored.at, due, rank_of(due, message.priority, self._step_us))
        self._attempts.resume(waiting, stored.seq)
        waiting.version = max(waiting.version, self._questions.version(message))
        self._lanes.put(waiting)
        if due > stored.at:
            self._wait_for_the_next()
        self._tend(message.user)
        self._pump()

    def settled(self, message_id: str, thread_id: str = "") -> None:
        """A message is routed, to this thread if to any, or went to the dead letters."""
        self.waiting.discard(message_id)
        self.routed += 1
        self._threads.forget(thread_id)
        self._questions.forget(message_id)

    def drop(self, user: str, message_id: str) -> None:
        """Somebody dropped a message."""
        self.waiting.discard(message_id)
        self._questions.forget(message_id)
        self._lanes.drop(user, message_id)
        self._tend(user)
        self._pump()

    def touched(self, thread_id: str) -> None:
        """An event has changed a thread."""
        self._threads.forget(thread_id)

    def knows(self, message_id: str) -> bool:
        """Whether a message waits here, or is being routed."""
        return message_id in self.waiting

    def delays(self, message_id: str) -> bool:
        """Whether a message waits for its time, or for what its user answers about it."""
        return message_id in self._lanes.delayed or self._questions.knows(message_id)

    @property
    def quiet(self) -> bool:
        """Whether nothing is being routed."""
        return not self._slots

    @property
    def load(self) -> tuple[int, int, int]:
        """How many messages are being routed, how many lanes wait for that, how many may be routed at a time."""
        return self._slots, self._lanes.ready, self._concurrency

    def drain(self) -> None:
        """Route no more."""
        self._draining = True
        if self._timer is not None:
            self._timer.cancel()
        while self._closings:
            self._closings.popitem()[1].cancel()
        self.closed.set()

    def _wait_for_the_next(self) -> None:
        """Wake up when the next delayed message is due, or the next question expires."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._lanes.next_due
        if due is not None and not self._draining:
            seconds = min(max(0.0, (due - now_us()) / 1e6), _LONGEST_TIMER_S)
            self._timer = asyncio.get_running_loop().call_later(seconds, self.look)

    def look(self) -> None:
        """Let what is due by now be routed; it is, by itself, when its time comes."""
        self._lanes.release(now_us())
        self._wait_for_the_next()
        for user in list(self._lanes.open):
            self._look_at(user)
        self._pump()

    def _look_at(self, user: str) -> None:
        self._lanes.look(user)
        self._tend(user)

    def _tend(self, user: str) -> None:
        """See to it that a lane which stands open is looked at when its burst may be over."""
        closing, until = self._closings.pop(user, None), self._lanes.open.get(user)
        if closing is not None:
            closing.cancel()
        if until is not None and not self._draining:
            seconds = max(0.0, (until - now_us()) / 1e6)
            self._closings[user] = asyncio.get_running_loop().call_later(seconds, self._close, user)
        (self.closed.clear if self._closings else self.closed.set)()

    def _close(self, user: str) -> None:
        self._look_at(user)
        self._pump()

    def _pump(self) -> None:
        """See to it that there are slots for what may be routed."""
        while self._lanes.ready > self._starting and self._slots < self._concurrency and not self._draining:
            self._slots += 1
            self._starting += 1
            self._spawn(self._slot())

    async def _slot(self) -> None:
        """Route one message after the other, until there is none to take."""
        self._starting -= 1
        try:
            while not self._draining and (waiting := self._lanes.take()) is not None:
                pause = None if waiting.settled else await self._route(waiting)
                if pause is not None:
                    self._later(pause, partial(self._again, waiting))
                elif not self._questions.is_open(waiting.message):
                    self._lanes.done(waiting)
                    self._tend(waiting.message.user)
                elif self._questions.waits(waiting):
                    self._lanes.hold(waiting, self._questions.expires_at(waiting.message))
                    self._wait_for_the_next()
                else:
                    self._lanes.again(waiting)
        finally:
            self._slots -= 1

    def _again(self, waiting: Waiting) -> None:
        self._lanes.again(waiting)
        self._pump()

    async def _route(self, waiting: Waiting) -> float | None:
        """Decide about a message and those of its burst, and record it, or a question to its user.

        Seconds to pause if it is tried again.
        """
        message, behind = waiting.message, tuple(self._lanes.behind(waiting))
        try:
            try:
                with self._stretches.of("inbox", message.message_id):
                    found = await self._found(waiting, behind)
                if found is None:
                    return None
                decided, decision, covered = found
                if decided.question is not None:
                    await self._write(self._questions.draft([waiting, *covered], decided, decided.question))
                    waiting.version += 1
                    return None
                if self._decider.rules is not None:
                    text = "\n".join(each.message.text for each in (waiting, *covered))
                    await self._by_rules(message.model_copy(update={"text": text}), decided, self._decider.rules)
                behind = tuple(covered)
                await self._write(settling([waiting, *covered], decision, decided.blobs))
                for each in covered:
                    each.settled = True
            except UNFORESEEN as error:
                if ends_the_fleet(error):
                    raise
                return await self._attempts.routing_failed(waiting, error)
        except StaleWriteError:
            burst = ((each, each.message.message_id, each.version) for each in (waiting, *behind))
            gone = [each for each, message_id, version in burst if dropped_since(self._ledger, message_id, version)]
            if not gone:
                raise
            for each in gone:
                each.settled = True
            return None if waiting.settled else 0.0  # of a burst, what is left of it is decided about anew
        return None

    async def _by_rules(self, message: MessageAccepted, decided: Decided, rules: Rules) -> None:
        """Record that the rules changed, and dispatch a message's other agents, before its decision; each once."""
        while rules.news:
            changed, file = rules.news.pop(0)
            before = self._ledger.read_stream("rules")
            files = [each.event.file for each in before if isinstance(each.event, RulesChanged) and each.event.file]
            known = files[-1] if files else ""
            if changed.error or changed.file != known:
                await self._write(Draft("rules", len(before), (changed,), blobs=(file,)))
        for asked in decided.also:
            event = DispatchRequested(
                **message.model_dump(exclude={"message_id", "metadata", "assignment"}), assignment=asked,
                message_id=f"{message.message_id}+{asked.agent}", metadata=decided.decision.metadata,
            )  # fmt: skip
            with suppress(StaleWriteError):  # dispatched before a crash
                await self._write(Draft(f"message:{event.message_id}", 0, (event,), message.user))

    async def _found(
        self, waiting: Waiting, behind: Sequence[Waiting]
    ) -> tuple[Decided, Decision, Sequence[Waiting]] | None:
        """The decision, or one with a question, and those `behind` that it covers; None while the user is asked."""
        message, questions = waiting.message, self._questions
        if (answer := questions.answer(message)) is not None:
            return Decided(answer), answer, ()
        if not questions.is_open(message):
            decided, decision = await self._decide_twice(waiting, behind, ask=questions.may_ask(waiting))
            return decided, decision, behind[: decided.covers]
        settled = questions.settled(waiting, self._facts(message))
        if settled is None:
            return None
        covered = questions.covered(waiting)
        if (ready := self._bind(settled, message)) is not None:
            return settled, ready, covered
        said = settled.decision
        decided, decision = await self._decide_twice(waiting, covered, ask=False)
        asked = "gone" if said.asked == "answered" else said.asked
        decision = decision.model_copy(update={"asked": asked, "answered_by": said.answered_by})
        return decided, decision, covered[: decided.covers]

    async def _decide_twice(
        self, waiting: Waiting, behind: Sequence[Waiting], *, ask: bool
    ) -> tuple[Decided, Decision]:
        """The decision; if the chosen thread went away while the model thought, it is asked once more."""
        for _ in range(2):
            decided, decision = await self._decide(waiting, behind, ask=ask)
            if decision is not None:
                return decided, decision
        return decided, unbound(decided.decision)

    async def _decide(
        self, waiting: Waiting, behind: Sequence[Waiting], *, ask: bool
    ) -> tuple[Decided, Decision | None]:
        facts, queue_us = self._facts(waiting.message), max(0, now_us() - waiting.due)
        decided = await self._decider.decide(facts, queue_us, [self._facts(each.message) for each in behind], ask=ask)
        return decided, self._bind(decided, waiting.message)

    def _facts(self, message: MessageAccepted) -> Facts:
        languages = self._catalog.app.preferred_language_for
        return facts_of(self._root, self._threads, message, self._views, now(), languages, self._catalog.roles)

    def _bind(self, decided: Decided, message: MessageAccepted) -> Decision | None:
        return bound(self._root, self._catalog.roles, decided, message)

"""The worker: runs one turn of a job, from a wake-up to its uniform result.

A turn is a loop over the durable job: what the conversation ends with says what comes next (a model call, a tool
call, the end). Each step is recorded before the next one begins, so a turn that a crash cut off goes on from its
last recorded step, and no recorded step runs twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from fleet.agents.agent import Agent
from fleet.agents.catalog import Catalog
from fleet.clock import now_us
from fleet.errors import ModelError, StaleWriteError
from fleet.graph.living import LivingRoot
from fleet.graph.records import TAIL_KEPT, JobRecord
from fleet.graph.subjobs import waited_for
from fleet.graph.tail import unanswered_calls
from fleet.graph.turns import has_work, waits
from fleet.ledger.base import Blob, Draft, Ledger
from fleet.ledger.events import (
    Event,
    JobHandedOver,
    TurnEnded,
)
from fleet.ledger.storable import storable
from fleet.llm.base import Answer, Model, Request, ask_model, failure_of
from fleet.log import log
from fleet.settings import Settings
from fleet.workers.beginning import Beginnings
from fleet.workers.budget import breach_of, late_of, policies_of, time_left_s, wait_left_s
from fleet.workers.compaction import Compactor
from fleet.workers.confirm import open_questions
from fleet.workers.conversation import messages_for
from fleet.workers.ending import Endings, given_up
from fleet.workers.heard import answers_to_questions, messages_of
from fleet.workers.locales import locale_of
from fleet.workers.partials import Partials, Telling
from fleet.workers.persons import set_aside, spoken
from fleet.workers.recorded import answered_by, is_cancelled, last_answer, with_own_ids
from fleet.workers.reminders import ReminderBook, noted
from fleet.workers.subjobs import Subjobs
from fleet.workers.toolbox import CutOff, Toolbox

__all__ = ["Worker"]


class Worker:
    """Runs turns for every agent of one application. `write` appends a draft and returns once it is applied.

    `catch_up` applies at once what other processes have put on record; `partials` hear replies while they are written.
    Prompts are rendered, and examples read, when it is built. `delivers` maps a role to whether its replies go
    anywhere. Raises: ConfigError.
    """

    def __init__(
        self,
        catalog: Catalog,
        model_of: Callable[[Agent], Model],
        recap_model_of: Callable[[Agent], Model | None],
        ledger: Ledger,
        root: LivingRoot,
        write: Callable[[Draft], Awaitable[Any]],
        catch_up: Callable[[], None],
        settings: Settings,
        partials: Partials,
    ) -> None:
        self._catch_up, self._partials = catch_up, partials
        self._model_of, self._ledger, self._root, self._write, self._settings = model_of, ledger, root, write, settings
        self._roles = catalog.roles
        self._beginnings = Beginnings(catalog, ledger, root, settings)
        self.agents, self._retired_reply, self._words = (
            catalog.app.agents, catalog.app.retired_reply, catalog.app.words,
        )  # fmt: skip
        self.waits = frozenset(role for role, agent in catalog.app.agents.items() if not agent.away)
        self._policies = policies_of(catalog.app, settings)
        subjobs = Subjobs(catalog, root, write, self._policies)
        reminders = ReminderBook(write, self._policies)
        self._toolbox = Toolbox(catalog, root, self._record, settings, self._policies, subjobs, reminders)
        self._compactor = Compactor(root, recap_model_of, self._record, settings, self._policies)
        self.limits = {role: agent.max_concurrency for role, agent in catalog.app.agents.items()}
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        # What a supervised agent found goes to whoever supervises, not to the user.
        self.delivers = {
            role: agent.KIND == "dialog" or catalog.app.on_result is not None for role, agent in self.agents.items()
        }
        self._endings = Endings(root, catalog.app.words, self.delivers)

    async def turn(self, job_id: str) -> None:
        """Run the job's open turn to its end, or until it waits for a child; or open one for what waits.

        Raises: LedgerError or GraphError when it cannot be recorded; nothing for what a model or tool did.
        """
        job = self._root.jobs[job_id]
        owner = self._root.threads[job.thread].agent
        if owner != job.agent and not job.open:  # its thread was handed over
            over = JobHandedOver(job_id=job.id, thread_id=job.thread, before=job.agent, agent=owner)
            await self._record(job, over)
        if await self._stand_back(job):
            return
        if job.agent not in self._roles:  # the code no longer declares it
            talks = self._root.task_agents[job.agent].kind == "dialog" and (job.open or len(job.waiting))
            retired, thread = f"agent {job.agent} is retired", self._root.threads[job.thread]
            said = self._words.retired(locale_of(thread), self._retired_reply) if talks else ""
            await self._record(job, *given_up(job, thread, retired, said, deliver=bool(said)))
            return
        if (away := self._away(job)) and not job.open and len(job.waiting):
            thread, deliver = self._root.threads[job.thread], self.delivers[job.agent]
            why = f"agent {job.agent} is paused"
            await self._record(job, *given_up(job, thread, why, away, deliver=deliver, remind=True))
            return
        await self._call_off(job)
        if not job.open:
            if not has_work(job):
                return
            if note := noted(job, self._root.threads[job.thread], deliver=self.delivers.get(job.agent, False)):
                await self._record(job, *note)
                return
            started, blobs = self._beginnings.of(job)
            await self._record(job, started, blobs=blobs)
        transcript = self._ledger.blob(job.turn_transcript).decode() if job.turn_transcript else ""
        await self._call_off(job)  # it may have come while the turn's beginning was recorded
        while not await self._stand_back(job) and job.open and not waits(job):
            await self._step(job, transcript)
            await self._call_off(job)
        if job.open and waits(job) and (late := late_of(self._policies[job.agent], job, now_us())):
            said = self._endings.say(job, late.words)
            await self._record(job, self._endings.end(job, "failed", said, late.reason))
        if not job.open and not job.taken_over and (not has_work(job) or len(job.tail) > TAIL_KEPT):
            await self._compactor.compact(job, self.agents[job.agent])

    def waits_at_most_s(self, job: JobRecord) -> float | None:
        """Seconds after which a turn that waits for children is to be ended; None for no limit, or if it does not."""
        if not waits(job) or job.agent not in self._policies:
            return None
        return wait_left_s(self._policies[job.agent], job, now_us())

    def _away(self, job: JobRecord) -> str:
        """What is said for an agent that is paused; "" for one at work, or whose users wait."""
        away = self.agents[job.agent].away
        if not away or not self._root.task_agents[job.agent].paused:
            return ""
        return self._words.away(job.agent, locale_of(self._root.threads[job.thread]), away)

    def interrupt(self, job_id: str) -> None:
        """Wait no longer for the model that a job is asking: it was called off, or a person answers in its place."""
        if asked := self._asked.get(job_id):
            asked.cancel()

    async def _call_off(self, job: JobRecord) -> None:
        """End what is called off: the open turn that answers it, or its place in the line."""
        while len(job.cancelled):
            called_off = json.loads(job.cancelled[0])
            message_id, why, ids = called_off["id"], called_off["reason"], tuple(job.turn_ids)
            running = message_id in ids or not message_id
            ended = self._endings.end(job, "failed", "", why)
            ended = ended.model_copy(
                update={
                    "message_ids": ids if running else (message_id,),
                    "reply_id": "",
                    "deliver": False,
                    "subjobs": ended.subjobs if running else (),
                    "settled": ended.settled if running else (),
                }
            )
            await self._record(job, ended)

    async def _stand_back(self, job: JobRecord) -> bool:
        """Give the user what a person says in the model's place; whether such a person has the thread."""
        if not job.taken_over and job.said == "[]":
            return False
        await self._call_off(job)
        if job.open:
            await self._finish_begun(job)
            texts = [each.text for each in messages_of(self._ledger, job, job.turn_ids)]
            await self._record(job, set_aside(job, self._root.threads[job.thread], texts))
        while job.said != "[]":
            deliver = self.delivers.get(job.agent, False)
            await self._record(job, *spoken(job, self._root.threads[job.thread], deliver=deliver))
        return bool(job.taken_over)

    async def _finish_begun(self, job: JobRecord) -> None:
        """Bring the calls that a crash cut off to the end that they can have, before their turn is set aside."""
        if job.agent not in self._roles:
            return
        for call_id in unanswered_calls(job):
            if call_id in list(job.intended):
                block = next(b for b in last_answer(job) if b.get("id") == call_id)
                await self._unknown(job, await self._toolbox.call(job, block))
        if len(job.intended) and job.settled != "[]":
            await self._unknown(job, await self._toolbox.take_up(job))

    async def _unknown(self, job: JobRecord, cut: CutOff | None) -> None:
        if cut is not None:
            await self._record(job, cut.result)

    async def _step(self, job: JobRecord, transcript: str) -> None:
        """Whatever the end of the conversation asks for next."""
        await self._hear(job)
        calls = unanswered_calls(job)
        last = json.loads(job.tail[-1])
        if calls:  # those of children may wait; whatever else there is to say comes after the results
            waiting = {each["call_id"] for each in waited_for(job)}
            ready = [each for each in last_answer(job) if each.get("id") in calls and each["id"] not in waiting]
            for block in ready[:1]:
                await self._cut_off(job, await self._toolbox.call(job, block))
        elif job.settled != "[]":
            await self._cut_off(job, await self._toolbox.take_up(job))
        elif job.open and (questions := open_questions(job, job.turn)):
            await self._record(job, self._endings.asking(job, questions))
        elif last["role"] == "assistant":
            await self._record(job, self._endings.closing(job, last["content"], job.stop_reason))
        elif breach := breach_of(self._policies[job.agent], job, self._root.users[self._user(job)], now_us()):
            await self._record(
                job, self._endings.end(job, "failed", self._endings.say(job, breach.words), breach.reason)
            )
        else:
            await self._think(job, transcript)

    async def _hear(self, job: JobRecord) -> None:
        """Put on record what this turn's messages answer to the questions that the turn before ended with."""
        for settled in answers_to_questions(self._ledger, self._root, job, now_us()):
            with contextlib.suppress(StaleWriteError):  # an operator was first
                await self._write(Draft(f"confirm:{settled.confirm_id}", 0, (settled,), settled.user))

    async def _cut_off(self, job: JobRecord, cut: CutOff | None) -> None:
        """End the turn if nobody knows what became of a call."""
        if cut is not None:
            said = self._endings.say(job, "unknown_effect", tool=cut.tool, why=cut.why)
            ended = self._endings.end(job, "blocked", said, f"{cut.tool} may have run: {cut.call_id}")
            settled = (*ended.settled, cut.result.settled) if cut.result.settled else ended.settled
            ended = ended.model_copy(update={"settled": settled, "waits_for": "resolution"})
            await self._record(job, cut.result, ended)

    async def _think(self, job: JobRecord, transcript: str) -> None:
        role = job.agent
        policy = self._policies[role]
        left = time_left_s(policy, job, now_us())
        model = self._model_of(self.agents[role])
        request = Request(
            self._beginnings.system[role],
            messages_for(list(job.tail), transcript, self._settings.history, job.recap, job.recap_turn),
            self._toolbox.blocks[role],
            self._settings.worker_max_tokens,
            min(filter(None, (policy.model_timeout_s, left))),
            retries=policy.model_retries,
        )
        with self._partials.telling(job, self._root.threads[job.thread]) as telling:
            await self._ask(job, model, request, telling)

    async def _ask(self, job: JobRecord, model: Model, request: Request, telling: Telling) -> None:
        began = time.perf_counter_ns()
        asked = self._asked[job.id] = asyncio.ensure_future(ask_model(model, request, telling.tell))
        try:
            answer = await asked
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return  # called off
        except ModelError as error:
            log("model.failed", level=logging.WARNING, job=job.id, model=model.name, error=type(error).__name__)
            await self._record(
                job, self._endings.end(job, "failed", self._endings.say(job, "no_answer"), failure_of(model, error))
            )
            return
        finally:
            del self._asked[job.id]
        answer = replace(answer, content=with_own_ids(job, storable(answer.content)))
        answered = answered_by(job, answer, (time.perf_counter_ns() - began) // 1000)
        if answer.stop_reason == "tool_use" and answer.tool_calls:
            await self._record(job, answered)
            return
        ended = self._endings.closing(job, answer.content, answer.stop_reason)
        telling.hush()
        await self._record(job, answered, ended)
        if ended.result in ("success", "need_input"):
            telling.stands()

    def _user(self, job: JobRecord) -> str:
        return self._root.threads[job.thread].user

    async def _record(self, job: JobRecord, *events: Event, blobs: tuple[Blob, ...] = ()) -> None:
        """Append to the job's stream.

        An end that tells the user something is refused, in the ledger's own transaction, if a person has taken the
        thread over meanwhile: then all but the end is recorded, and the turn is set aside next.
        """
        speaks = any(isinstance(each, TurnEnded) and each.deliver and each.reply and not each.by for each in events)
        while True:
            if speaks and (job.taken_over or job.said != "[]"):
                events, speaks = tuple(each for each in events if not isinstance(each, TurnEnded)), False
            known = job.takeovers
            beside = (Draft(f"takeover:{job.thread}", known, ()),) if speaks else ()
            try:
                await self._write(Draft(f"job:{job.id}", job.version, events, self._user(job), blobs, beside))
            except StaleWriteError:
                self._catch_up()
                if job.takeovers == known:
                    raise
            else:
                return

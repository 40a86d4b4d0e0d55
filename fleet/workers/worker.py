"""The worker: runs one turn of a job, from a wake-up to its uniform result.

A turn is a loop over the durable job: what the conversation ends with says what comes next (a model call, a tool
call, the end). Each step is recorded before the next one begins, so a turn that a crash cut off goes on from its
last recorded step, and no recorded step runs twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fleet.agents.agent import Agent
from fleet.agents.catalog import Catalog
from fleet.agents.tool import Tool, ToolContext
from fleet.clock import now
from fleet.errors import GraphError, ModelError, ToolError
from fleet.graph.apply import unanswered_calls
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.ledger.base import Blob, Draft, Ledger
from fleet.ledger.events import (
    AppEventRecorded,
    Event,
    MessageAccepted,
    ToolIntended,
    TurnEnded,
    TurnResult,
    TurnStarted,
)
from fleet.ledger.storable import storable
from fleet.llm.base import Answer, Model, Request, failure_of
from fleet.log import log
from fleet.prompting.examples import examples_of
from fleet.prompting.prompts import render_prompt
from fleet.prompting.views import JobView, ThreadView
from fleet.settings import Settings
from fleet.workers.conversation import ends_in_question, messages_for, warm_up
from fleet.workers.ending import given_up, turn_ended, waiting_ids
from fleet.workers.recorded import answered_by, last_answer, returned

__all__ = ["Worker"]

_NO_ANSWER = "I could not answer just now. Your message is kept; please try again in a moment."
_TOO_LONG = "I did not get to an end with this and stopped. A person may have to look at it."
_UNKNOWN_EFFECT = (
    "I was interrupted in the middle of {tool}, and it is not known whether it took effect. "
    "A person has to check before I go on."
)
_DECLINED = "I cannot help with that."


class Worker:
    """Runs turns for every agent of one application. `write` appends a draft and returns once it is applied.

    Prompts are rendered, and examples read, when it is built. `delivers` maps a role to whether its replies go
    anywhere. Raises: ConfigError.
    """

    def __init__(
        self,
        catalog: Catalog,
        model_of: Callable[[Agent], Model],
        ledger: Ledger,
        root: LivingRoot,
        write: Callable[[Draft], Awaitable[Any]],
        settings: Settings,
    ) -> None:
        self._model_of, self._ledger, self._root, self._write, self._settings = model_of, ledger, root, write, settings
        self._roles = catalog.roles
        self._system = {role: render_prompt(found, catalog) for role, found in catalog.roles.items()}
        self._prompt_blobs = {role: Blob.of(text) for role, text in self._system.items()}
        self._examples = {role: examples_of(found) for role, found in catalog.roles.items()}
        self._tools = {role: {each.name: each for each in agent.tools} for role, agent in catalog.app.agents.items()}
        self._tool_blocks = {role: tuple(t.as_block() for t in tools.values()) for role, tools in self._tools.items()}
        self._agents = catalog.app.agents
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        # What a supervised agent found goes to whoever supervises, not to the user.
        self.delivers = {
            role: agent.KIND == "dialog" or catalog.app.on_result is not None for role, agent in self._agents.items()
        }

    async def turn(self, job_id: str) -> None:
        """Run the job's open turn to its end, or open one for the messages that wait; nothing to do is no error.

        Raises: LedgerError or GraphError when it cannot be recorded; nothing for what a model or tool did.
        """
        job = self._root.jobs[job_id]
        if job.agent not in self._roles:  # the code no longer declares it
            retired = f"agent {job.agent} is retired"
            await self._record(job, *given_up(job, self._root.threads[job.thread], retired))
            return
        await self._call_off(job)
        if not len(job.turn_ids):
            if not len(job.waiting):
                return
            await self._start(job)
        transcript = self._ledger.blob(job.turn_transcript).decode() if job.turn_transcript else ""
        await self._call_off(job)  # it may have come while the turn's beginning was recorded
        while len(job.turn_ids):
            await self._step(job, transcript)
            await self._call_off(job)

    def interrupt(self, job_id: str) -> None:
        """Wait no longer for the model that a job is asking: something of it was called off."""
        if asked := self._asked.get(job_id):
            asked.cancel()

    async def _call_off(self, job: JobRecord) -> None:
        """End what a dispatch's cancellation calls off: the open turn that answers it, or its place in the line."""
        for entry in list(job.cancelled):
            message_id, why = json.loads(entry)["id"], json.loads(entry)["reason"]
            ids = tuple(job.turn_ids)
            ended = self._end(job, "failed", "", why).model_copy(
                update={
                    "message_ids": ids if message_id in ids else (message_id,),
                    "reply_id": "",
                    "deliver": False,
                }
            )
            await self._record(job, ended)

    async def _start(self, job: JobRecord) -> None:
        ids = waiting_ids(job)
        messages = [self._accepted(message_id) for message_id in ids]
        thread = self._root.threads[job.thread]
        warm = warm_up(
            self._roles[job.agent],
            self._examples[job.agent],
            messages=messages,
            thread=ThreadView.of(thread),
            job=JobView.of(job),
            example=job.default_example_id,
            now=now(),
        )
        transcript, prompt = Blob.of(warm.transcript), self._prompt_blobs[job.agent]
        started = TurnStarted(
            job_id=job.id,
            thread_id=thread.id,
            turn=job.turn + 1,
            message_ids=ids,
            transcript=transcript.hash,
            prompt=prompt.hash,
            prompt_name=self._roles[job.agent].prompt.source,
            trouble=warm.trouble,
            history=self._settings.history,
        )
        await self._record(job, started, blobs=(transcript, prompt))

    def _accepted(self, message_id: str) -> MessageAccepted:
        event = self._ledger.read_stream(f"message:{message_id}")[0].event
        if not isinstance(event, MessageAccepted):
            raise GraphError(f"message {message_id} was routed and never accepted")
        return event

    async def _step(self, job: JobRecord, transcript: str) -> None:
        """Whatever the end of the conversation asks for next."""
        calls = unanswered_calls(job)
        last = json.loads(job.tail[-1])
        if calls:
            block = next(b for b in last_answer(job) if b.get("id") == calls[0])
            await self._call_tool(job, block)
        elif last["role"] == "assistant":
            await self._record(job, self._closing(job, last["content"], job.stop_reason))
        elif job.turn_steps >= self._settings.max_steps:
            await self._record(job, self._end(job, "failed", _TOO_LONG, f"no end after {job.turn_steps} steps"))
        else:
            await self._think(job, transcript)

    async def _think(self, job: JobRecord, transcript: str) -> None:
        role = job.agent
        model = self._model_of(self._agents[role])
        request = Request(
            self._system[role],
            messages_for(list(job.tail), transcript, self._settings.history),
            self._tool_blocks[role],
            self._settings.worker_max_tokens,
            self._settings.model_timeout_s,
        )
        began = time.perf_counter_ns()
        asked = self._asked[job.id] = asyncio.ensure_future(model.complete(request))
        try:
            answer = await asked
        except asyncio.CancelledError:
            if _cancelled():
                raise
            return  # called off
        except ModelError as error:
            log("model.failed", level=logging.WARNING, job=job.id, model=model.name, error=type(error).__name__)
            await self._record(job, self._end(job, "failed", _NO_ANSWER, failure_of(model, error)))
            return
        finally:
            del self._asked[job.id]
        answer = replace(answer, content=storable(answer.content))
        answered = answered_by(job, answer, (time.perf_counter_ns() - began) // 1000)
        if answer.stop_reason == "tool_use" and answer.tool_calls:
            await self._record(job, answered)
        else:
            await self._record(job, answered, self._closing(job, answer.content, answer.stop_reason))

    def _closing(self, job: JobRecord, content: Any, stop_reason: str) -> TurnEnded:
        """How a turn ends on the model's last answer."""
        text = "".join(block["text"] for block in content if block["type"] == "text").strip()
        if stop_reason == "refusal":
            return self._end(job, "blocked", text or _DECLINED, "the model refused")
        if stop_reason == "max_tokens":
            return self._end(job, "failed", text or _NO_ANSWER, "the answer was cut off at max_tokens")
        if not text:
            return self._end(job, "failed", _NO_ANSWER, "the model ended without a text")
        return self._end(job, "need_input" if ends_in_question(text) else "success", text)

    def _end(self, job: JobRecord, result: TurnResult, reply: str, reason: str = "") -> TurnEnded:
        thread = self._root.threads[job.thread]
        return turn_ended(job, thread, result, reply, deliver=self.delivers[job.agent], reason=reason)

    async def _call_tool(self, job: JobRecord, block: Mapping[str, Any]) -> None:
        """Run one tool call and record its result together with the application events that it emitted."""
        found = self._tools[job.agent].get(block["name"])
        call_id, thread = str(block["id"]), self._root.threads[job.thread]
        if found is None:
            await self._record(job, returned(job, block, f"There is no tool {block['name']!r}.", error=True))
            return
        if call_id in list(job.intended):  # a crash fell between its intent and its result
            said = _UNKNOWN_EFFECT.format(tool=found.name)
            lost = returned(job, block, "It is not known whether this took effect.", error=True)
            await self._record(job, lost, self._end(job, "blocked", said, f"{found.name} may have run: {call_id}"))
            return
        key = hashlib.sha256(f"{job.id}\n{job.turn}\n{call_id}".encode()).hexdigest()
        metadata = json.loads(job.metadata) if job.metadata else {}
        context = ToolContext(thread.user, thread.id, job.id, call_id, key, now(), self._root.state, metadata)
        began = time.perf_counter_ns()
        try:
            arguments = found.bind(block["input"])
            if found.effect == "external":
                await self._record(job, ToolIntended(
                    job_id=job.id, turn=job.turn, call_id=call_id, tool=found.name,
                    arguments=dict(block["input"]), idempotency_key=key,
                ))  # fmt: skip
            content, error = storable(await self._run(found, arguments, context)), False
            data = [each.model_dump(mode="json") for each in context.emitted]
            if storable(data) != data:
                raise ToolError(f"{found.name} emitted text that cannot be stored; nothing was changed")
            if context.emitted and found.effect == "read":
                raise ToolError(f'{found.name} is declared effect="read" and emitted an event; nothing was changed')
        except ToolError as failure:
            content, error = storable(failure.message), True
        except (
            Exception,
            SystemExit,
            asyncio.CancelledError,
        ) as failure:  # a tool may raise anything; the turn goes on
            if isinstance(failure, asyncio.CancelledError) and _cancelled():
                raise
            log("tool.failed", level=logging.WARNING, job=job.id, tool=found.name, error=type(failure).__name__)
            content, error = f"{found.name} failed: {type(failure).__name__}", True
        took = (time.perf_counter_ns() - began) // 1000
        emitted: tuple[Event, ...] = () if error else tuple(
            AppEventRecorded(name=each.NAME, version=each.VERSION, job_id=job.id, user=thread.user, data=fields)
            for each, fields in zip(context.emitted, data, strict=True)
        )  # fmt: skip
        await self._record(job, *emitted, returned(job, block, content, error=error, latency_us=took))

    async def _run(self, found: Tool, arguments: Mapping[str, Any], context: ToolContext) -> str:
        limit = found.timeout_s or self._settings.tool_timeout_s
        try:
            async with asyncio.timeout(limit):
                return await found.call(arguments, context)
        except TimeoutError:
            raise ToolError(f"{found.name} gave no result within {limit:g} s") from None

    async def _record(self, job: JobRecord, *events: Event, blobs: tuple[Blob, ...] = ()) -> None:
        user = self._root.threads[job.thread].user
        await self._write(Draft(f"job:{job.id}", job.version, events, user, blobs))


def _cancelled() -> bool:
    """Whether the running task itself is being cancelled, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

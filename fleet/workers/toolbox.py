"""Tool calls: what they may do, what has to be approved first, and what is on record before and after them.

Application events that a tool emits are appended together with its result: they happen exactly once. Before a tool
with an external effect runs, its intent is on record; after a crash it runs again only if it says that it may.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.agents.agent import DISPATCH_TOOL
from fleet.agents.catalog import Catalog
from fleet.agents.context import ToolContext
from fleet.agents.policy import Policy
from fleet.agents.tool import Tool
from fleet.agents.zones import zone_of
from fleet.clock import now, now_us
from fleet.errors import ToolError
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.ledger.events import AppEventRecorded, Event, LocaleSet, ToolIntended, ToolReturned
from fleet.ledger.storable import storable
from fleet.log import log
from fleet.settings import Settings
from fleet.workers.confirm import asked, hash_of, note_of
from fleet.workers.locales import locale_of
from fleet.workers.recorded import is_cancelled, returned
from fleet.workers.reminders import ReminderBook
from fleet.workers.subjobs import Subjobs

__all__ = ["CutOff", "Toolbox"]

_WAITS = "Not run yet: it waits for approval. Say nothing more now; the question is put to whoever must answer it."
_NOT_KNOWN = "It is not known whether this took effect."

# Records events of a job, and returns once they are applied.
Record = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class CutOff:
    """A call of which nobody knows whether it took effect: the turn ends, for a person to look.

    `result` is what there is to record of it, by the caller: in one stroke with the end of the turn, or a
    crash between the two would have the model go on.
    """

    tool: str
    call_id: str
    why: str
    result: ToolReturned


@dataclass(frozen=True)
class _Call:
    """A call that is about to run. `id` is the model's, or the confirmation's that approved it."""

    job: JobRecord
    tool: Tool
    id: str
    given: Mapping[str, Any]
    key: str
    approved: Mapping[str, Any] | None = None


class Toolbox:
    """Runs the tool calls of every agent of one application."""

    def __init__(self, catalog: Catalog, root: LivingRoot, record: Record, settings: Settings,
                 policies: Mapping[str, Policy], subjobs: Subjobs, reminders: ReminderBook) -> None:  # fmt: skip
        self._app, self._root, self._record, self._settings = catalog.app, root, record, settings
        self._policies, self._subjobs, self._reminders = policies, subjobs, reminders
        self._tools = {role: {each.name: each for each in agent.tools} for role, agent in self._app.agents.items()}
        self.blocks = {
            role: (*(t.as_block() for t in tools.values()), *([subjobs.blocks[role]] if role in subjobs.blocks else []))
            for role, tools in self._tools.items()
        }

    async def call(self, job: JobRecord, block: Mapping[str, Any]) -> CutOff | None:
        """Run the model's call and record what came of it, or why it was not run. A tool never makes it raise."""
        if block["name"] == DISPATCH_TOOL and job.agent in self._subjobs.blocks:
            await self._hand_down(job, block)
            return None
        tool = self._tools[job.agent].get(block["name"])
        call_id = str(block["id"])
        if tool is None:
            await self._returned(job, block, f"There is no tool {block['name']!r}.", error=True)
            return None
        call = _Call(job, tool, call_id, block["input"], _key(job.id, job.turn, call_id))
        if call_id in list(job.intended) and not tool.idempotent:  # a crash fell between its intent and its result
            return self._cut_off(call, "was interrupted")
        try:
            arguments, context = tool.bind(block["input"]), self._context(call)
            self._permit(call)
            ask = call_id not in list(job.intended) and tool.asks_for(arguments, context)
        except ToolError as refused:
            await self._returned(job, block, storable(refused.message), error=True)
            return None
        if not ask:
            return await self._run(call, arguments, context)
        thread = self._root.threads[job.thread]
        unseen = self._app.agents[job.agent].KIND == "supervised" or job.parent  # the user is not asked there
        approver = "operator" if unseen else tool.approver
        expires_at = now_us() + round(self._settings.confirm_s * 1_000_000)
        waits = returned(job, block, _WAITS)
        await self._record(job, asked(
            tool, job, thread, block, approver, expires_at, self._app.words
        ), waits)  # fmt: skip
        return None

    async def _hand_down(self, job: JobRecord, block: Mapping[str, Any]) -> None:
        """Start the child that the call asks for, or record its result."""
        try:
            result = await self._subjobs.call(job, block)
        except ToolError as refused:
            await self._returned(job, block, storable(refused.message), error=True)
            return
        if result is not None:
            await self._record(job, result)

    async def take_up(self, job: JobRecord) -> CutOff | None:
        """Do what the first of the things asks for that people have said about the job's calls."""
        said = json.loads(job.settled)[0]
        block = {"id": said["call_id"], "name": said["tool"], "input": said.get("arguments", {})}
        if said["verdict"] != "approved":
            await self._returned(job, block, note_of(said), settled=said["key"])
            return None
        asked_by = said.get("agent", job.agent)  # whoever has the thread by now
        tool = self._tools.get(asked_by, {}).get(said["tool"])
        if tool is None:
            note = note_of(said, f"There is no tool {said['tool']!r} any more.", error=True)
            await self._returned(job, block, note, error=True, settled=said["key"])
            return None
        call = _Call(job, tool, said["key"], said["arguments"], _key(job.id, said["turn"], said["call_id"]), said)
        if call.id in list(job.intended) and not tool.idempotent:
            return self._cut_off(call, "was interrupted")
        try:
            arguments = tool.bind(said["arguments"])
            if hash_of(tool, said["arguments"]) != said["arguments_hash"]:
                raise ToolError(f"{tool.name} was not run: with these arguments it means something else by now")
            self._permit(call)
        except ToolError as refused:
            note = note_of(said, storable(refused.message), error=True)
            await self._returned(job, block, note, error=True, settled=said["key"])
            return None
        return await self._run(call, arguments, self._context(call))

    def _context(self, call: _Call) -> ToolContext:
        thread = self._root.threads[call.job.thread]
        metadata = json.loads(call.job.metadata) if call.job.metadata else {}
        state, home = self._root.state, self._settings.home
        began = now()
        return ToolContext(
            thread.user, thread.id, call.job.id, call.id, call.key, began, state, metadata, home,
            timezone=zone_of(self._app, thread.user), locale=locale_of(thread),
            planned=self._reminders.of(call.job, call.key, began),
        )  # fmt: skip

    def _permit(self, call: _Call) -> None:
        """Raises: ToolError if the user has not the permission that the tool needs."""
        needed, user = call.tool.permission, self._root.threads[call.job.thread].user
        if not needed:
            return
        try:
            granted = self._app.permissions_of is not None and needed in self._app.permissions_of(user)
        except Exception as error:  # the application's own function: what it cannot say is not allowed
            log("permissions.unknown", level=logging.WARNING, job=call.job.id, error=type(error).__name__)
            granted = False
        if not granted:
            raise ToolError(f"{call.tool.name} was not run: the user has no permission {needed!r}")

    async def _run(
        self, call: _Call, arguments: Mapping[str, Any], context: ToolContext, *, again: bool = False
    ) -> CutOff | None:
        job, tool = call.job, call.tool
        if tool.effect == "external" and call.id not in list(job.intended):
            await self._record(job, ToolIntended(
                job_id=job.id, turn=job.turn, call_id=call.id, tool=tool.name,
                arguments=dict(call.given), idempotency_key=call.key,
            ))  # fmt: skip
        began = time.perf_counter_ns()
        data: list[Any] = []
        try:
            content, error = storable(await self._timed(call, arguments, context)), False
            data = [each.model_dump(mode="json") for each in context.emitted]
            if storable(data) != data:
                raise ToolError(f"{tool.name} emitted text that cannot be stored; nothing was changed")
            planned = context.planned
            if tool.effect == "read" and (context.emitted or planned.new or planned.cancelled or context.locales):
                what = "emitted an event" if context.emitted else "set a locale"
                what = "set or cancelled a reminder" if planned.new or planned.cancelled else what
                raise ToolError(f'{tool.name} is declared effect="read" and {what}; nothing was changed')
        except TimeoutError:
            limit = self._limit_s(job, tool)
            if tool.effect == "external":
                if tool.idempotent and not again:  # with the same key; a call anew would have another one
                    return await self._run(call, arguments, self._context(call), again=True)
                return self._cut_off(call, f"gave no result within {limit:g} s")
            content, error = f"{tool.name} gave no result within {limit:g} s", True
        except ToolError as failure:
            content, error = storable(failure.message), True
        except (Exception, SystemExit, asyncio.CancelledError) as failure:  # a tool may raise anything
            if isinstance(failure, asyncio.CancelledError) and is_cancelled():
                raise
            log("tool.failed", level=logging.WARNING, job=job.id, tool=tool.name, error=type(failure).__name__)
            content, error = f"{tool.name} failed: {type(failure).__name__}", True
        took = (time.perf_counter_ns() - began) // 1000
        user = self._root.threads[job.thread].user
        emitted: tuple[Event, ...] = () if error else tuple(
            AppEventRecorded(name=each.NAME, version=each.VERSION, job_id=job.id, user=user, data=fields)
            for each, fields in zip(context.emitted, data, strict=True)
        )  # fmt: skip
        if not error:
            await self._reminders.cancel(job, user, context.planned)
            emitted += self._reminders.events(job, user, call.id, context.planned)
            emitted += tuple(
                LocaleSet(
                    job_id=job.id, thread_id=job.thread, user=user, turn=job.turn, call_id=call.id, locale=each
                )
                for each in context.locales
            )  # fmt: skip
        await self._record(job, *emitted, self._result(call, content, error=error, latency_us=took))
        return None

    def _limit_s(self, job: JobRecord, tool: Tool) -> float:
        return tool.timeout_s or self._policies[job.agent].tool_timeout_s or self._settings.tool_timeout_s

    async def _timed(self, call: _Call, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Raises: TimeoutError past the tool's time; the tool's own counts as any error of it."""
        deadline = asyncio.timeout(self._limit_s(call.job, call.tool))
        try:
            async with deadline:
                return await call.tool.call(arguments, context)
        except TimeoutError:
            if deadline.expired():
                raise
            raise ToolError(f"{call.tool.name} failed: TimeoutError") from None

    def _cut_off(self, call: _Call, why: str) -> CutOff:
        unknown = self._result(call, _NOT_KNOWN, error=True).model_copy(update={"unknown": True})
        return CutOff(call.tool.name, call.id, why, unknown)

    def _result(self, call: _Call, content: str, *, error: bool, latency_us: int = 0) -> ToolReturned:
        block = {"id": call.id, "name": call.tool.name, "input": call.given}
        if call.approved is None:
            return returned(call.job, block, content, error=error, latency_us=latency_us)
        note = note_of(call.approved, content, error=error)
        key = str(call.approved["key"])
        return returned(call.job, block, note, error=error, latency_us=latency_us, settled=key)

    async def _returned(
        self, job: JobRecord, block: Mapping[str, Any], content: str, *, error: bool = False, settled: str = ""
    ) -> None:
        await self._record(job, returned(job, block, content, error=error, settled=settled))


def _key(job_id: str, turn: int, call_id: str) -> str:
    """The idempotency key. The turn is in it because some servers number their calls anew in each answer."""
    return hashlib.sha256(f"{job_id}\n{turn}\n{call_id}".encode()).hexdigest()

"""Subjobs: an agent hands a task to another by a tool call, and has the other's result for the call's.

The child is a job like any other: durable, in a thread of its own that the user does not see, run by the same worker.
While it works, its parent's turn waits and takes no slot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fleet.agents.agent import DISPATCH_TOOL
from fleet.agents.catalog import Catalog
from fleet.agents.policy import Policy
from fleet.clock import now_us
from fleet.errors import ToolError
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.graph.subjobs import chain_of, subjobs_of
from fleet.ledger.base import Draft
from fleet.ledger.events import SubjobStarted, ToolReturned
from fleet.ledger.storable import storable
from fleet.workers.budget import breach_of
from fleet.workers.recorded import returned

__all__ = ["Subjobs"]

_ABOUT = (
    "Hand a task to another agent and get its result. It knows nothing of this conversation: say in task what it is to "
    "do, in context what it has to know. Several calls in one answer run side by side. The agents:"
)
_NAMED = 80  # characters of the task that name the child's thread

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str = Field(description="The agent's id")
    task: Text = Field(description="What it is to do, complete in itself")
    context: str = Field("", description="What it has to know for that")
    wait: bool = Field(True, description="false: go on at once, without its result")  # noqa: FBT003


class Subjobs:
    """Starts children and reads what became of them. `blocks` has the tool of each role that may use it.

    `write` appends a draft and returns once it is applied.
    """

    def __init__(self, catalog: Catalog, root: LivingRoot, write: Callable[[Draft], Awaitable[Any]],
                 policies: Mapping[str, Policy]) -> None:  # fmt: skip
        self._root, self._write, self._policies = root, write, policies
        self._may = {role: agent.may_dispatch for role, agent in catalog.app.agents.items() if agent.may_dispatch}
        self.blocks = {role: _block(catalog, others) for role, others in self._may.items()}

    async def call(self, job: JobRecord, block: Mapping[str, Any]) -> ToolReturned | None:
        """The result of the model's call, if there is one by now; else its child is started. Raises: ToolError."""
        call_id = str(block["id"])
        known = next((each for each in subjobs_of(job) if each["call_id"] == call_id), None)
        if known is None:
            await self._start(job, call_id, self._bind(job, block["input"]))
            return None
        told = {"agent": known["agent"], "job_id": known["job"]}
        if not known["wait"]:
            told["result"] = "started; its result is not reported here"
            return returned(job, block, json.dumps(told, ensure_ascii=False))
        told |= {name: known[name] for name in ("result", "reply", "reason") if known[name]}
        took = known["ended_at"] - known["at"]
        failed = known["result"] == "failed"
        return returned(job, block, json.dumps(told, ensure_ascii=False), error=failed, latency_us=took)

    def _bind(self, job: JobRecord, given: Mapping[str, Any]) -> _Arguments:
        """The call's arguments, if it may be made. Raises: ToolError with why not."""
        try:
            asked = _Arguments.model_validate(dict(given))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise ToolError(f"{DISPATCH_TOOL} was not run: {wrong}") from None
        others, policy = self._may[job.agent], self._policies[job.agent]
        chain = chain_of(self._root, job)
        if asked.agent not in others:
            raise ToolError(f"this agent cannot be given a task; those that can are {', '.join(others)}")
        if asked.agent in chain:
            raise ToolError(
                f"{asked.agent} waits for this very task ({' → '.join(chain)}); it cannot be given it again"
            )
        if policy.subjob_depth is not None and len(chain) > policy.subjob_depth:
            raise ToolError(
                f"the task was handed down {len(chain) - 1} times ({' → '.join(chain)}), the most there may be"
            )
        if policy.turn_subjobs is not None and job.turn_subjobs >= policy.turn_subjobs:
            raise ToolError(f"this turn has handed out {job.turn_subjobs} tasks, the most that it may")
        if self._root.task_agents[asked.agent].paused:
            raise ToolError(f"{asked.agent} is paused and takes no tasks now")
        if breach := breach_of(policy, job, self._root.users[self._root.threads[job.thread].user], now_us()):
            raise ToolError(f"no task can be handed out any more: {breach.reason}")
        return asked

    async def _start(self, job: JobRecord, call_id: str, asked: _Arguments) -> None:
        """Make the child durable. The same call of the same turn is the same child, however often it is tried."""
        seed = f"{job.id}\n{job.turn}\n{call_id}\n{job.turn_subjobs}"
        name = hashlib.sha256(seed.encode()).hexdigest()[:16]
        user = self._root.threads[job.thread].user
        tokens, usd = self._left(job)
        started = SubjobStarted(
            job_id=f"job_{name}",
            parent=job.id,
            turn=job.turn,
            call_id=call_id,
            thread_id=f"thr_{name}",
            user=user,
            agent=asked.agent,
            name=" ".join(storable(asked.task).split())[:_NAMED],
            message_id=f"sub_{name}",
            text=storable(f"{asked.task}\n\nContext:\n{asked.context}" if asked.context.strip() else asked.task),
            wait=asked.wait,
            most_tokens=tokens,
            most_usd=usd,
        )
        await self._write(Draft(f"job:{started.job_id}", 0, (started,), user))

    def _left(self, job: JobRecord) -> tuple[int, float]:
        """Tokens and US dollars that the parent may still use, and its child with it; 0 for no word on it."""
        policy = self._policies[job.agent]
        tokens = [
            most - used
            for most, used in (
                (policy.turn_tokens, job.turn_tokens),
                (policy.job_tokens, job.tokens),
                (job.most_tokens or None, job.tokens),
            )
            if most is not None
        ]
        spent = [
            round(most * 1_000_000) - used
            for most, used in (
                (policy.turn_usd, job.turn_spent),
                (policy.job_usd, job.spent),
                (job.most_spent / 1_000_000 or None, job.spent),
            )
            if most is not None
        ]
        return min(tokens, default=0), min(spent, default=0) / 1_000_000


def _block(catalog: Catalog, others: tuple[str, ...]) -> Mapping[str, Any]:
    """The tool as the Messages API declares it, with the agents that this one may hand tasks to."""
    schema = _Arguments.model_json_schema()
    schema.pop("title", None)
    for part in schema["properties"].values():
        part.pop("title", None)
    schema["properties"]["agent"]["enum"] = list(others)
    listed = (f"- {role}: {catalog.roles[role].description or 'No description'}" for role in others)
    text = "\n".join((_ABOUT, *listed, "Effect: read."))  # what the other does is guarded where it does it
    return {"name": DISPATCH_TOOL, "description": text, "input_schema": schema}

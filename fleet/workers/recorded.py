"""What one step of a turn is on record as, and whether it is to be broken off."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.graph.records import JobRecord
from fleet.ledger.events import ModelAnswered, ToolReturned
from fleet.llm.base import Answer
from fleet.llm.prices import cost_usd

__all__ = ["answered_by", "is_cancelled", "last_answer", "returned", "with_own_ids"]

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # what the Messages API takes back


def last_answer(job: JobRecord) -> list[Mapping[str, Any]]:
    """The blocks of the model's newest answer in a job's conversation."""
    for entry in reversed(list(job.tail)):
        message = json.loads(entry)
        if message["role"] == "assistant":
            return list(message["content"])
    return []


def with_own_ids(job: JobRecord, content: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """A model's blocks with an id of its own for each call of the conversation.

    Some servers number their calls anew in each answer, and a model's server may say anything: two calls of one id
    would be taken for one, with one result, one approval and one idempotency key.
    """
    if not any(block["type"] == "tool_use" for block in content):
        return tuple(content)
    known = {
        block["id"]
        for entry in map(json.loads, job.tail) if entry["role"] == "assistant"
        for block in entry["content"] if block["type"] == "tool_use"
    }  # fmt: skip
    found: list[Mapping[str, Any]] = []
    for place, block in enumerate(content):
        if block["type"] == "tool_use":
            call_id = str(block["id"])
            if call_id in known or not _CALL_ID.fullmatch(call_id):
                call_id = f"call_{job.turn}_{job.turn_steps}_{place}"
            while call_id in known:
                call_id += "_"
            known.add(call_id)
            block = {**block, "id": call_id}
        found.append(block)
    return tuple(found)


def answered_by(job: JobRecord, answer: Answer, latency_us: int) -> ModelAnswered:
    """A model's answer in the open turn of a job."""
    usage = answer.usage
    return ModelAnswered(
        job_id=job.id,
        turn=job.turn,
        content=tuple(dict(block) for block in answer.content),
        stop_reason=answer.stop_reason,
        model=answer.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=cost_usd(answer.model, usage),
        latency_us=latency_us,
    )


def returned(
    job: JobRecord,
    block: Mapping[str, Any],
    content: str,
    *,
    error: bool = False,
    latency_us: int = 0,
    settled: str = "",
) -> ToolReturned:
    """A tool's result in the open turn of a job; `block` is the call that asked for it."""
    return ToolReturned(
        job_id=job.id,
        turn=job.turn,
        call_id=str(block["id"]),
        tool=str(block["name"]),
        arguments=dict(block["input"]),
        content=content,
        error=error,
        latency_us=latency_us,
        settled=settled,
    )


def is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

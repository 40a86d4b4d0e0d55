"""The end of a job's conversation: what is said in it, and the calls that have no result yet."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from fleet.graph.living import LivingRoot
from fleet.graph.records import TAIL_KEPT, JobRecord

__all__ = ["job_of", "not_run", "result", "say", "unanswered_calls"]


def unanswered_calls(job: JobRecord) -> list[str]:
    """The ids of the tool calls at the conversation's end that have no result yet, in order."""
    calls: list[str] = []
    done: set[str] = set()
    for entry in list(job.tail)[-2:]:
        message = from_json(entry)
        if isinstance(message["content"], str):
            calls = []
            continue
        kinds = [(block["type"], block) for block in message["content"]]
        if message["role"] == "assistant":
            calls, done = [block["id"] for kind, block in kinds if kind == "tool_use"], set()
        else:
            done |= {block["tool_use_id"] for kind, block in kinds if kind == "tool_result"}
    return [call for call in calls if call not in done]


def not_run(job: JobRecord) -> None:
    """Give every call without a result one that says so: the API takes no call without its result."""
    for call_id in unanswered_calls(job):
        result(job, call_id, "Not run: the turn ended before.", error=True)


def result(job: JobRecord, call_id: str, content: str, *, error: bool) -> None:
    """A call's result, as the conversation holds it."""
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    if error:
        block["is_error"] = True
    last = from_json(job.tail[-1])
    if last["role"] == "user" and not isinstance(last["content"], str):
        last["content"].append(block)
        job.tail.pop()
        say(job, last)
    else:
        say(job, {"role": "user", "content": [block]})


def say(job: JobRecord, message: dict[str, Any]) -> None:
    """Add a message to the conversation, which keeps its end."""
    job.tail.append(to_json(message).decode())
    if len(job.tail) > 2 * TAIL_KEPT:
        job.tail = list(job.tail)[-TAIL_KEPT:]


def job_of(root: LivingRoot, job_id: str) -> JobRecord:
    """The job of that id."""
    return root.jobs[job_id]

"""A job that is a step of a workflow: whether it still is, and what comes after it."""

from __future__ import annotations

import json
from typing import Any

from fleet.graph.records import JobRecord

__all__ = ["begin_step", "end_step", "next_step", "reopen_step"]


def begin_step(job: JobRecord, message_id: str, then: str) -> None:
    """The job is the step that begins with this message; with its good end the message `then` follows."""
    _keep(job, {"message": message_id, "then": then, "open": True})


def end_step(job: JobRecord, message_id: str = "") -> None:
    """Whatever the job does from here on is no part of a workflow; with a message's id only of that one's."""
    _open(job, message_id, is_open=False)


def reopen_step(job: JobRecord, message_id: str) -> None:
    """The message was put back after the step had failed."""
    _open(job, message_id, is_open=True)


def next_step(job: JobRecord) -> str:
    """The id of the message that follows when the job's turn ends well; "" where none does."""
    step = json.loads(job.step) if job.step else {"open": False}
    return str(step["then"]) if step["open"] else ""


def _open(job: JobRecord, message_id: str, *, is_open: bool) -> None:
    if job.step:
        step = json.loads(job.step)
        if not message_id or step["message"] == message_id:
            _keep(job, {**step, "open": is_open})


def _keep(job: JobRecord, step: dict[str, Any]) -> None:
    job.step = json.dumps(step, ensure_ascii=False)

"""What a person who takes a thread over does to its job: turns stand back, and what the person says waits for one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.graph.reminders import put_back
from fleet.graph.subjobs import called_off
from fleet.graph.tail import job_of, not_run, say
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["PERSONS"]

_STOOD_BACK = "(No answer: a colleague has taken over.)"


def _taken_over(root: LivingRoot, stored: Stored, event: ev.ThreadTakenOver) -> None:
    job = job_of(root, event.job_id)
    job.taken_over, job.takeovers = event.by, stored.version


def _released(root: LivingRoot, stored: Stored, event: ev.ThreadReleased) -> None:
    job = job_of(root, event.job_id)
    job.taken_over, job.takeovers = "", stored.version


def _replied(root: LivingRoot, stored: Stored, event: ev.PersonReplied) -> None:
    job = job_of(root, event.job_id)
    job.takeovers = stored.version
    said = json.loads(job.said)
    known = {each for other in said for each in other["answers"]}
    answers = [each for each in _unanswered(job) if each not in known]
    said.append({"key": event.key, "by": event.by, "text": event.text, "answers": answers})
    job.said = json.dumps(said, ensure_ascii=False)


def _unanswered(job: JobRecord) -> list[str]:
    return [*list(job.turn_ids), *(json.loads(entry)["id"] for entry in list(job.waiting))]


def _set_aside(root: LivingRoot, stored: Stored, event: ev.TurnSetAside) -> None:
    job = job_of(root, event.job_id)
    not_run(job)
    last = json.loads(job.tail[-1])
    if last["role"] == "assistant":  # what the model would have said; nobody has heard it
        job.tail.pop()
        last = json.loads(job.tail[-1])
    if last["role"] == "user" and isinstance(last["content"], str):  # nothing has come of it: it is said again later
        job.tail.pop()
    elif last["role"] == "user":
        say(job, {"role": "assistant", "content": [{"type": "text", "text": _STOOD_BACK}]})
    again = [
        json.dumps({"id": each, "text": text}, ensure_ascii=False)
        for each, text in zip(event.message_ids, event.texts, strict=True)
    ]
    job.waiting = [*again, *list(job.waiting)]
    job.cancelled = [entry for entry in job.cancelled if json.loads(entry)["id"]]
    called_off(root, job, event.subjobs)
    put_back(job)
    job.open = False
    job.turn_ids = []
    job.turn_settled = "[]"
    job.intended = []
    job.status = "waiting"
    root.threads[event.thread_id].latest_activity_at = stored.at


PERSONS: Mapping[type[ev.Event], Callable[[LivingRoot, Stored, Any], None]] = {
    ev.ThreadTakenOver: _taken_over,
    ev.PersonReplied: _replied,
    ev.ThreadReleased: _released,
    ev.TurnSetAside: _set_aside,
}

"""What the events of subjobs do to the records: a child job with its thread, and what its parent knows of it.

The parent's record lists the children of its open turn, until their calls have a result. A child's thread is its
user's and never a candidate: it is in no list of recent threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord, ThreadRecord
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["SUBJOBS", "answered", "called_off", "chain_of", "ended", "subjobs_of", "waited_for"]


def subjobs_of(job: JobRecord) -> list[dict[str, Any]]:
    """The children that the open turn has started and whose calls have no result on record yet, in order.

    Each has `job`, `agent`, `call_id`, `wait`, `at`; one that has ended `result`, `reply`, `reason`, `ended_at` too.
    """
    return json.loads(job.subjobs) if job.subjobs != "[]" else []


def waited_for(job: JobRecord) -> list[dict[str, Any]]:
    """Those that the turn waits for."""
    return [each for each in subjobs_of(job) if each["wait"] and "result" not in each]


def chain_of(root: LivingRoot, job: JobRecord) -> tuple[str, ...]:
    """The agents that handed this job's task down, the first one first, and the job's own."""
    chain = [job.agent]
    while job.parent:
        job = root.jobs[job.parent]
        chain.append(job.agent)
    return tuple(reversed(chain))


def _started(root: LivingRoot, stored: Stored, event: ev.SubjobStarted) -> None:
    parent = root.jobs[event.parent]
    above = root.threads[parent.thread]
    language, at = above.language, stored.at
    thread = root.new(
        ThreadRecord, event.thread_id, event.user, event.agent, event.job_id, event.name, language, at, at
    )
    thread.parent = event.parent
    thread.locale, thread.locale_set = above.locale, above.locale_set
    thread.messages = 1
    root.threads[thread.id] = thread
    job = root.new(JobRecord, event.job_id, thread.id, event.agent, None)
    job.parent = event.parent
    job.metadata = parent.metadata
    job.most_tokens, job.most_spent = event.most_tokens, round(event.most_usd * 1_000_000)
    job.waiting.append(json.dumps({"id": event.message_id, "text": event.text}, ensure_ascii=False))
    root.jobs[job.id] = job
    if event.wait and not waited_for(parent):
        parent.waits_since = stored.at
    known = {"job": job.id, "agent": event.agent, "call_id": event.call_id, "wait": event.wait, "at": stored.at}
    _keep(parent, [*subjobs_of(parent), known])
    parent.turn_subjobs += 1


def ended(root: LivingRoot, stored: Stored, event: ev.TurnEnded) -> None:
    """A child's first turn is its result."""
    job = root.jobs[event.job_id]
    if not job.parent:
        return
    parent = root.jobs[job.parent]
    known = subjobs_of(parent)
    found = next((each for each in known if each["job"] == job.id and each["wait"] and "result" not in each), None)
    if found is None:
        return
    found |= {"result": event.result, "reply": event.reply, "reason": event.reason, "ended_at": stored.at}
    _keep(parent, known)
    parent.turn_tokens += job.tokens
    parent.turn_spent += job.spent
    parent.tokens += job.tokens
    parent.spent += job.spent
    if not waited_for(parent):  # a turn's time is its own, not that of those it waited for
        parent.turn_at += stored.at - parent.waits_since


def called_off(root: LivingRoot, job: JobRecord, subjobs: Sequence[str]) -> None:
    """A job's turn ends without the results of these children."""
    for job_id in subjobs:
        child = root.jobs[job_id]
        for entry in [*child.turn_ids, *(json.loads(each)["id"] for each in child.waiting)]:
            off = {"id": entry, "reason": f"called off: the turn of {job.id} that waited for it has ended"}
            child.cancelled.append(json.dumps(off))
    job.subjobs = "[]"


def answered(job: JobRecord, call_id: str) -> None:
    """The call that started a child has its result."""
    if job.subjobs != "[]":
        _keep(job, [each for each in subjobs_of(job) if each["call_id"] != call_id])


def _keep(job: JobRecord, subjobs: list[dict[str, Any]]) -> None:
    job.subjobs = json.dumps(subjobs, ensure_ascii=False)


SUBJOBS: Mapping[type[ev.Event], Callable[[LivingRoot, Stored, Any], None]] = {ev.SubjobStarted: _started}

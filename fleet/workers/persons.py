"""A person in the place of the model: how a turn stands back, and one that gives the user their words."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fleet.graph.records import JobRecord, ThreadRecord
from fleet.graph.steps import next_step
from fleet.graph.subjobs import waited_for
from fleet.graph.tail import unanswered_calls
from fleet.ledger.events import Event, TurnEnded, TurnResult, TurnSetAside, TurnStarted
from fleet.workers.conversation import ends_in_question
from fleet.workers.ending import reply_id_of, waiting_ids

__all__ = ["set_aside", "spoken"]


def set_aside(job: JobRecord, thread: ThreadRecord, texts: Sequence[str]) -> TurnSetAside:
    """The end of the open turn without an answer; `texts` are those of its messages, which wait again."""
    by = job.taken_over or json.loads(job.said)[0]["by"]
    last = json.loads(job.tail[-1])
    withheld = [block for block in last["content"] if block["type"] == "text"] if last["role"] == "assistant" else []
    return TurnSetAside(
        job_id=job.id,
        thread_id=thread.id,
        user=thread.user,
        turn=job.turn,
        by=by,
        message_ids=tuple(job.turn_ids),
        texts=tuple(texts),
        settled=tuple(json.loads(job.turn_settled)),
        subjobs=tuple(each["job"] for each in waited_for(job)),
        withheld="".join(block["text"] for block in withheld if not unanswered_calls(job)),
    )


def spoken(job: JobRecord, thread: ThreadRecord, *, deliver: bool) -> tuple[Event, ...]:
    """A turn without a model, for the first thing that a person has said and that no turn has given to the user.

    In a step of a workflow it is the step's result too, if nothing else waits for an answer.
    """
    said, waiting = json.loads(job.said)[0], waiting_ids(job)
    turn, ids = job.turn + 1, tuple(each for each in waiting if each in said["answers"])
    result: TurnResult = "need_input" if ends_in_question(said["text"]) else "success"
    started = TurnStarted(job_id=job.id, thread_id=thread.id, turn=turn, message_ids=ids, by=said["by"])
    ended = TurnEnded(
        job_id=job.id,
        thread_id=thread.id,
        user=thread.user,
        turn=turn,
        message_ids=ids,
        result=result,
        reply_id=reply_id_of(job, turn),
        reply=said["text"],
        deliver=deliver,
        settled=(said["key"],),
        by=said["by"],
        then=next_step(job) if result == "success" and ids == waiting else "",
    )
    return (started, ended)

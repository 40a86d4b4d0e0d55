"""How a turn ends: the event, whoever ends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleet.agents.words import Words
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord, ThreadRecord
from fleet.graph.reminders import due_reminders, only_reminded, taken_up
from fleet.graph.steps import next_step
from fleet.graph.subjobs import waited_for
from fleet.ledger.events import Event, TurnEnded, TurnResult, TurnStarted
from fleet.workers.confirm import words_for
from fleet.workers.conversation import ends_in_question
from fleet.workers.locales import locale_of
from fleet.workers.recorded import last_answer

__all__ = ["Endings", "given_up", "reply_id_of", "turn_ended", "waiting_ids"]


def turn_ended(
    job: JobRecord, thread: ThreadRecord, result: TurnResult, reply: str, *, deliver: bool, reason: str = ""
) -> TurnEnded:
    """The end of the job's open turn. `reason` says why it was blocked or failed.

    What a workflow's step before the last came to goes on to the next one, a child's to its parent: not to the user. A
    turn that a reminder alone began is no step's.
    """
    then = next_step(job) if result == "success" and not only_reminded(job) else ""
    return TurnEnded(
        job_id=job.id,
        thread_id=thread.id,
        user=thread.user,
        turn=job.turn,
        message_ids=tuple(job.turn_ids),
        result=result,
        reply_id=reply_id_of(job, job.turn),
        reply=reply,
        deliver=deliver and not then and not job.parent,
        then=then,
        reason=reason,
        settled=(*json.loads(job.turn_settled), *(each["id"] for each in taken_up(job))),
        subjobs=tuple(each["job"] for each in waited_for(job)),
    )


def given_up(
    job: JobRecord, thread: ThreadRecord, reason: str, reply: str = "", *, deliver: bool = False, remind: bool = False
) -> tuple[Event, ...]:
    """The failed end of a turn that goes nowhere; one that has not begun begins with it, so that it can be answered.

    What is due goes with it, unless the job is still to `remind`.
    """
    reminded = () if remind else tuple(each["id"] for each in due_reminders(job))
    settled = (*(each["key"] for each in json.loads(job.settled)), *reminded)
    if job.open:
        ended = turn_ended(job, thread, "failed", reply, deliver=deliver, reason=reason)
        return (ended.model_copy(update={"settled": (*ended.settled, *settled)}),)
    ids, turn = waiting_ids(job), job.turn + 1
    started = TurnStarted(job_id=job.id, thread_id=thread.id, turn=turn, message_ids=ids, reminders=reminded)
    ended = TurnEnded(
        job_id=job.id, thread_id=thread.id, user=thread.user, turn=turn, message_ids=ids, result="failed",
        reply_id=reply_id_of(job, turn), reply=reply, deliver=deliver and not job.parent, reason=reason,
        settled=settled,
    )  # fmt: skip
    return (started, ended)


def waiting_ids(job: JobRecord) -> tuple[str, ...]:
    """The ids of the messages that no turn has taken up yet, in order."""
    return tuple(json.loads(entry)["id"] for entry in list(job.waiting))


def reply_id_of(job: JobRecord, turn: int) -> str:
    """The id of the reply that a turn of the job ends with."""
    return f"rep_{job.id.removeprefix('job_')}.{turn}"


class Endings:
    """The ends of open turns, in their threads' words. `delivers` maps a role to whether its replies go anywhere."""

    def __init__(self, root: LivingRoot, words: Words, delivers: Mapping[str, bool]) -> None:
        self._root, self._words, self._delivers = root, words, delivers

    def say(self, job: JobRecord, name: str, **values: Any) -> str:
        """Fixed words in the locale of the job's thread."""
        return self._words.say(name, locale_of(self._root.threads[job.thread]), **values)

    def end(self, job: JobRecord, result: TurnResult, reply: str, reason: str = "") -> TurnEnded:
        """The end of the job's open turn."""
        thread, deliver = self._root.threads[job.thread], self._delivers.get(job.agent, False)
        return turn_ended(job, thread, result, reply, deliver=deliver, reason=reason)

    def asking(self, job: JobRecord, questions: list[dict[str, Any]]) -> TurnEnded:
        """The end of a turn with calls that wait for approval: the model's words, then what is asked."""
        told = "".join(block["text"] for block in last_answer(job) if block.get("type") == "text").strip()
        waits = ", ".join(each["key"] for each in questions)
        asks = tuple(each["key"] for each in questions if each["approver"] == "user")
        asked = words_for(questions, self._words, locale_of(self._root.threads[job.thread]))
        reply = "\n\n".join(filter(None, (told, asked)))
        ended = self.end(job, "need_input" if asks else "blocked", reply, f"waits for approval: {waits}")
        return ended.model_copy(update={"asks": asks, "waits_for": "" if asks else "approval"})

    def closing(self, job: JobRecord, content: Any, stop_reason: str) -> TurnEnded:
        """How a turn ends on the model's last answer."""
        text = "".join(block["text"] for block in content if block["type"] == "text").strip()
        if stop_reason == "refusal":
            return self.end(job, "blocked", text or self.say(job, "declined"), "the model refused")
        if stop_reason == "max_tokens":
            return self.end(job, "failed", text or self.say(job, "no_answer"), "the answer was cut off at max_tokens")
        if not text:
            return self.end(job, "failed", self.say(job, "no_answer"), "the model ended without a text")
        return self.end(job, "need_input" if ends_in_question(text) else "success", text)

"""What the events of a job's turns do to its records: the conversation, its calls, what people say about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from fleet.graph.living import LivingRoot
from fleet.graph.recent import touch
from fleet.graph.records import DAY_US, JobRecord, UserRecord
from fleet.graph.reminders import drop, only_reminded, take_up
from fleet.graph.steps import end_step
from fleet.graph.subjobs import SUBJOBS, answered, called_off, ended, waited_for
from fleet.graph.tail import job_of, not_run, result, say, unanswered_calls
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["TURNS", "has_work", "use", "waits"]

_KEPT_OF_RESOLVED = {"call_id", "tool", "took_effect", "note", "by"}
_KEPT_OF_ASKED = {"turn", "call_id", "tool", "arguments", "arguments_hash", "question", "approver", "expires_at"}


def _handed_over(root: LivingRoot, stored: Stored, event: ev.JobHandedOver) -> None:
    job = job_of(root, event.job_id)
    job.agent = event.agent
    job.default_example_id = None


def _turn_started(root: LivingRoot, stored: Stored, event: ev.TurnStarted) -> None:
    job = job_of(root, event.job_id)
    waiting = [(entry, from_json(entry)) for entry in job.waiting]
    job.waiting = [entry for entry, message in waiting if message["id"] not in event.message_ids]
    text = "\n".join(message["text"] for _, message in waiting if message["id"] in event.message_ids)
    if event.locale:
        root.threads[event.thread_id].locale = event.locale
    due = take_up(job, event.reminders)
    if event.message_ids or not event.by:
        entry: dict[str, Any] = {"role": "user", "content": text, "turn": event.turn}
        if not event.message_ids:
            entry["no_message"] = True
        if due:
            entry["due"] = due
        say(job, entry)
    job.open = True
    job.turn = event.turn
    job.turn_at = job.turn_began = stored.at
    job.turn_tokens = job.turn_spent = 0
    job.turn_subjobs = 0
    job.turn_ids = list(event.message_ids)
    job.turn_transcript = event.transcript
    job.turn_steps = 0
    job.stop_reason = ""
    job.status = "working"


def _answered(root: LivingRoot, stored: Stored, event: ev.ModelAnswered) -> None:
    job = job_of(root, event.job_id)
    job.turn_steps += 1
    job.stop_reason = event.stop_reason
    if event.content:
        say(job, {"role": "assistant", "content": list(event.content)})
    tokens, spent = _used(root, stored, job, event)
    job.turn_tokens += tokens
    job.turn_spent += spent


def _compacted(root: LivingRoot, stored: Stored, event: ev.HistoryCompacted) -> None:
    job = job_of(root, event.job_id)
    tail = list(job.tail)
    left = (at for at, entry in enumerate(tail) if json.loads(entry).get("turn", 0) > event.last_turn)
    job.tail = tail[next(left, 0) :]
    job.recap, job.recap_turn = event.recap, event.last_turn
    _used(root, stored, job, event)


def _used(
    root: LivingRoot, stored: Stored, job: JobRecord, event: ev.ModelAnswered | ev.HistoryCompacted
) -> tuple[int, int]:
    """Count what a model call has used for the job and its user: tokens, and millionths of a US dollar."""
    tokens = event.input_tokens + event.output_tokens + event.cache_read_tokens + event.cache_write_tokens
    spent = round(event.cost_usd * 1_000_000)
    job.tokens += tokens
    job.spent += spent
    use(root.users[stored.user], stored.at, tokens, spent)
    return tokens, spent


def use(user: UserRecord, at: int, tokens: int, spent: int) -> None:
    """Count what a model call for the user has used; `spent` in millionths of a US dollar."""
    day = at // DAY_US
    if user.day != day:
        user.day, user.day_tokens, user.day_spent = day, 0, 0
    user.day_tokens += tokens
    user.day_spent += spent


def _intended(root: LivingRoot, stored: Stored, event: ev.ToolIntended) -> None:
    job_of(root, event.job_id).intended.append(event.call_id)


def _returned(root: LivingRoot, stored: Stored, event: ev.ToolReturned) -> None:
    job = job_of(root, event.job_id)
    job.turn_steps += 1
    if len(job.intended):
        job.intended = [call_id for call_id in job.intended if call_id != event.call_id]
    if not event.settled:
        answered(job, event.call_id)
        result(job, event.call_id, event.content, error=event.error)
        return
    say(job, {"role": "user", "content": [{"type": "text", "text": event.content}]})
    job.settled = json.dumps([each for each in json.loads(job.settled) if each["key"] != event.settled])
    job.turn_settled = json.dumps([*json.loads(job.turn_settled), event.settled])


def _locale(root: LivingRoot, stored: Stored, event: ev.LocaleSet) -> None:
    thread = root.threads[event.thread_id]
    thread.locale, thread.locale_set = event.locale, bool(event.locale)


def _asked(root: LivingRoot, stored: Stored, event: ev.ConfirmationAsked) -> None:
    job = job_of(root, event.job_id)
    asked = {"key": event.confirm_id, "agent": job.agent, **event.model_dump(mode="json", include=_KEPT_OF_ASKED)}
    job.pending = json.dumps([*json.loads(job.pending), asked], ensure_ascii=False)


def _settled(root: LivingRoot, stored: Stored, event: ev.ConfirmationSettled) -> None:
    job = job_of(root, event.job_id)
    pending = json.loads(job.pending)
    found = next((each for each in pending if each["key"] == event.confirm_id), None)
    if found is None:
        return
    job.pending = json.dumps([each for each in pending if each is not found], ensure_ascii=False)
    said = {**found, "verdict": event.verdict, "by": event.by}
    job.settled = json.dumps([*json.loads(job.settled), said], ensure_ascii=False)


def _resolved(root: LivingRoot, stored: Stored, event: ev.CallResolved) -> None:
    job = job_of(root, event.job_id)
    said = {"key": event.key, "verdict": "resolved", **event.model_dump(include=_KEPT_OF_RESOLVED)}
    job.settled = json.dumps([*json.loads(job.settled), said], ensure_ascii=False)


def _cancelled(root: LivingRoot, stored: Stored, event: ev.DispatchCancelled) -> None:
    job = job_of(root, event.job_id)
    open_ids = [*job.turn_ids, *(json.loads(entry)["id"] for entry in job.waiting)]
    if event.message_id in open_ids:
        _call_off(job, event.message_id, event.reason)
    else:  # its turn asked something, and waits for the user
        end_step(job, event.message_id)


def _job_cancelled(root: LivingRoot, stored: Stored, event: ev.JobCancelled) -> None:
    job = job_of(root, event.job_id)
    if job.open and not len(job.turn_ids):  # a turn that no message began
        _call_off(job, "", event.reason)
    for message_id in [*job.turn_ids, *(json.loads(entry)["id"] for entry in job.waiting)]:
        _call_off(job, message_id, event.reason)
    drop(job, event.reminders)


def _call_off(job: JobRecord, message_id: str, reason: str) -> None:
    if not any(json.loads(entry)["id"] == message_id for entry in job.cancelled):
        job.cancelled.append(json.dumps({"id": message_id, "reason": reason}, ensure_ascii=False))


def _turn_ended(root: LivingRoot, stored: Stored, event: ev.TurnEnded) -> None:
    job, thread = job_of(root, event.job_id), root.threads[event.thread_id]
    ended(root, stored, event)
    if len(job.cancelled):
        over = event.message_ids or ("",)
        job.cancelled = [entry for entry in job.cancelled if json.loads(entry)["id"] not in over]
        taken_up = any(each in event.message_ids for each in list(job.turn_ids))
        if event.message_ids and not taken_up:  # called off before a turn did
            job.waiting = [entry for entry in job.waiting if json.loads(entry)["id"] not in event.message_ids]
            for message_id in event.message_ids:
                end_step(job, message_id)
            if not job.open:
                job.status = event.result
                thread.status = "working" if len(job.waiting) else event.result
            return
    not_run(job)
    last = from_json(job.tail[-1]) if len(job.tail) else {"role": "user"}
    told = {"type": "text", "text": event.reply}
    if event.reply and last["role"] != "assistant":
        say(job, {"role": "assistant", "content": [told]})
    elif event.by:  # unasked, after what was said last
        job.tail.pop()
        say(job, {"role": "assistant", "content": [*last["content"], told]})
    job.open = False
    if event.then or not (event.result == "need_input" or event.waits_for or event.by or only_reminded(job)):
        end_step(job)
    called_off(root, job, event.subjobs)
    job.turn_settled = job.turn_due = "[]"
    if event.asks:
        put = {"put": stored.seq}
        pending = [{**each, **(put if each["key"] in event.asks else {})} for each in json.loads(job.pending)]
        job.pending = json.dumps(pending, ensure_ascii=False)
    if event.settled:
        drop(job, event.settled)
        job.settled = json.dumps([each for each in json.loads(job.settled) if each["key"] not in event.settled])
    if event.by:
        job.said = json.dumps([each for each in json.loads(job.said) if each["key"] not in event.settled])
    job.status = event.result
    job.turn_ids = []
    job.intended = []
    thread.latest_activity_at = stored.at
    if event.reply:
        thread.last_assistant_message = event.reply
    if event.summary:
        thread.summary = event.summary
    thread.status = "working" if len(job.waiting) else event.result
    if not job.parent:
        touch(root.users[event.user], thread.id)


def has_work(job: JobRecord) -> bool:
    """Whether it has something to do: a turn that can go on, messages or reminders that wait, what a person has said.

    One whose thread a person has taken over ends its open turn, and gives the user what that person says.
    """
    if job.said != "[]":
        return True
    if job.open:
        return not waits(job)
    if len(job.cancelled):
        return True
    return not job.taken_over and bool(len(job.waiting) or job.settled != "[]" or job.due != "[]")


def waits(job: JobRecord) -> bool:
    """Whether the open turn can do nothing until a child has ended: all its unanswered calls wait for one."""
    if not job.open or job.subjobs == "[]" or job.taken_over or job.said != "[]" or len(job.cancelled):
        return False
    calls, waiting = unanswered_calls(job), {each["call_id"] for each in waited_for(job)}
    return bool(calls) and waiting.issuperset(calls)


TURNS: Mapping[type[ev.Event], Callable[[LivingRoot, Stored, Any], None]] = {
    **SUBJOBS,
    ev.DispatchCancelled: _cancelled,
    ev.JobCancelled: _job_cancelled,
    ev.TurnStarted: _turn_started,
    ev.JobHandedOver: _handed_over,
    ev.ModelAnswered: _answered,
    ev.ConfirmationAsked: _asked,
    ev.ConfirmationSettled: _settled,
    ev.CallResolved: _resolved,
    ev.ToolIntended: _intended,
    ev.ToolReturned: _returned,
    ev.LocaleSet: _locale,
    ev.HistoryCompacted: _compacted,
    ev.TurnEnded: _turn_ended,
}

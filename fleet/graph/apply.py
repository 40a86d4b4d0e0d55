"""apply(event): the one way in which the graph changes. No clock, no randomness, no I/O.

An event is applied once, in the order of the ledger. Whatever follows from an event alone is computed here, so that
a graph rebuilt from nothing is the same graph.

Durable lists take `append` and `pop()` only: measured on dbzero 0.7.0, `pop(0)` moves the last item to the front, and
`remove` and `in` do not find an ASCII str. Anything else builds a new list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from fleet.errors import GraphError
from fleet.graph.living import LivingRoot
from fleet.graph.records import (
    RECENT_KEPT,
    TAIL_KEPT,
    AgentRecord,
    JobRecord,
    ThreadRecord,
    UserRecord,
)
from fleet.graph.summary import extend_summary
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["AppReducers", "apply", "change", "newest_first", "recent_ids", "unanswered_calls"]

# Application event name → (its pydantic class's validator of stored data, the reducer).
AppReducers = Callable[[str], tuple[Callable[[dict[str, Any]], Any], Callable[[Any, Any], None]]]


def apply(root: LivingRoot, stored: Stored, reducer_of: AppReducers) -> None:
    """Bring the graph from just before `stored` to just after it.

    Raises: GraphError if the event is not the next one, or does not fit what came before.
    """
    if stored.seq != root.applied + 1:
        raise GraphError(f"event {stored.seq} cannot be applied: the graph stands at {root.applied}")
    event = stored.event
    if isinstance(event, ev.AppEventRecorded):
        read, reduce = reducer_of(event.name)
        reduce(root.state, read(event.data))
    else:
        change(root, stored)
    if stored.stream.startswith("job:") and not isinstance(event, ev.Erased):
        _job(root, stored.stream[4:]).version = stored.version
    root.applied = stored.seq


def change(root: LivingRoot, stored: Stored) -> None:
    """What one event of fleet's own vocabulary does to the records, wherever the graph stands."""
    _APPLY[type(stored.event)](root, stored, stored.event)


def _nothing(root: LivingRoot, stored: Stored, event: Any) -> None:
    """Events that the graph need not know of."""


def _declared(root: LivingRoot, stored: Stored, event: ev.AgentDeclared) -> None:
    if event.kind == "dispatcher":
        root.dispatcher.definition = event.definition
        return
    known = root.task_agents.get(event.role)
    if known is None:
        agent = root.new(AgentRecord, event.role, event.kind, event.description, event.definition)
        root.task_agents[event.role] = agent
        return
    known.kind = event.kind
    known.description = event.description
    known.definition = event.definition
    known.retired = False


def _retired(root: LivingRoot, stored: Stored, event: ev.AgentRetired) -> None:
    root.task_agents[event.role].retired = True


def _accepted(root: LivingRoot, stored: Stored, event: ev.MessageAccepted) -> None:
    user = root.users.get(event.user)
    if user is None:
        user = root.users[event.user] = root.new(UserRecord, event.user)
    user.messages += 1


def _forgotten(root: LivingRoot, stored: Stored, event: ev.UserForgotten) -> None:
    """Nothing of the user's came before this in a graph of what the ledger holds now: not even a thread's id."""
    user = root.users.get(event.user)
    if user is None:
        user = root.users[event.user] = root.new(UserRecord, event.user)
    elif user.messages:
        raise GraphError(f"the graph still holds what {event.user!r} said before event {stored.seq}; it is made again")
    user.forgotten = stored.seq


def _decided(root: LivingRoot, stored: Stored, event: ev.MessageDecided) -> None:
    decision = event.decision
    root.dispatcher.decided += 1
    if not decision.thread_id:
        return
    user = root.users[event.user]
    if decision.new_thread:
        thread = root.new(
            ThreadRecord,
            decision.thread_id,
            event.user,
            decision.agent,
            decision.job_id,
            decision.name,
            decision.language,
            stored.at,
        )
        root.threads[thread.id] = thread
        job = root.new(JobRecord, decision.job_id, thread.id, decision.agent, decision.default_example_id)
        root.jobs[job.id] = job
        user.threads += 1
        user.language = decision.language
        root.task_agents[decision.agent].threads += 1
    else:
        thread = root.threads[decision.thread_id]
        job = _job(root, thread.job)
    if decision.metadata:
        job.metadata = json.dumps(decision.metadata, ensure_ascii=False)
    thread.summary = extend_summary(thread.summary, thread.last_assistant_message, event.text)
    thread.latest_activity_at = stored.at
    thread.messages += 1
    _wait(thread, job, event.message_id, event.text)
    _touch(user, thread.id)


def _retried(root: LivingRoot, stored: Stored, event: ev.MessageRetried) -> None:
    if event.job_id:
        _wait(root.threads[event.thread_id], _job(root, event.job_id), event.message_id, event.text)


def _wait(thread: ThreadRecord, job: JobRecord, message_id: str, text: str) -> None:
    """Let a message wait for the job's next turn."""
    thread.status = "working"
    job.waiting.append(json.dumps({"id": message_id, "text": text}, ensure_ascii=False))


def _touch(user: UserRecord, thread_id: str) -> None:
    """Make the thread the user's most recent one: append, and now and then drop what is said twice."""
    recent = user.recent
    if len(recent) and recent[-1] == thread_id:
        return
    recent.append(thread_id)
    if len(recent) > 2 * RECENT_KEPT:
        user.recent = list(reversed(recent_ids(user, RECENT_KEPT)))


def recent_ids(user: UserRecord, count: int) -> list[str]:
    """The ids of the user's `count` most recent threads, newest first."""
    return list(islice(newest_first(user), count))


def newest_first(user: UserRecord) -> Iterator[str]:
    """The ids of the user's recent threads, newest first, each once; it reads no further than it is asked to."""
    seen: set[str] = set()
    recent = user.recent
    for index in range(len(recent) - 1, -1, -1):
        thread_id = recent[index]
        if thread_id not in seen:
            seen.add(thread_id)
            yield thread_id


def _turn_started(root: LivingRoot, stored: Stored, event: ev.TurnStarted) -> None:
    job = _job(root, event.job_id)
    waiting = [(entry, json.loads(entry)) for entry in job.waiting]
    job.waiting = [entry for entry, message in waiting if message["id"] not in event.message_ids]
    text = "\n".join(message["text"] for _, message in waiting if message["id"] in event.message_ids)
    _say(job, {"role": "user", "content": text})
    job.turn = event.turn
    job.turn_ids = list(event.message_ids)
    job.turn_transcript = event.transcript
    job.turn_steps = 0
    job.stop_reason = ""
    job.status = "working"


def _answered(root: LivingRoot, stored: Stored, event: ev.ModelAnswered) -> None:
    job = _job(root, event.job_id)
    job.turn_steps += 1
    job.stop_reason = event.stop_reason
    if event.content:
        _say(job, {"role": "assistant", "content": list(event.content)})


def _intended(root: LivingRoot, stored: Stored, event: ev.ToolIntended) -> None:
    _job(root, event.job_id).intended.append(event.call_id)


def _returned(root: LivingRoot, stored: Stored, event: ev.ToolReturned) -> None:
    job = _job(root, event.job_id)
    job.turn_steps += 1
    if len(job.intended):
        job.intended = [call_id for call_id in job.intended if call_id != event.call_id]
    _result(job, event.call_id, event.content, error=event.error)


def _cancelled(root: LivingRoot, stored: Stored, event: ev.DispatchCancelled) -> None:
    job = _job(root, event.job_id)
    open_ids = [*job.turn_ids, *(json.loads(entry)["id"] for entry in job.waiting)]
    if event.message_id in open_ids:
        job.cancelled.append(json.dumps({"id": event.message_id, "reason": event.reason}, ensure_ascii=False))


def _turn_ended(root: LivingRoot, stored: Stored, event: ev.TurnEnded) -> None:
    job, thread = _job(root, event.job_id), root.threads[event.thread_id]
    if len(job.cancelled):
        job.cancelled = [entry for entry in job.cancelled if json.loads(entry)["id"] not in event.message_ids]
        if not any(each in event.message_ids for each in list(job.turn_ids)):  # called off before a turn took it up
            job.waiting = [entry for entry in job.waiting if json.loads(entry)["id"] not in event.message_ids]
            if not len(job.turn_ids):
                job.status = event.result
                thread.status = "working" if len(job.waiting) else event.result
            return
    for call_id in unanswered_calls(job):  # the API takes no call without its result
        _result(job, call_id, "Not run: the turn ended before.", error=True)
    last = json.loads(job.tail[-1]) if len(job.tail) else {"role": "user"}
    if event.reply and last["role"] != "assistant":
        _say(job, {"role": "assistant", "content": [{"type": "text", "text": event.reply}]})
    job.status = event.result
    job.turn_ids = []
    job.intended = []
    thread.latest_activity_at = stored.at
    if event.reply:
        thread.last_assistant_message = event.reply
    if event.summary:
        thread.summary = event.summary
    thread.status = "working" if len(job.waiting) else event.result
    _touch(root.users[event.user], thread.id)


def unanswered_calls(job: JobRecord) -> list[str]:
    """The ids of the tool calls at the conversation's end that have no result yet, in order."""
    calls: list[str] = []
    done: set[str] = set()
    for entry in list(job.tail)[-2:]:
        message = json.loads(entry)
        if isinstance(message["content"], str):
            calls = []
            continue
        kinds = [(block["type"], block) for block in message["content"]]
        if message["role"] == "assistant":
            calls, done = [block["id"] for kind, block in kinds if kind == "tool_use"], set()
        else:
            done |= {block["tool_use_id"] for kind, block in kinds if kind == "tool_result"}
    return [call for call in calls if call not in done]


def _result(job: JobRecord, call_id: str, content: str, *, error: bool) -> None:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    if error:
        block["is_error"] = True
    last = json.loads(job.tail[-1])
    if last["role"] == "user" and not isinstance(last["content"], str):
        last["content"].append(block)
        job.tail.pop()
        _say(job, last)
    else:
        _say(job, {"role": "user", "content": [block]})


def _say(job: JobRecord, message: dict[str, Any]) -> None:
    job.tail.append(json.dumps(message, ensure_ascii=False))
    if len(job.tail) > 2 * TAIL_KEPT:
        job.tail = list(job.tail)[-TAIL_KEPT:]


def _job(root: LivingRoot, job_id: str) -> JobRecord:
    return root.jobs[job_id]


_APPLY: dict[type[ev.Event], Callable[[LivingRoot, Stored, Any], None]] = {
    ev.FleetStarted: _nothing,
    ev.AgentDeclared: _declared,
    ev.AgentRetired: _retired,
    ev.MessageAccepted: _accepted,
    ev.DispatchRequested: _accepted,
    ev.DispatchCancelled: _cancelled,
    ev.MessageDecided: _decided,
    ev.TurnStarted: _turn_started,
    ev.ModelAnswered: _answered,
    ev.ToolIntended: _intended,
    ev.ToolReturned: _returned,
    ev.TurnEnded: _turn_ended,
    ev.ReplyDelivered: _nothing,
    ev.ReplyFailed: _nothing,
    ev.DecisionLabelled: _nothing,
    ev.UserForgotten: _forgotten,
    ev.Erased: _nothing,
    ev.MessageFailed: _nothing,
    ev.MessageDead: _nothing,
    ev.MessageRetried: _retried,
    ev.MessageDropped: _nothing,
    ev.TurnFailed: _nothing,
    ev.ReplyRetried: _nothing,
    ev.StuckFound: _nothing,
}

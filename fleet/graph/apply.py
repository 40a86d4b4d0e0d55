"""apply(event): the one way in which the graph changes. No clock, no randomness, no I/O.

An event is applied once, in the order of the ledger. Whatever follows from an event alone is computed here, so that
a graph rebuilt from nothing is the same graph.

It is given a `ChangingRoot`: a record that is taken from that counts as changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from fleet.errors import GraphError
from fleet.graph import questions
from fleet.graph.living import LivingRoot
from fleet.graph.persons import PERSONS
from fleet.graph.recent import touch
from fleet.graph.records import (
    AgentRecord,
    JobRecord,
    ThreadRecord,
    UserRecord,
)
from fleet.graph.reminders import REMINDERS
from fleet.graph.steps import begin_step, reopen_step
from fleet.graph.summary import extend_summary
from fleet.graph.tail import job_of
from fleet.graph.turns import TURNS, use
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["AppReducers", "apply", "change"]

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
        job_of(root, stored.stream[4:]).version = stored.version
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


def _paused(root: LivingRoot, stored: Stored, event: ev.AgentPaused) -> None:
    if (known := root.task_agents.get(event.role)) is not None:
        known.paused = event.paused


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
    questions.settle(root, event)
    spent = round(1_000_000 * sum([each.cost_usd for each in decision.attempts]))
    if spent:
        tokens = sum(each.input_tokens + each.output_tokens + each.cache_read_tokens + each.cache_write_tokens
                     for each in decision.attempts)  # fmt: skip
        use(root.users[event.user], stored.at, tokens, spent)
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
        job = job_of(root, thread.job)
        if decision.handed_from:
            thread.agent = decision.agent
    if decision.metadata:
        job.metadata = json.dumps(decision.metadata, ensure_ascii=False)
    if decision.then:
        begin_step(job, event.message_id, decision.then)
    thread.summary = extend_summary(thread.summary, thread.last_assistant_message, event.text)
    thread.latest_activity_at = stored.at
    thread.messages += 1
    _wait(thread, job, event.message_id, event.text)
    touch(user, thread.id)


def _retried(root: LivingRoot, stored: Stored, event: ev.MessageRetried) -> None:
    if event.job_id:
        job = job_of(root, event.job_id)
        reopen_step(job, event.message_id)
        _wait(root.threads[event.thread_id], job, event.message_id, event.text)


def _wait(thread: ThreadRecord, job: JobRecord, message_id: str, text: str) -> None:
    """Let a message wait for the job's next turn."""
    thread.status = "working"
    job.waiting.append(to_json({"id": message_id, "text": text}).decode())


_APPLY: dict[type[ev.Event], Callable[[LivingRoot, Stored, Any], None]] = {
    **TURNS,
    **PERSONS,
    **REMINDERS,
    ev.FleetStarted: _nothing,
    ev.AgentDeclared: _declared,
    ev.AgentRetired: _retired,
    ev.AgentPaused: _paused,
    ev.AgentPrewarmed: _nothing,
    ev.RulesChanged: _nothing,
    ev.MessageAccepted: _accepted,
    ev.DispatchRequested: _accepted,
    ev.MessageDecided: _decided,
    ev.QuestionAsked: questions.ask,
    ev.ReplyDelivered: _nothing,
    ev.ReplyFailed: _nothing,
    ev.DecisionLabelled: _nothing,
    ev.UserForgotten: _forgotten,
    ev.Erased: _nothing,
    ev.MessageFailed: _nothing,
    ev.MessageDead: questions.close,
    ev.MessageRetried: _retried,
    ev.MessageDropped: questions.close,
    ev.TurnFailed: _nothing,
    ev.ReplyRetried: _nothing,
    ev.StuckFound: _nothing,
}

"""Binding a decision to the graph as it stands now: the thread and job that it means."""

from __future__ import annotations

import hashlib
from collections.abc import Container

from fleet.graph.living import LivingRoot
from fleet.ledger.events import Decision, MessageAccepted
from fleet.routing.decided import Decided

__all__ = ["bound", "unbound"]


def bound(root: LivingRoot, roles: Container[str], decided: Decided, message: MessageAccepted) -> Decision | None:
    """The decision with its ids; None if the thread or agent that it means cannot take the message any more."""
    decision = decided.decision
    if decision.outcome == "dispatch_to":
        thread = root.threads.get(decision.thread_id)
        if thread is None or thread.user != message.user:
            return None
        answers = decision.agent if decision.handed_from else thread.agent
        return decision.model_copy(update={"job_id": thread.job}) if answers in roles else None
    if decision.outcome != "start_new_thread":
        return decision
    if decision.agent not in roles:
        return None
    name = decided.thread_key or hashlib.sha256(message.message_id.encode()).hexdigest()[:16]
    return decision.model_copy(update={"thread_id": f"thr_{name}", "job_id": f"job_{name}"})


def unbound(decision: Decision) -> Decision:
    """The decision about a message whose thread was gone each time: a person's."""
    why = f"thread {decision.thread_id} was gone when the decision was applied"
    update = {"by": "fallback", "outcome": "human", "fallback": "human", "fallback_reason": why}
    return decision.model_copy(update={**update, "thread_id": "", "thread_index": None})

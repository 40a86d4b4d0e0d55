"""What a turn's first model call was sent of its thread's conversation, folded again out of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.graph.apply import change
from fleet.graph.records import AgentRecord
from fleet.graph.scratch import ScratchRoot
from fleet.ledger import events as ev
from fleet.ledger.base import Ledger
from fleet.workers.conversation import messages_for

__all__ = ["first_messages"]

_FIRST = (ev.ModelAnswered, ev.TurnEnded)


def first_messages(ledger: Ledger, user: str, seq: int, transcript: str) -> tuple[Mapping[str, Any], ...]:
    """The messages of the first model call of the turn that the event `seq` started, as the Messages API has them.

    `transcript` is the turn's own. Reads the user's history up to that call, and keeps what its thread said last.
    """
    started = next(ledger.read(after=seq - 1, upto=seq)).event
    if not isinstance(started, ev.TurnStarted):
        raise TypeError(f"event {seq} is a {started.TYPE}, no beginning of a turn")
    root = ScratchRoot()
    for stored in ledger.read(user=user):
        event = stored.event
        if stored.seq > seq and isinstance(event, _FIRST) and event.job_id == started.job_id:
            break  # what was taken up before, as approved calls are, was sent too
        if isinstance(event, ev.MessageDecided) and event.decision.job_id == started.job_id:
            role = event.decision.agent
            root.task_agents.setdefault(role, root.new(AgentRecord, role, "dialog", "", ""))
        elif isinstance(event, ev.SubjobStarted) and event.parent == started.job_id:
            pass  # its turn may end with children that it calls off
        elif isinstance(event, (ev.AppEventRecorded, ev.MessageDecided)) or not (
            isinstance(event, ev.MessageAccepted) or getattr(event, "job_id", "") == started.job_id
        ):
            continue  # another thread's, or the application's own
        change(root, stored)
    job = root.jobs[started.job_id]
    tail = list(job.tail)
    return messages_for(tail, transcript, started.history or len(tail), job.recap, job.recap_turn)

"""Workflows: a fixed sequence of agents, each one's result the next one's input.

A step is a dispatch of its own, with an id that its workflow gives it. The end of a step's turn opens the next one in
the ledger's queue of steps, in one transaction, and the next one's dispatch closes it: a crash between the two leaves
what is to begin on record, and begun twice it is the same dispatch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fleet.errors import StaleWriteError
from fleet.ledger.assignment import STEP
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import (
    Decision,
    DispatchCancelled,
    DispatchRequested,
    Event,
    MessageDecided,
    TurnEnded,
)

__all__ = ["Steps", "call_off"]


class Steps:
    """Begins the steps of workflows. `write` appends a draft and returns once it is applied."""

    def __init__(self, ledger: Ledger, write: Callable[[Draft], Awaitable[Any]]) -> None:
        self._ledger, self._write = ledger, write

    async def begin(self, ended: TurnEnded) -> None:
        """Dispatch the step that follows a turn, with the turn's reply as its text; once, however often it is told.

        Where the workflow was called off the step is on record as called off.
        """
        first, _, number = ended.then.rpartition(STEP)
        asked = self._ledger.read_stream(f"message:{first}")[0].event
        if not isinstance(asked, DispatchRequested):  # its user was forgotten
            return
        step = int(number)
        assignment = asked.assignment.model_copy(
            update={
                "agent": asked.assignment.workflow[step - 1], "step": step, "step_of": first,
                "by": f"workflow {first}", "by_user": False, "retry_of": "",
            }
        )  # fmt: skip
        given = {"message_id": ended.then, "text": ended.reply, "assignment": assignment}
        event = asked.model_copy(update=given | {"not_before": 0})
        events: tuple[Event, ...] = (event,)
        if off := self._called_off(first):
            events = (event, _refused(event, off))
        with suppress(StaleWriteError):  # dispatched before a crash
            await self._write(Draft(f"message:{ended.then}", 0, events, ended.user))
        if not off and (off := self._called_off(first)):  # at this very moment
            await asyncio.to_thread(call_off, self._ledger, ended.then, off)

    def _called_off(self, dispatch_id: str) -> DispatchCancelled | None:
        stream = self._ledger.read_stream(f"message:{dispatch_id}")
        return next((each.event for each in stream if isinstance(each.event, DispatchCancelled)), None)


def call_off(ledger: Ledger, message_id: str, off: DispatchCancelled) -> None:
    """Put on record, once, that a dispatch is called off as `off` says: settled at once if nothing is decided."""
    while True:
        stream = ledger.read_stream(f"message:{message_id}")
        asked = stream[0].event
        if not isinstance(asked, DispatchRequested):
            return
        if any(isinstance(each.event, DispatchCancelled) for each in stream):
            return
        decided = next((each.event for each in stream if isinstance(each.event, MessageDecided)), None)
        event: Event = _refused(asked, off)
        if decided is not None:
            if not decided.decision.job_id:
                return
            event = off.model_copy(update={"message_id": message_id, "job_id": decided.decision.job_id})
        with suppress(StaleWriteError):  # it was decided, or called off, at this very moment: look again
            ledger.append_now(Draft(stream[-1].stream, stream[-1].version, (event,), asked.user))
            return


def _refused(asked: DispatchRequested, off: DispatchCancelled) -> MessageDecided:
    decision = Decision(by="dispatch", outcome="cancelled", gate=off.by, gate_reason=off.reason)
    return MessageDecided(message_id=asked.message_id, user=asked.user, text=asked.text, decision=decision)

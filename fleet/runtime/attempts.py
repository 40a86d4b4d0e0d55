"""Attempts: what happens when routing a message, or a turn, ends in an error that nobody foresaw.

What models, gates, warmups and tools do wrong is foreseen, and has its own place on record. Anything else, raised by
the application's code, by a model of its own, or by fleet itself, counts as a failed attempt: it is on record and tried
again, later each time; after so many the message goes to the dead letters, and the user's later messages go on. Errors
of the stores are no fault of a message, and end the fleet.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fleet.agents.policy import Policy
from fleet.agents.words import Words
from fleet.errors import GraphError, LedgerError, UnstorableError
from fleet.graph.living import LivingRoot
from fleet.ledger.base import Draft, Ledger, Stored
from fleet.ledger.events import MessageDead, MessageFailed, TurnFailed
from fleet.ledger.storable import storable
from fleet.log import log
from fleet.runtime.lanes import Waiting
from fleet.settings import Settings
from fleet.workers.ending import given_up, waiting_ids
from fleet.workers.locales import locale_of

__all__ = ["UNFORESEEN", "Attempts", "ends_the_fleet"]

UNFORESEEN = (Exception, SystemExit)  # exit() in the application's code is no order to the fleet

_SAID = 300  # characters of what an error says
_FRAMES, _TRACE = 6, 4000  # innermost frames of its traceback, and characters


def ends_the_fleet(error: BaseException) -> bool:
    """Whether an error is one of the stores: then the fleet cannot go on, and no message is to blame."""
    return isinstance(error, (LedgerError, GraphError)) and not isinstance(error, UnstorableError)


class Attempts:
    """Records failed attempts and counts them, across restarts too. `write` returns once a draft is applied.

    How many there may be, and the pause after the first one, is the settings' word for routing, and for a turn that of
    its agent's policy.
    """

    def __init__(
        self, root: LivingRoot, write: Callable[[Draft], Awaitable[Any]], settings: Settings,
        policies: Mapping[str, Policy], words: Words,
    ) -> None:  # fmt: skip
        self._root, self._write, self._policies, self._words = root, write, policies, words
        self._routes = Policy(max_attempts=settings.max_attempts, retry_backoff_s=settings.retry_backoff_s)
        self._routing: dict[str, Stored] = {}  # what an earlier run left: message id → its last failure
        self._turns: dict[str, tuple[int, int]] = {}  # job id → turn, failed attempts

    def recall(self, ledger: Ledger, after: int) -> None:
        """Count the failures on record after event `after`, for what an earlier run left open."""
        for stored in ledger.read(after=after, types=(MessageFailed.TYPE, TurnFailed.TYPE)):
            event = stored.event
            if isinstance(event, MessageFailed):
                self._routing[event.message_id] = stored
            elif isinstance(event, TurnFailed):
                self._turns[event.job_id] = (event.turn, event.attempt)

    def resume(self, waiting: Waiting, seq: int) -> None:
        """Bring a message that event `seq` put into the inbox up to the failures on record since."""
        failed = self._routing.pop(waiting.message.message_id, None)
        if failed is not None and failed.seq > seq and isinstance(failed.event, MessageFailed):
            waiting.version, waiting.tries = failed.version, failed.event.attempt

    async def routing_failed(self, waiting: Waiting, error: BaseException) -> float | None:
        """Record that routing a message failed. Seconds until the next try; None if it went to the dead letters."""
        message, tries = waiting.message, waiting.tries + 1
        said, trace = _said(error)
        last = tries >= (self._routes.max_attempts or 1)
        _log("routing.failed", last, error, tries, message=message.message_id)
        event = (
            MessageDead(message_id=message.message_id, stage="routing", attempts=tries, error=said, trace=trace)
            if last
            else MessageFailed(message_id=message.message_id, attempt=tries, error=said, trace=trace)
        )
        await self._write(Draft(f"message:{message.message_id}", waiting.version, (event,), message.user))
        waiting.version, waiting.tries = waiting.version + 1, tries
        return None if last else _pause(self._routes, tries)

    async def turn_failed(self, job_id: str, error: BaseException, *, deliver: bool) -> float | None:
        """Record that a turn failed. Seconds until the next try; None if its messages went to the dead letters.

        `deliver` says whether the agent's replies go anywhere: then the user is told that there will be no answer.
        """
        job = self._root.jobs[job_id]
        thread = self._root.threads[job.thread]
        turn, ids = (job.turn, tuple(job.turn_ids)) if job.open else (job.turn + 1, waiting_ids(job))
        before = self._turns.get(job_id)
        tries = 1 + (before[1] if before is not None and before[0] == turn else 0)
        said, trace = _said(error)
        policy = self._policies.get(job.agent, self._routes)
        last = tries >= (policy.max_attempts or 1)
        _log("turn.failed", last, error, tries, job=job_id)
        if last:
            self._turns.pop(job_id, None)
            end = "given up" if job.parent else "to the dead letters"
            reason = f"{end} after {tries} attempt{'s' * (tries > 1)}: {said}"
            dead = (
                MessageDead(
                    message_id=each, stage="turn", attempts=tries, error=said, trace=trace, thread_id=thread.id,
                    job_id=job_id,
                )
                for each in ids
                if not job.parent  # whoever handed the task down is told, and nobody can put it back
            )  # fmt: skip
            events = (
                *given_up(job, thread, reason, self._words.say("sorry", locale_of(thread)), deliver=deliver),
                *dead,
            )
            await self._write(Draft(f"job:{job_id}", job.version, events, thread.user))
            return None
        self._turns[job_id] = (turn, tries)
        failed = TurnFailed(
            job_id=job_id, thread_id=thread.id, turn=turn, message_ids=ids, attempt=tries, error=said, trace=trace
        )
        await self._write(Draft(f"job:{job_id}", job.version, (failed,), thread.user))
        return _pause(policy, tries)

    def turn_done(self, job_id: str) -> None:
        """A turn of the job ended: its failures count no more."""
        self._turns.pop(job_id, None)


def _pause(policy: Policy, tries: int) -> float:
    return float((policy.retry_backoff_s or 0.0) * 2 ** (tries - 1))


def _log(event: str, last: bool, error: BaseException, tries: int, **ids: str) -> None:
    level = logging.ERROR if last else logging.WARNING
    log(event, level=level, **ids, attempt=tries, error=type(error).__name__, dead=last)


def _said(error: BaseException) -> tuple[str, str]:
    """An error as one line, and where it came from."""
    kind, words = type(error).__name__, " ".join(str(error).split())
    line = f"{kind}: {words}" if words else kind
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-_FRAMES))
    return storable(line)[:_SAID], storable(trace)[-_TRACE:]

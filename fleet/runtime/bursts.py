"""Bursts: what one person writes in several messages at once is routed as one.

Which messages are a burst follows from when they were accepted and from how they came, never from when the worker looks
at them: after a restart they are the same ones. A message that says where it goes or when, one that was put back, and
one that could not be routed before stand for themselves, and so end the burst before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.clock import now_us
from fleet.ledger.base import Blob, Draft
from fleet.ledger.events import Decision, MessageAccepted, MessageDecided
from fleet.settings import Settings

if TYPE_CHECKING:
    from fleet.runtime.lanes import Waiting

__all__ = ["Bursts", "settling"]

_MOST = 20  # messages in one burst


class Bursts:
    """What the settings make a burst; with a window of 0 every message stands for itself."""

    def __init__(self, settings: Settings) -> None:
        self.window_us = round(settings.burst_window_s * 1e6)
        self._most_us = round(settings.burst_most_s * 1e6)
        self._most_bytes = settings.max_message_bytes

    def first_of(self, lane: Iterable[Waiting]) -> tuple[list[Waiting], int]:
        """The burst that a lane begins with, and until when it may grow (µs since 1970): 0 if it may not."""
        found: list[Waiting] = []
        size = until = 0
        for waiting in lane:
            if waiting.settled:
                continue
            size += len(waiting.message.text.encode()) + bool(found)
            if found and not (until and waiting.at <= until and size <= self._most_bytes and _fits(found[0], waiting)):
                return found, 0
            found.append(waiting)
            if self.window_us and _is_plain(waiting):
                until = min(waiting.at + self.window_us, found[0].at + self._most_us)
            if not until or len(found) == _MOST:
                return found, 0
        return found, until


def _is_plain(waiting: Waiting) -> bool:
    """Whether it is a message as it was sent: no dispatch, not delayed, not put back, not tried in vain."""
    message = waiting.message
    return type(message) is MessageAccepted and not message.not_before and waiting.version == 1 and not waiting.tries


def _fits(first: Waiting, waiting: Waiting) -> bool:
    """Whether both came the same way, and may go the same ways."""
    return _is_plain(waiting) and _way(first.message) == _way(waiting.message)


def _way(message: MessageAccepted) -> tuple[object, ...]:
    return message.channel, message.session_id, message.language, message.priority, message.roles


def settling(burst: Sequence[Waiting], decision: Decision, blobs: tuple[Blob, ...]) -> Draft:
    """What settles all messages of a burst, or the only one: each in its stream, at the version that was seen there.

    The first has the decision, each other one says that it joined that.
    """
    first, *others = burst
    ids = tuple(each.message.message_id for each in others)
    beside = tuple(_settled(each, _joined(decision, each, first.message.message_id)) for each in others)
    draft = _settled(first, decision.model_copy(update={"covers": ids}) if ids else decision)
    return replace(draft, blobs=blobs, beside=beside)


def _settled(waiting: Waiting, decision: Decision) -> Draft:
    message = waiting.message
    event = MessageDecided(
        message_id=message.message_id, user=message.user, text=message.text, decision=decision,
        priority=message.priority,
    )  # fmt: skip
    return Draft(f"message:{message.message_id}", waiting.version, (event,), message.user)


def _joined(decision: Decision, waiting: Waiting, first: str) -> Decision:
    """Where the first one goes; into its thread, if that is a new one."""
    return Decision(
        by="joined",
        joined=first,
        outcome="dispatch_to" if decision.thread_id else decision.outcome,
        thread_id=decision.thread_id,
        job_id=decision.job_id,
        agent=decision.agent,
        name=decision.name,
        language=decision.language,
        latency_us={"queue": max(0, now_us() - waiting.due)},
        code_version=decision.code_version,
    )

"""The question that a user is asked about a message: open, then answered by a message that is still to be settled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fleet.graph.living import LivingRoot
from fleet.graph.records import UserRecord
from fleet.ledger import events as ev
from fleet.ledger.base import Stored

__all__ = ["Standing", "ask", "close", "settle", "standing_of"]

_BY_ANSWER = ("answered", "none", "gone")


@dataclass(frozen=True)
class Standing:
    """How it stands with a user's question: about `message_id`, whose stream was at `version` when it was asked.

    With `answer` it is settled, by the message of that id, which is still to be.
    """

    message_id: str
    version: int = 0
    answer: str = ""


def standing_of(root: LivingRoot, user_id: str) -> Standing | None:
    """The user's question; None if they are not being asked anything."""
    user = root.users.get(user_id)
    return Standing(**json.loads(user.question)) if user is not None and user.question else None


def ask(root: LivingRoot, stored: Stored, event: ev.QuestionAsked) -> None:
    """A question is open."""
    _keep(root.users[event.user], message_id=event.message_id, version=stored.version)


def settle(root: LivingRoot, event: ev.MessageDecided) -> None:
    """A message is decided: the one that was asked about, or its answer."""
    user = root.users.get(event.user)
    if user is None or not user.question:
        return
    decision = event.decision
    if decision.asked in _BY_ANSWER:
        _keep(user, message_id=event.message_id, answer=decision.answered_by)
    else:
        _close(user, event.message_id)


def close(root: LivingRoot, stored: Stored, event: ev.MessageDropped | ev.MessageDead) -> None:
    """A message comes to its end without a decision: its question is not open any more, and it is no answer."""
    user = root.users.get(stored.user)
    if user is not None and user.question:
        _close(user, event.message_id)


def _keep(user: UserRecord, **standing: Any) -> None:
    user.question = json.dumps(standing, ensure_ascii=False)


def _close(user: UserRecord, message_id: str) -> None:
    standing = Standing(**json.loads(user.question))
    if message_id == (standing.answer or standing.message_id):
        user.question = ""

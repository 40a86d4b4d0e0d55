"""Questions to users: which thread or agent a message of theirs is meant for.

The message stays at the head of its user's lane while the question is open, so the user's order holds, and takes no
slot meanwhile. Whoever stands behind it next settles it: the answer, or something else, with which the question lapses;
else its time does. It is settled by the decision about the message that was asked about; the answering message is
settled after it, and the graph remembers in between which one that is. So a crash anywhere asks once and settles once.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleet.clock import now_us
from fleet.graph.living import LivingRoot
from fleet.graph.questions import standing_of
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import Decision, DispatchRequested, MessageAccepted, QuestionAsked
from fleet.ledger.question_events import question_id
from fleet.routing.answering import read_answer
from fleet.routing.decided import Decided, Question
from fleet.routing.decider import Decider
from fleet.routing.facts import Facts
from fleet.runtime.lanes import Lanes, Waiting
from fleet.settings import Settings
from fleet.version import __version__

__all__ = ["Questions"]


class Questions:
    """Which messages are being asked about, and what settles that. Writes nothing."""

    def __init__(self, root: LivingRoot, ledger: Ledger, decider: Decider, lanes: Lanes, settings: Settings) -> None:
        self._root, self._ledger, self._decider, self._lanes = root, ledger, decider, lanes
        self._expiry_us = round(settings.ask_expiry_s * 1e6)
        self._below = settings.ask_below
        self._known: dict[str, tuple[QuestionAsked, int]] = {}  # open ones by message, and when they were asked

    def is_open(self, message: MessageAccepted) -> bool:
        """Whether the message's user is being asked about it."""
        standing = standing_of(self._root, message.user)
        return standing is not None and not standing.answer and standing.message_id == message.message_id

    def version(self, message: MessageAccepted) -> int:
        """The version of the message's stream with the open question; 0 without one."""
        standing = standing_of(self._root, message.user) if self.is_open(message) else None
        return standing.version if standing is not None else 0

    def expires_at(self, message: MessageAccepted) -> int:
        """When the open question about the message expires, in microseconds."""
        return self._about(message.message_id)[0].expires_at

    def may_ask(self, waiting: Waiting) -> bool:
        """Whether the user may be asked about the message: nobody is asked twice about one, or two things at once."""
        message = waiting.message
        dispatch = message.assignment if isinstance(message, DispatchRequested) else None
        if not self._below and not (dispatch is not None and dispatch.ask):
            return False
        if standing_of(self._root, message.user) is not None:
            return False
        return waiting.version == 1 or not self._asked(message.message_id)

    def draft(self, burst: Sequence[Waiting], decided: Decided, question: Question) -> Draft:
        """The question about a message, and the others of its burst, as it goes on record."""
        message = burst[0].message
        covers = tuple(each.message.message_id for each in burst[1:])
        asked = QuestionAsked(
            message_id=message.message_id, user=message.user, question_id=question_id(message.message_id),
            text=question.text, choices=question.choices, otherwise=question.otherwise,
            expires_at=now_us() + self._expiry_us, decision=decided.decision, covers=covers,
            thread_key=decided.thread_key,
        )  # fmt: skip
        return Draft(f"message:{message.message_id}", burst[0].version, (asked,), message.user, decided.blobs)

    def covered(self, waiting: Waiting) -> list[Waiting]:
        """The messages of one burst with the one that is being asked about."""
        ids = self._about(waiting.message.message_id)[0].covers
        return [each for each in self._lanes.after(waiting) if each.message.message_id in ids]

    def waits(self, waiting: Waiting) -> bool:
        """Whether nothing has come yet that settles the message's open question."""
        return self._next(waiting) is None and now_us() < self.expires_at(waiting.message)

    def settled(self, waiting: Waiting, facts: Facts) -> Decided | None:
        """The decision that the next message, or the time, makes of the open question; None while it waits."""
        if self.waits(waiting):
            return None
        message = waiting.message
        (asked, asked_at), following = self._about(message.message_id), self._next(waiting)
        if following is None or following.due >= asked.expires_at:
            return self._decider.unanswered(asked)
        said = following.message
        answers = following.at >= asked_at and _in_one_talk(message, said)  # else it was said before anybody asked
        number = read_answer(said.text, asked.choices) if answers else None
        if number is None:
            return self._decider.unanswered(asked, said.message_id)
        return self._decider.answered(asked, number, said.message_id, facts)

    def answer(self, message: MessageAccepted) -> Decision | None:
        """The decision about a message that has settled a question; None for any other."""
        standing = standing_of(self._root, message.user)
        if standing is None or standing.answer != message.message_id:
            return None
        return Decision(by="user", outcome="answer", answer_to=standing.message_id, code_version=__version__)

    def knows(self, message_id: str) -> bool:
        """Whether the message waits for what its user answers."""
        return message_id in self._known

    def forget(self, message_id: str) -> None:
        """The message's question is settled."""
        self._known.pop(message_id, None)

    def _next(self, waiting: Waiting) -> Waiting | None:
        """What the user said next; what was dispatched for them is no word of theirs."""
        covers = self._about(waiting.message.message_id)[0].covers
        return next(
            (
                each
                for each in self._lanes.after(waiting)
                if not isinstance(each.message, DispatchRequested) and each.message.message_id not in covers
            ),
            None,
        )

    def _about(self, message_id: str) -> tuple[QuestionAsked, int]:
        known = self._known.get(message_id)
        if known is None:
            known = self._known[message_id] = self._asked(message_id)[0]
        return known

    def _asked(self, message_id: str) -> list[tuple[QuestionAsked, int]]:
        stream = self._ledger.read_stream(f"message:{message_id}")
        return [(each.event, each.at) for each in stream if isinstance(each.event, QuestionAsked)]


def _in_one_talk(message: MessageAccepted, other: MessageAccepted) -> bool:
    return (message.channel, message.session_id) == (other.channel, other.session_id)

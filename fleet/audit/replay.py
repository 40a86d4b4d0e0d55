"""Replay: the same stored answers to the same stored transcript, read again by today's code. No model, no effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.errors import ActionRejected, FleetError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Attempt, Decision, MessageDecided, QuestionAsked
from fleet.sandbox import DispatchTo, StartNewThread, parse_action

__all__ = ["Replayed", "Reread", "replay"]


@dataclass(frozen=True)
class Reread:
    """One stored answer: the verdict on it then, and now."""

    model: str
    then: str
    now: str


@dataclass(frozen=True)
class Replayed:
    """One decision, read again.

    `then` is the action on record, `now` what today's code makes of the same answers; None where none was an action.
    `differences` are sentences, empty if all is the same; `asked` is False where no model had answered.
    """

    message_id: str
    seq: int
    asked: bool
    then: dict[str, Any] | None
    now: dict[str, Any] | None
    answers: tuple[Reread, ...]
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether today's code comes to the action on record, by the same verdicts."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "message_id": self.message_id,
            "seq": self.seq,
            "same": self.same,
            "asked": self.asked,
            "then": self.then,
            "now": self.now,
            "answers": [{"model": each.model, "then": each.then, "now": each.now} for each in self.answers],
            "differences": list(self.differences),
        }


def replay(ledger: Ledger, found: Iterator[Stored]) -> Iterator[Replayed]:
    """Read every answer of these decisions again, in order; what they were shown must still be whole in the ledger."""
    whole: set[str] = set()
    for stored in found:
        if isinstance(stored.event, MessageDecided):
            yield _replayed(ledger, stored, stored.event, whole)


def _replayed(ledger: Ledger, stored: Stored, event: MessageDecided, whole: set[str]) -> Replayed:
    decision = event.decision
    answered = [each for each in decision.attempts if not each.error]
    if not answered:
        return Replayed(event.message_id, stored.seq, asked=False, then=None, now=None, answers=(), differences=())
    answers: list[Reread] = []
    action: DispatchTo | StartNewThread | None = None
    for each in answered:
        read = _read(each, decision)
        action = action or (None if isinstance(read, str) else read)
        answers.append(Reread(each.model, each.verdict, read if isinstance(read, str) else "ok"))
    then, now = _recorded(_routed(ledger, stored, decision), action), action.as_dict() if action else None
    differences = [
        f"answer {number} of {each.model}: {each.then} then, {each.now} now"
        for number, each in enumerate(answers, 1)
        if each.then != each.now
    ]
    if then != now:
        differences.append(f"{_call(then)} then, {_call(now)} now")
    return Replayed(
        event.message_id,
        stored.seq,
        True,  # noqa: FBT003 - asked
        then,
        now,
        tuple(answers),
        (*differences, *_missing(ledger, decision, whole)),
    )


def _read(attempt: Attempt, decision: Decision) -> DispatchTo | StartNewThread | str:
    """The action in a stored answer, or the verdict's code."""
    try:
        return parse_action(
            attempt.answer,
            n_threads=len(decision.candidates),
            agents=decision.agents,
            printed_examples=decision.examples,
            stop_reason=attempt.stop_reason,
        )
    except ActionRejected as error:
        return error.code


def _routed(ledger: Ledger, stored: Stored, decision: Decision) -> Decision:
    """What the router had decided, where the user said otherwise when asked."""
    if decision.by != "user":
        return decision
    asked = (each.event for each in ledger.read_stream(stored.stream))
    return next((each.decision for each in asked if isinstance(each, QuestionAsked)), decision)


def _recorded(decision: Decision, now: DispatchTo | StartNewThread | None) -> dict[str, Any] | None:
    """The action on record, as an answer's is written.

    An agent's `locale` wins over the language in the answer, and is not on record: where the rest agrees, the language
    is not compared. A fallback to an agent or a person was no model's action.
    """
    if decision.fallback in ("agent", "human") or decision.by in ("gate", "dispatch", "policy"):
        return None
    if decision.thread_index is not None:
        return DispatchTo(decision.thread_index).as_dict()
    language = now.language if isinstance(now, StartNewThread) and now.agent == decision.agent else decision.language
    return StartNewThread(decision.agent, language, decision.name or None, decision.default_example_id).as_dict()


def _call(action: dict[str, Any] | None) -> str:
    if action is None:
        return "no action"
    if action["action"] == "dispatch_to":
        return DispatchTo(action["thread_index"]).as_python()
    return StartNewThread(*(action[key] for key in ("agent", "language", "name", "default_example_id"))).as_python()


def _missing(ledger: Ledger, decision: Decision, whole: set[str]) -> Iterator[str]:
    """What of the stored request is not there any more, or not what it was; `whole` has the prompts looked at."""
    for what, key in (("transcript", decision.transcript), ("prompt", decision.prompt)):
        if key in whole:
            continue
        try:
            ledger.blob(key)
        except FleetError as error:
            yield f"the stored {what} cannot be read: {error.message}"
            continue
        if what == "prompt":
            whole.add(key)

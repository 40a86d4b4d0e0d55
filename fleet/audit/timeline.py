"""What followed a decision: the turn that answered the message, step by step, and the delivery of its reply.

A job's stream may be long. The turn is read from the user's own events after the decision, up to the turn's end, so
the cost is that of what happened in between, however long the histories are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.audit.children import used_by_children
from fleet.audit.explanation import NOTHING, Step, Totals
from fleet.audit.letters import LETTERS, letter_step
from fleet.audit.persons import TAKEOVERS, asked_step, held_by, settled_steps, takeover_step
from fleet.clock import iso
from fleet.ledger import events as ev
from fleet.ledger.base import Ledger, Stored

__all__ = ["Followed", "asked_steps", "follow", "totals_of"]

_TURN = tuple(
    kind.TYPE
    for kind in (
        ev.TurnStarted,
        ev.ModelAnswered,
        ev.ConfirmationAsked,
        ev.ConfirmationSettled,
        ev.SubjobStarted,
        ev.ToolIntended,
        ev.ToolReturned,
        ev.AppEventRecorded,
        ev.ReminderSet,
        ev.LocaleSet,
        ev.TurnEnded,
        ev.TurnSetAside,
        ev.ThreadTakenOver,
        ev.ThreadReleased,
        ev.TurnFailed,
        ev.MessageDead,
    )
)
_RESTARTS = 20  # shown at most


@dataclass(frozen=True)
class Followed:
    """The steps after a decision, the turn's beginning and end if they came, and what it and its children cost.

    `dead` says whether the turn ended with the message among the dead letters; `held_by` is the person who has taken
    its thread over, "" for nobody.
    """

    steps: tuple[Step, ...] = ()
    started: ev.TurnStarted | None = None
    ended: ev.TurnEnded | None = None
    delivery: ev.ReplyDelivered | ev.ReplyFailed | None = None
    answering: Totals = NOTHING
    handed_on: Totals = NOTHING
    handed_models: tuple[str, ...] = ()
    dead: bool = False
    held_by: str = ""


def follow(ledger: Ledger, accepted: Stored, decided: Stored, letters: Sequence[Stored] = ()) -> Followed:
    """What followed the decision that `decided` holds; workers' restarts since the message was accepted too.

    `letters` are the other events of the message's own: if it was put back, the turn after that is the one that counts.
    """
    event = decided.event
    if not isinstance(event, ev.MessageDecided) or not event.decision.job_id:
        return Followed(tuple(_restarts(ledger, accepted.seq, decided.seq)))
    put_back = max((each.seq for each in letters if isinstance(each.event, ev.MessageRetried)), default=0)
    found = list(_turn(ledger, decided, event.message_id, f"job:{event.decision.job_id}", put_back))
    latest = [each.event for each in found if each.seq > put_back]
    started = next((each for each in reversed(latest) if isinstance(each, ev.TurnStarted)), None)
    ended = next((each for each in latest if isinstance(each, ev.TurnEnded)), None)
    steps = _steps(found)
    delivery = None
    last = decided if not found else found[-1]
    if ended is not None and ended.reply_id:
        for stored in ledger.read_stream(f"reply:{ended.reply_id}"):
            if isinstance(stored.event, (ev.ReplyDelivered, ev.ReplyFailed)):
                delivery = stored.event
                steps.append(_delivered(stored, delivery, last.at))
                last = stored
            elif isinstance(stored.event, ev.ReplyRetried):
                delivery = None
                steps.append(letter_step(stored))
                last = stored
    steps += settled_steps(ledger, found)
    steps += _restarts(ledger, accepted.seq, last.seq if ended is not None else None)
    children = [each.event for each in found if isinstance(each.event, ev.SubjobStarted)]
    answers = [each.event for each in found if isinstance(each.event, ev.ModelAnswered)]
    return Followed(
        tuple(sorted(steps, key=lambda step: step.seq)),
        started,
        ended,
        delivery,
        totals_of(answers),
        *used_by_children(ledger, decided.user, children, decided.seq),
        any(isinstance(each, ev.MessageDead) for each in latest),
        held_by(ledger, event.decision.thread_id),
    )


def asked_steps(ledger: Ledger, stored: Stored) -> list[Step]:
    """The question as a step of the timeline, and its way to the user."""
    event = stored.event
    if not isinstance(event, ev.QuestionAsked):
        return []
    data: dict[str, Any] = {"reply_id": event.question_id, "text": event.text, "expires_at": iso(event.expires_at)}
    steps = [Step(stored.at, stored.seq, event.TYPE, None, data)]
    last = stored
    for each in ledger.read_stream(f"reply:{event.question_id}"):
        if isinstance(each.event, (ev.ReplyDelivered, ev.ReplyFailed)):
            steps.append(_delivered(each, each.event, last.at))
        elif isinstance(each.event, ev.ReplyRetried):
            steps.append(letter_step(each))
        last = each
    return steps


def totals_of(calls: Iterable[ev.Attempt | ev.ModelAnswered]) -> Totals:
    """The sum of what model calls took."""
    total = Totals()
    for each in calls:
        total = total.plus(each)
    return total


def _turn(ledger: Ledger, decided: Stored, message_id: str, stream: str, put_back: int) -> Iterable[Stored]:
    """The events of the turn that answers the message, from its beginning to its end, as far as it has come.

    If it went to the dead letters and was put back by event `put_back`, of the turns before that too.
    """
    open_turn = over = False
    for stored in ledger.read(after=decided.seq, types=_TURN, user=decided.user):
        event = stored.event
        if isinstance(event, ev.MessageDead):  # right behind the turn's end
            if event.message_id == message_id:
                yield stored
            continue
        if over:
            return
        if isinstance(event, ev.ConfirmationSettled) and event.message_id == message_id:  # this message is the answer
            yield stored
        of_the_turn = isinstance(event, ev.SubjobStarted) and open_turn and f"job:{event.parent}" == stream
        if of_the_turn or (isinstance(event, TAKEOVERS) and f"job:{event.job_id}" == stream):
            yield stored
        if stored.stream != stream:
            continue
        if isinstance(event, (ev.TurnStarted, ev.TurnFailed)) and message_id in event.message_ids:
            open_turn = True
        ended = isinstance(event, ev.TurnEnded) and message_id in event.message_ids  # called off, it may not have begun
        if open_turn or ended:
            yield stored
        if ended:
            open_turn, over = False, stored.seq > put_back


def _steps(found: Iterable[Stored]) -> list[Step]:
    steps: list[Step] = []
    began = 0
    for stored in found:
        event = stored.event
        if isinstance(event, ev.TurnStarted):
            began = stored.at
            data: dict[str, Any] = {
                "job_id": event.job_id,
                "turn": event.turn,
                "message_ids": list(event.message_ids),
                "prompt": {"name": event.prompt_name, "hash": event.prompt},
                "transcript": event.transcript,
                "note": event.trouble,
                "by": event.by,
                "locale": event.locale,
                "recap": event.recap,
            }
            steps.append(Step(stored.at, stored.seq, event.TYPE, None, data, bool(event.trouble)))
        elif isinstance(event, ev.ModelAnswered):
            steps.append(Step(stored.at, stored.seq, event.TYPE, event.latency_us, _model(event)))
        elif isinstance(event, ev.ConfirmationAsked):
            steps.append(asked_step(stored, event))
        elif isinstance(event, ev.SubjobStarted):
            data = {"agent": event.agent, "job_id": event.job_id, "call_id": event.call_id, "wait": event.wait}
            steps.append(Step(stored.at, stored.seq, event.TYPE, None, data | {"text": event.text}))
        elif isinstance(event, ev.ToolIntended):
            data = {"tool": event.tool, "call_id": event.call_id, "arguments": event.arguments}
            data["idempotency_key"] = event.idempotency_key
            steps.append(Step(stored.at, stored.seq, event.TYPE, None, data))
        elif isinstance(event, ev.ToolReturned):
            data = {"tool": event.tool, "call_id": event.call_id, "arguments": event.arguments}
            data |= {"content": event.content, "error": event.error}
            steps.append(Step(stored.at, stored.seq, event.TYPE, event.latency_us, data, event.error))
        elif isinstance(event, (ev.TurnSetAside, *TAKEOVERS)):
            steps.append(takeover_step(stored))
        elif isinstance(event, LETTERS):
            steps.append(letter_step(stored))
        elif isinstance(event, ev.AppEventRecorded):
            data = {"name": event.name, "version": event.version, "data": event.data}
            steps.append(Step(stored.at, stored.seq, event.TYPE, None, data))
        elif isinstance(event, ev.LocaleSet):
            steps.append(Step(stored.at, stored.seq, event.TYPE, None, {"locale": event.locale}))
        elif isinstance(event, ev.ReminderSet):
            data = {"reminder_id": event.reminder_id, "due_at": iso(event.due_at), "note": event.note}
            data["verbatim"] = event.verbatim
            steps.append(Step(stored.at, stored.seq, event.TYPE, None, data))
        elif isinstance(event, ev.TurnEnded):
            data = {"result": event.result, "reason": event.reason, "reply_id": event.reply_id, "reply": event.reply}
            data |= {"deliver": event.deliver, "by": event.by} | ({"then": event.then} if event.then else {})
            trouble = event.result in ("blocked", "failed")
            steps.append(Step(stored.at, stored.seq, event.TYPE, stored.at - began if began else None, data, trouble))
    return steps


def _model(event: ev.ModelAnswered) -> dict[str, Any]:
    return {
        "model": event.model,
        "stop_reason": event.stop_reason,
        "text": "".join(str(block.get("text", "")) for block in event.content if block.get("type") == "text"),
        "tools": [str(block.get("name", "")) for block in event.content if block.get("type") == "tool_use"],
        "content": [dict(block) for block in event.content],
        **totals_of([event]).as_dict(),
    }


def _delivered(stored: Stored, event: ev.ReplyDelivered | ev.ReplyFailed, since: int) -> Step:
    data: dict[str, Any] = {"reply_id": event.reply_id, "attempts": event.attempts}
    failed = isinstance(event, ev.ReplyFailed)
    if isinstance(event, ev.ReplyFailed):
        data["error"] = event.error
    return Step(stored.at, stored.seq, event.TYPE, stored.at - since, data, failed)


def _restarts(ledger: Ledger, after: int, upto: int | None) -> list[Step]:
    """Workers that were started in between: what came after one was finished by another process."""
    kinds = (ev.FleetStarted.TYPE,)
    return [
        Step(
            stored.at,
            stored.seq,
            stored.event.TYPE,
            None,
            {"pid": stored.event.pid, "code_version": stored.event.code_version},
        )
        for stored in ledger.read(after=after, upto=upto, types=kinds, limit=_RESTARTS)
        if isinstance(stored.event, ev.FleetStarted)
    ]

"""Threads as the ledger tells them: which there are, newest first, and what was said and done in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.clock import iso
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    AppEventRecorded,
    Erased,
    HistoryCompacted,
    LocaleSet,
    MessageAccepted,
    MessageDecided,
    MessageRetried,
    ModelAnswered,
    ReminderCancelled,
    ReminderFired,
    ReminderSet,
    ReplyDelivered,
    ReplyFailed,
    SubjobStarted,
    ThreadReleased,
    ThreadTakenOver,
    ToolIntended,
    ToolReturned,
    TurnEnded,
    TurnSetAside,
    TurnStarted,
)

__all__ = ["Conversation", "entry_of", "find_thread", "read_conversation", "recent_threads"]

_THREAD, _JOB = "thr_", "job:job_"


@dataclass
class Conversation:
    """One thread: who, with which agent, since when, where it stands; `events` are its own in the order of the ledger.

    `status` is the last turn's result, or `working` while a message waits or a turn runs. `taken_over` is who answers
    in its agent's place, "" for nobody. Times in microseconds UTC.
    """

    thread_id: str
    user: str = ""
    agent: str = ""
    name: str = ""
    language: str = ""
    locale: str = ""
    status: str = "working"
    taken_over: str = ""
    started_at: int = 0
    latest_at: int = 0
    messages: int = 0
    last_reply: str = ""
    events: list[Stored] = field(default_factory=list)

    def redacted(self) -> Conversation:
        """The same without personal data in its texts."""
        from fleet.audit.redacted import redacted_events  # its rules take time to compile

        clean = replace(self, name="", language="", locale="", last_reply="", events=redacted_events(self.events))
        _stand(clean)
        return clean

    def as_json(self) -> dict[str, Any]:
        """The thread without its events; times in ISO 8601."""
        return {
            "thread_id": self.thread_id,
            "user": self.user,
            "agent": self.agent,
            "name": self.name,
            "language": self.language,
            "locale": self.locale,
            "status": self.status,
            "taken_over": self.taken_over,
            "messages": self.messages,
            "started_at": iso(self.started_at),
            "latest_activity_at": iso(self.latest_at),
            "last_assistant_message": self.last_reply,
        }


def recent_threads(ledger: Ledger, *, user: str = "", limit: int = 20) -> Iterator[Conversation]:
    """Threads by their latest activity, newest first; of one `user`, or of all. Reads no further back than it must."""
    seen: set[str] = set()
    waiting = _Waiting(ledger)
    types = (MessageDecided.TYPE, TurnEnded.TYPE)
    for stored in ledger.read(types=types, user=user, newest_first=True):
        if len(seen) >= limit:
            return
        event = stored.event
        thread_id = event.decision.thread_id if isinstance(event, MessageDecided) else ""
        if isinstance(event, TurnEnded):
            thread_id = event.thread_id
        if thread_id and thread_id not in seen:
            seen.add(thread_id)
            yield _read(ledger, thread_id, waiting.of(stored.user))


def find_thread(ledger: Ledger, given: str) -> str:
    """The id of the thread that `given` names: an id, or the beginning of exactly one.

    Raises: InputError if there is none, or more than one.
    """
    beginning = given.removeprefix(_THREAD)
    found = (
        {_THREAD + name.removeprefix(_JOB) for name in ledger.find_streams(_JOB + beginning, 5)} if beginning else set()
    )
    if len(found) < 2:  # a thread that no turn has been taken in yet has no job to be found by
        started = (decided.decision.thread_id for decided in _Waiting(ledger).all())
        found |= {name for name in started if beginning and name.startswith(_THREAD + beginning)}
    if _THREAD + beginning in found:
        return _THREAD + beginning
    if not found:
        raise InputError(f"there is no thread {given!r}; `fleet threads list` shows them")
    if len(found) > 1:
        raise InputError(f"{given!r} could be {', '.join(sorted(found)[:4])}…; give more of the id")
    return found.pop()


def read_conversation(ledger: Ledger, thread_id: str, at: int | None = None) -> Conversation:
    """One thread with all its events: messages, decisions, turns, steps, deliveries.

    With `at` (microseconds since 1970) as it was at that moment. Raises: InputError if it had not begun by then.
    """
    told = _read(ledger, thread_id, _Waiting(ledger).of(""))
    if at is None:
        return told
    if told.started_at > at:
        raise InputError(f"thread {thread_id} began later, at {iso(told.started_at)}")
    by_then = [stored for stored in told.events if stored.at <= at]
    routed = {stored.event.message_id for stored in by_then if isinstance(stored.event, MessageDecided)}
    then = Conversation(thread_id, messages=len(routed))
    then.events = [
        stored
        for stored in by_then  # a message that was still in the inbox was in no thread
        if not isinstance(stored.event, MessageAccepted) or stored.event.message_id in routed
    ]
    _stand(then)
    return then


class _Waiting:
    """Messages that were routed and that no turn has ended for, by the queue of turns."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pending = ledger.pending("turns")

    def of(self, user: str) -> list[MessageDecided]:
        """Those of one user ("": of all), in order."""
        entries = [entry for entry in self._pending if not user or entry.user == user]
        events = (
            stored.event for entry in entries for stored in self._ledger.read(after=entry.seq - 1, upto=entry.seq)
        )
        return [event for event in events if isinstance(event, MessageDecided)]

    def all(self) -> list[MessageDecided]:
        """All of them."""
        return self.of("")


def _read(ledger: Ledger, thread_id: str, waiting: list[MessageDecided]) -> Conversation:
    told = Conversation(thread_id)
    steps = ledger.read_stream(_JOB + thread_id.removeprefix(_THREAD))
    ids = [each for stored in steps if isinstance(stored.event, TurnStarted) for each in stored.event.message_ids]
    ids += [event.message_id for event in waiting if event.decision.thread_id == thread_id]
    if any(isinstance(stored.event, Erased) for stored in steps):
        raise InputError(f"thread {thread_id} was erased: its user was forgotten, and nothing but its id is left")
    told.events = [*steps, *ledger.read_stream(f"takeover:{thread_id}")]
    for message_id in dict.fromkeys(ids):
        told.events += ledger.read_stream(f"message:{message_id}")
        told.messages += 1
    for stored in steps:
        if isinstance(stored.event, TurnEnded) and stored.event.reply_id:
            told.events += ledger.read_stream(f"reply:{stored.event.reply_id}")
        elif isinstance(stored.event, ReminderSet):
            told.events += ledger.read_stream(f"reminder:{stored.event.reminder_id}")
    told.events.sort(key=lambda stored: stored.seq)
    _stand(told)
    return told


def _stand(told: Conversation) -> None:
    """Where the thread stands after its events."""
    open_ids: set[str] = set()
    for stored in told.events:
        event = stored.event
        if isinstance(event, MessageDecided):
            decision = event.decision
            told.agent, told.user = decision.agent, event.user
            told.name, told.language = told.name or decision.name, told.language or decision.language
            told.started_at = told.started_at or stored.at
            open_ids.add(event.message_id)
            told.latest_at = stored.at
        elif isinstance(event, SubjobStarted):
            told.agent, told.user, told.name = event.agent, event.user, event.name
            told.started_at = told.latest_at = stored.at
            open_ids.add(event.message_id)
        elif isinstance(event, MessageRetried):
            open_ids.add(event.message_id)
        elif isinstance(event, (TurnStarted, LocaleSet)):
            told.locale = event.locale or ("" if isinstance(event, LocaleSet) else told.locale)
        elif isinstance(event, ThreadTakenOver):
            told.taken_over = event.by
        elif isinstance(event, ThreadReleased):
            told.taken_over = ""
        elif isinstance(event, TurnEnded):
            open_ids -= set(event.message_ids)
            told.latest_at = stored.at
            told.status = event.result
            told.last_reply = event.reply or told.last_reply
    if open_ids:
        told.status = "working"


def entry_of(stored: Stored) -> dict[str, Any] | None:
    """What one event of a thread is to a reader, as plain JSON with `seq`, `at` and `kind`; None if it is nothing."""
    event = stored.event
    base = {"seq": stored.seq, "at": iso(stored.at)}
    match event:
        case MessageAccepted():
            return {**base, "kind": "message", "message_id": event.message_id, "user": event.user, "text": event.text}
        case MessageDecided():
            decision = event.decision
            return {
                **base, "kind": "decision", "message_id": event.message_id,
                "action": decision.outcome, "agent": decision.agent, "fallback": decision.fallback,
                "reason": decision.reason or decision.gate_reason,
            }  # fmt: skip
        case SubjobStarted():
            return {**base, "kind": "task", "agent": event.agent, "parent": event.parent, "text": event.text}
        case ModelAnswered():
            text = "".join(block["text"] for block in event.content if block.get("type") == "text")
            calls = [
                {"call_id": block["id"], "tool": block["name"], "arguments": block["input"]}
                for block in event.content
                if block.get("type") == "tool_use"
            ]
            return {**base, "kind": "model", "model": event.model, "text": text, "calls": calls}
        case ToolIntended():
            return {
                **base,
                "kind": "intent",
                "call_id": event.call_id,
                "tool": event.tool,
                "arguments": event.arguments,
            }
        case ToolReturned():
            return {
                **base, "kind": "tool", "call_id": event.call_id, "tool": event.tool, "arguments": event.arguments,
                "content": event.content, "error": event.error,
            }  # fmt: skip
        case AppEventRecorded():
            return {**base, "kind": "event", "name": event.name, "data": event.data}
        case TurnEnded():
            return {
                **base, "kind": "reply", "result": event.result, "reply_id": event.reply_id, "text": event.reply,
                "delivered_to_user": event.deliver, "reason": event.reason, "by": event.by,
            }  # fmt: skip
        case ThreadTakenOver() | ThreadReleased() | TurnSetAside():
            what = {ThreadTakenOver.TYPE: "taken over", ThreadReleased.TYPE: "released"}.get(event.TYPE, "set aside")
            return {**base, "kind": "takeover", "what": what, "by": event.by}
        case HistoryCompacted():
            return {**base, "kind": "recap", "first_turn": event.first_turn, "last_turn": event.last_turn,
                    "model": event.model, "text": event.recap}  # fmt: skip
        case LocaleSet():
            return {**base, "kind": "locale", "locale": event.locale}
        case ReminderSet():
            return {**base, "kind": "reminder", "what": "set", "reminder_id": event.reminder_id, "note": event.note,
                    "due_at": iso(event.due_at), "verbatim": event.verbatim, "by": ""}  # fmt: skip
        case ReminderFired():
            return {**base, "kind": "reminder", "what": "due", "reminder_id": event.reminder_id}
        case ReminderCancelled():
            return {**base, "kind": "reminder", "what": "cancelled", "reminder_id": event.reminder_id, "by": event.by}
        case ReplyDelivered() | ReplyFailed():
            failed = isinstance(event, ReplyFailed)
            return {
                **base,
                "kind": "delivery",
                "reply_id": event.reply_id,
                "failed": failed,
                "attempts": event.attempts,
            }
        case _:
            return None

"""Intake: a message is accepted when it is durable, once per message id. Any process may do it.

While as many messages wait to be routed as the setting allows, more are refused, so that who sends slows down and
what was accepted is not kept waiting without end. Processes that send at the same moment may go over by one each.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet.clock import now_us, to_us
from fleet.errors import InboxFullError, InputError, LedgerError, StaleWriteError
from fleet.ledger.assignment import STEP
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import Assignment, DispatchRequested, Erased, MessageAccepted, MessageDecided

__all__ = ["Accepted", "Intake", "Message", "accept_now", "as_message", "check_message"]

_MAX_ID = 128
_PACE = 20  # decisions that say how fast the inbox empties
_LONGEST_S = 60  # to wait before another try
_URGENT = 9
_HOW: dict[str, Any] = {
    "metadata": {},
    "priority": 0,
    "not_before": 0,
}  # what two sendings of one message may differ in
_STEP_ID = re.compile(re.escape(STEP) + r"\d+$")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True)
class Message:
    """One inbound message. `id` makes it idempotent ("" : one is made); `metadata` is JSON-able and reaches warmup.

    With `dispatch` it is an explicit dispatch, and may have no text. `priority` is between users, -9 to 9, higher
    first; `not_before` an aware time before which it is not routed: it then stands behind what its user has sent until
    that time.
    `roles` are those that it may go to (none: all).
    """

    sender: str
    text: str
    id: str = ""
    channel: str = ""
    session_id: str = ""
    language: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dispatch: Assignment | None = None
    priority: int = 0
    not_before: datetime | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accepted:
    """The id of a message that is durable; `new` is False if it was so before, and nothing changed."""

    message_id: str
    new: bool


class Intake:
    """Takes messages into the inbox of a running fleet.

    `waiting` has the ids of those that are not routed yet, also while they are on their way to the disk; whoever
    routes one takes it out.
    """

    def __init__(self, ledger: Ledger, max_bytes: int, limit: int) -> None:
        self.waiting: set[str] = set()
        self._ledger, self._max_bytes, self._limit = ledger, max_bytes, limit
        self._pace = (0.0, 0)  # until when it holds, and the seconds after which to try again

    async def accept(self, message: Message) -> Accepted:
        """Make a message durable in the inbox.

        Raises: InputError for an empty or too large text, an id or user that is no plain line, or an id that another
        text has; InboxFullError; LedgerError if it cannot be written. Nothing is written then.
        """
        draft = _draft(message, self._max_bytes)
        message_id = _id(draft)
        new = message_id not in self.waiting
        if new and self._limit and len(self.waiting) >= self._limit:
            if self._ledger.version(draft.stream):
                return _known(self._ledger, draft)
            raise _full(len(self.waiting), self._limit, self._retry_after())
        self.waiting.add(message_id)
        try:
            await self._ledger.append(draft)
        except LedgerError as error:
            if new:
                self.waiting.discard(message_id)
            if isinstance(error, StaleWriteError):
                return _known(self._ledger, draft)
            raise
        return Accepted(message_id, new=True)

    def _retry_after(self) -> int:
        """The estimate, made once a second however many are refused."""
        until, seconds = self._pace
        if time.monotonic() >= until:
            seconds = _retry_after(self._ledger, self._limit)
            self._pace = (time.monotonic() + 1, seconds)
        return seconds


def accept_now(ledger: Ledger, message: Message, max_bytes: int, limit: int = 0) -> Accepted:
    """The same for any process, without an event loop; it returns when the message is durable. `limit` 0: none."""
    draft = _draft(message, max_bytes)
    if limit and (waiting := ledger.pending_count("inbox")) >= limit and not ledger.version(draft.stream):
        raise _full(waiting, limit, _retry_after(ledger, limit))
    try:
        ledger.append_now(draft)
    except StaleWriteError:
        return _known(ledger, draft)
    return Accepted(_id(draft), new=True)


def check_message(message: Message, max_bytes: int) -> None:
    """Refuse what intake would refuse by itself, before anything is opened or made. Raises: InputError."""
    _draft(message, max_bytes)


def as_message(given: Any) -> Message:
    """The message that an application's own object is: a Message, a mapping, or an object with the same names.

    `sender` may also be spelled user, and may be an object with an id; `text` body, content, or what str() gives.
    Raises: InputError if there is no sender.
    """
    if isinstance(given, Message):
        return given

    def find(*names: str) -> Any:
        for name in names:
            value = given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)
            if value is not None and not callable(value):
                return value
        return None

    sender = find("sender", "user", "user_id")
    if sender is None:
        raise InputError(f"a message needs a sender; {type(given).__name__} has no sender, user or user_id")
    sender_id = sender if isinstance(sender, (str, int)) else getattr(sender, "id", None)
    text = find("text", "body", "content")
    return Message(
        sender=str(sender if sender_id is None else sender_id),
        text=str(given if text is None else text),
        id=str(find("id", "message_id") or ""),
        channel=str(find("channel") or ""),
        session_id=str(find("session_id") or ""),
        language=str(find("language", "locale") or ""),
        metadata=dict(find("metadata") or {}),
        priority=find("priority") or 0,
        not_before=find("not_before"),
    )


def _draft(message: Message, max_bytes: int) -> Draft:
    text, user = message.text, message.sender
    if not isinstance(text, str):
        raise InputError(f"a message's text is a str, not {type(text).__name__}; nothing was sent")
    if not text.strip() and (message.dispatch is None or message.dispatch.ask):
        raise InputError("the message is empty; nothing was sent")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InputError("the message is not valid Unicode text; nothing was sent") from None
    if size > max_bytes:
        raise InputError(f"the message has {size} bytes and at most {max_bytes} are accepted; nothing was sent")
    if "\x00" in text:
        raise InputError("the message holds a NUL character; nothing was sent")
    message_id = message.id or f"{'dsp' if message.dispatch else 'msg'}_{secrets.token_hex(8)}"
    for what, value, needed in (
        ("user", user, True),
        ("message id", message_id, True),
        ("channel", message.channel, False),
        ("session id", message.session_id, False),
    ):
        if not _is_line(value) or (needed and not value):
            raise InputError(f"a {what} is {int(needed)} to {_MAX_ID} printable characters; nothing was sent")
    if _STEP_ID.search(message_id):
        raise InputError(f"an id that ends in {STEP}N is of a workflow's step; nothing was sent")
    language = message.language.replace("_", "-")
    if language and not _LANGUAGE.fullmatch(language):  # warmups print it as it stands
        raise InputError("a language is a tag such as en, pt-BR or zh-Hant-TW; nothing was sent")
    if type(message.priority) is not int or not -_URGENT <= message.priority <= _URGENT:
        raise InputError(f"a priority is a whole number from -{_URGENT} to {_URGENT}; nothing was sent")
    fields: dict[str, Any] = {
        "message_id": message_id, "user": user, "text": text, "channel": message.channel,
        "session_id": message.session_id, "language": language, "metadata": _metadata(message.metadata),
        "priority": message.priority, "not_before": _not_before(message.not_before),
        "roles": message.roles,
    }  # fmt: skip
    given = message.dispatch
    event = DispatchRequested(assignment=_assignment(given), **fields) if given else MessageAccepted(**fields)
    return Draft(f"message:{message_id}", 0, (event,), user)


def _assignment(given: Assignment) -> Assignment:
    """The assignment, checked. Raises: InputError."""
    for what, value in (
        *(("role", role) for role in (given.agent, *given.workflow, *given.among)), ("thread", given.thread_id),
        ("name", given.name), ("dispatch's author", given.by),
    ):  # fmt: skip
        if not _is_line(value):
            raise InputError(f"a {what} is 0 to {_MAX_ID} printable characters; nothing was sent")
    if given.new_thread and given.thread_id:
        raise InputError("a dispatch goes to a thread or to a new one, not both; nothing was sent")
    if given.ask:
        if given.thread_id or given.new_thread or given.name or given.handoff:
            raise InputError("a dispatch whose user is asked names no thread; nothing was sent")
        return given
    if given.workflow and (given.thread_id or given.handoff or given.agent != given.workflow[0]):
        raise InputError("a workflow begins with its first agent, in a new thread; nothing was sent")
    if given.handoff and not (given.agent and given.thread_id):
        raise InputError("to hand a thread over takes the thread and an agent; nothing was sent")
    if not given.agent and not given.thread_id:
        raise InputError("a dispatch needs an agent, or a thread; nothing was sent")
    return given


def _is_line(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_ID and value.isprintable() and value == value.strip()


def _not_before(given: object) -> int:
    """The time as it is stored; 0 if none was given. Raises: InputError for what is no aware time after 1970."""
    if given is None:
        return 0
    if isinstance(given, datetime) and given.tzinfo is not None and (at := to_us(given)) > 0:
        return at
    raise InputError("not_before is a time with a time zone, as datetime.now(UTC) gives it; nothing was sent")


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as it will be read back. Raises: InputError if it is no JSON object of valid text and numbers."""
    if not given:
        return {}
    try:
        body = json.dumps(dict(given), allow_nan=False, ensure_ascii=False)
        body.encode()
        data: dict[str, Any] = json.loads(body)
    except (TypeError, ValueError, RecursionError):
        raise InputError("the message's metadata is not JSON; nothing was sent") from None
    return data


def _id(draft: Draft) -> str:
    return draft.stream.removeprefix("message:")


def _known(ledger: Ledger, draft: Draft) -> Accepted:
    before, now = ledger.read_stream(draft.stream)[0].event, draft.events[0]
    if isinstance(before, Erased):
        raise InputError(f"message id {_id(draft)} was of a message that has been forgotten; send it under another id")
    if not isinstance(before, MessageAccepted) or before.model_copy(update=_HOW) != now.model_copy(update=_HOW):
        raise InputError(f"message id {_id(draft)} was used before for another message; nothing was sent")
    return Accepted(_id(draft), new=False)


def _full(waiting: int, limit: int, retry_after: int) -> InboxFullError:
    return InboxFullError(
        f"the inbox is full: {waiting} messages wait to be routed and at most {limit} may; nothing was sent; "
        f"try again in {retry_after} s",
        retry_after,
    )


def _retry_after(ledger: Ledger, limit: int) -> int:
    """Whole seconds in which a tenth of the limit is routed, at the pace of the last decisions."""
    last = list(ledger.read(types=(MessageDecided.TYPE,), newest_first=True, limit=_PACE))
    if not last:
        return _LONGEST_S
    seconds = (now_us() - last[-1].at) / 1e6 / len(last) * limit / 10
    return min(max(math.ceil(seconds), 1), _LONGEST_S)

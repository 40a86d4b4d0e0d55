"""Intake: a message is accepted when it is durable, once per message id. Any process may do it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import MessageAccepted

__all__ = ["Accepted", "Message", "accept", "accept_now", "as_message", "check_message"]

_MAX_ID = 128
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True)
class Message:
    """One inbound message. `id` makes it idempotent ("" : one is made); `metadata` is JSON-able and reaches warmup."""

    sender: str
    text: str
    id: str = ""
    channel: str = ""
    session_id: str = ""
    language: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """The id of a message that is durable; `new` is False if it was so before, and nothing changed."""

    message_id: str
    new: bool


async def accept(ledger: Ledger, message: Message, max_bytes: int) -> Accepted:
    """Make a message durable in the inbox.

    Raises: InputError for an empty or too large text, an id or user that is no plain line, or an id that another
    text has; LedgerError if it cannot be written. Nothing is written then.
    """
    draft = _draft(message, max_bytes)
    try:
        await ledger.append(draft)
    except StaleWriteError:
        return _known(ledger, draft)
    return Accepted(_id(draft), new=True)


def accept_now(ledger: Ledger, message: Message, max_bytes: int) -> Accepted:
    """The same for a caller without an event loop; it returns when the message is durable."""
    draft = _draft(message, max_bytes)
    try:
        ledger.append_now(draft)
    except StaleWriteError:
        return _known(ledger, draft)
    return Accepted(_id(draft), new=True)


def check_message(message: Message, max_bytes: int) -> None:
    """Refuse what `accept` would refuse by itself, before anything is opened or made. Raises: InputError."""
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
    )


def _draft(message: Message, max_bytes: int) -> Draft:
    text, user = message.text, message.sender
    if not isinstance(text, str):
        raise InputError(f"a message's text is a str, not {type(text).__name__}; nothing was sent")
    if not text.strip():
        raise InputError("the message is empty; nothing was sent")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InputError("the message is not valid Unicode text; nothing was sent") from None
    if size > max_bytes:
        raise InputError(f"the message has {size} bytes and at most {max_bytes} are accepted; nothing was sent")
    if "\x00" in text:
        raise InputError("the message holds a NUL character; nothing was sent")
    message_id = message.id or f"msg_{secrets.token_hex(8)}"
    for what, value, needed in (
        ("user", user, True),
        ("message id", message_id, True),
        ("channel", message.channel, False),
        ("session id", message.session_id, False),
    ):
        if not _is_line(value) or (needed and not value):
            raise InputError(f"a {what} is {int(needed)} to {_MAX_ID} printable characters; nothing was sent")
    language = message.language.replace("_", "-")
    if language and not _LANGUAGE.fullmatch(language):  # warmups print it as it stands
        raise InputError("a language is a tag such as en, pt-BR or zh-Hant-TW; nothing was sent")
    event = MessageAccepted(
        message_id=message_id,
        user=user,
        text=text,
        channel=message.channel,
        session_id=message.session_id,
        language=language,
        metadata=_metadata(message.metadata),
    )
    return Draft(f"message:{message_id}", 0, (event,), user)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_ID and value.isprintable() and value == value.strip()


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as it will be read back. Raises: InputError if it is no JSON object of valid text and numbers."""
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
    if not isinstance(before, MessageAccepted) or before.model_copy(update={"metadata": {}}) != now.model_copy(
        update={"metadata": {}}
    ):
        raise InputError(f"message id {_id(draft)} was used before for another message; nothing was sent")
    return Accepted(_id(draft), new=False)

"""Answers as JSON: reading what a server sent, with its shape checked, and storing what a model said.

A server that speaks the Messages API may still send something else with status 200. The provider's SDK does not
check, so this module does: whoever holds an `Answer` may rely on its shape.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fleet.errors import ModelAnswerError, ModelRefusedError
from fleet.llm.base import Answer, Block, Request, Usage

__all__ = ["answer_to_json", "read_answer", "read_message", "request_key", "stop_reason_of"]

# What a block of these types must hold; any other type is passed on as it came.
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "text": {"text": str},
    "thinking": {"thinking": str},
    "tool_use": {"id": str, "name": str, "input": dict},
}


def read_message(message: Any, *, source: str, extra: Mapping[str, Any] | None = None) -> Answer:
    """The answer in a decoded message of the Messages API; `source` names the model in errors.

    Fields of a block that are null are left out, since the API refuses some of them when they are sent back.
    Raises: ModelAnswerError that says which field is wrong; it never quotes what the model said.
    """
    body = _mapping(message, "the message", source)
    if body.get("type") != "message":
        raise _wrong(source, "type", "is not 'message'")
    content = tuple(_block(block, index, source) for index, block in enumerate(_list(body, "content", source)))
    usage = _mapping(body.get("usage"), "usage", source)
    return Answer(
        content=content,
        stop_reason=_text(body, "stop_reason", source),
        model=_text(body, "model", source),
        usage=Usage(
            input_tokens=_count(usage, "input_tokens", source),
            output_tokens=_count(usage, "output_tokens", source),
            cache_read_tokens=_count(usage, "cache_read_input_tokens", source, optional=True),
            cache_write_tokens=_count(usage, "cache_creation_input_tokens", source, optional=True),
        ),
        extra=dict(extra or {}),
    )


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """An answer as the message that `read_answer` reads back, with `extra` kept beside it."""
    return {
        "type": "message",
        "model": answer.model,
        "content": [dict(block) for block in answer.content],
        "stop_reason": answer.stop_reason,
        "usage": {
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "cache_read_input_tokens": answer.usage.cache_read_tokens,
            "cache_creation_input_tokens": answer.usage.cache_write_tokens,
        },
        "extra": dict(answer.extra),
    }


def read_answer(stored: Any, *, source: str) -> Answer:
    """The answer that `answer_to_json` stored. Raises: ModelAnswerError."""
    extra = stored.get("extra") if isinstance(stored, Mapping) else None
    return read_message(stored, source=source, extra=extra if isinstance(extra, Mapping) else None)


def request_key(request: Request) -> str:
    """The sha256 (hex) of what a request asks: system, messages, tools, max_tokens and purpose; not its timeout.

    The order of keys in JSON objects makes no difference; the order of messages, blocks and tools does.
    Raises: ModelRefusedError for a request that holds anything but JSON values.
    """
    asked = {
        "system": request.system,
        "messages": request.messages,
        "tools": request.tools,
        "max_tokens": request.max_tokens,
        "purpose": request.purpose,
    }
    try:
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise ModelRefusedError(f"the request cannot be written as JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()


def stop_reason_of(content: tuple[Block, ...]) -> str:
    """Why a finished answer with these blocks stopped: for a tool, or because it was done."""
    return "tool_use" if any(block.get("type") == "tool_use" for block in content) else "end_turn"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a request holds JSON values only, not {type(value).__name__}")


def _block(block: Any, index: int, source: str) -> Block:
    where = f"content[{index}]"
    given = _mapping(block, where, source)
    kind = _text(given, "type", source, where)
    for name, wanted in _FIELDS.get(kind, {}).items():
        if not isinstance(given.get(name), wanted):
            raise _wrong(source, f"{where}.{name}", f"is no {wanted.__name__}")
    try:
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError):
        # A NaN or half a surrogate pair gets through json.loads, and could then be neither stored nor sent back.
        raise _wrong(source, where, "is no JSON in Unicode") from None
    return {name: value for name, value in given.items() if value is not None}


def _mapping(value: Any, where: str, source: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(source, where, f"is no object but {_kind(value)}")
    return value


def _list(body: Mapping[str, Any], name: str, source: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list):
        raise _wrong(source, name, f"is no list but {_kind(value)}")
    return value


def _text(body: Mapping[str, Any], name: str, source: str, within: str = "") -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise _wrong(source, f"{within}.{name}" if within else name, f"is no text but {_kind(value)}")
    return value


def _count(usage: Mapping[str, Any], name: str, source: str, *, optional: bool = False) -> int:
    value = usage.get(name)
    if value is None and optional:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(source, f"usage.{name}", f"is no count but {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__


def _wrong(source: str, where: str, what: str) -> ModelAnswerError:
    return ModelAnswerError(
        f"{source} sent an answer of the wrong shape: {where} {what}; "
        "check that the server at its base URL speaks the Messages API"
    )

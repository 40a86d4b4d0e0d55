"""What a server of the Messages API may send, its failures included, down to the bytes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Block = Mapping[str, Any]
USAGE = {"input_tokens": 12, "output_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1500}


@dataclass(frozen=True)
class Reply:
    """One response: blocks, or an error status, or raw bytes; late, never, or cut off on the way.

    `cut` says where the connection is dropped: before the headers, in the middle of the body or stream; "end" closes
    a stream in good order but before its last event. With `go_on` a stream stops behind its first piece of text until
    that is set. `error` is (type, message); with status 200 a stream ends in it.
    """

    content: Sequence[Block] = ()
    stop_reason: str = ""
    usage: Mapping[str, Any] = field(default_factory=lambda: dict(USAGE))
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    body: str | None = None
    delay_s: float = 0.0
    hang: bool = False
    cut: Literal["", "headers", "middle", "end"] = ""
    go_on: asyncio.Event | None = None


_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def text(words: str, **more: Any) -> Reply:
    return Reply(content=[{"type": "text", "text": words, "citations": None}], **more)


def thinking(thought: str = "", signature: str = "c2lnbmVk") -> Block:
    return {"type": "thinking", "thinking": thought, "signature": signature}


def tool_use(name: str, arguments: Mapping[str, Any], use_id: str = "toolu_01", **more: Any) -> Reply:
    return Reply(content=[{"type": "tool_use", "id": use_id, "name": name, "input": dict(arguments)}], **more)


def error(status: int, message: str = "as the test wants it", *, retry_after: float | None = None) -> Reply:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return Reply(status=status, headers=headers, error=(_ERROR_TYPES.get(status, "api_error"), message))


def malformed() -> Reply:
    return Reply(body='{"type": "message", "content": [{"type": "te')


def wrong_shape(value: Any) -> Reply:
    return Reply(body=json.dumps(value))


def standard(request: Mapping[str, Any]) -> Reply:
    """What a model would say that takes the first thread, else the first agent."""
    content = request["messages"][-1]["content"]
    shown = content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
    agents = re.search(r"^Available agents:\n- (\w+)", shown, re.M)
    language = re.search(r"^Language:\n(\S+)", shown, re.M)
    if re.search(r"^threads\[0\]:", shown, re.M):
        action = "dispatch_to(threads[0])"
    elif agents:
        action = f'start_new_thread(agent="{agents[1]}", language="{language[1] if language else "en"}")'
    else:
        return text("Done.")
    return text(f"```python\n{action}\n```")


def plain(reply: Reply, asked: Mapping[str, Any]) -> bytes:
    if reply.error is not None:
        body = json.dumps(_error_body(reply.error)).encode()
    elif reply.body is not None:
        body = reply.body.encode()
    else:
        body = json.dumps(_message(reply, asked, list(reply.content), _stop_reason(reply))).encode()
    head = _head(reply, "application/json", {"content-length": str(len(body))})
    return head + (body[: len(body) // 2] if reply.cut else body)


def stream(reply: Reply, asked: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """A stream up to its first piece of text, and the rest of it."""
    events = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _events(reply, asked)]
    if reply.cut == "middle":
        events = events[: len(events) // 2]
    elif reply.cut == "end":
        events = events[:-1]
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
    first = next((number for number, event in enumerate(events, 1) if b"text_delta" in event), len(events))
    head = _head(reply, "text/event-stream; charset=utf-8", {"transfer-encoding": "chunked"})
    rest = b"".join(chunks[first:]) + (b"" if reply.cut == "middle" else b"0\r\n\r\n")
    return head + b"".join(chunks[:first]), rest


def _events(reply: Reply, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    start = _message(reply, asked, [], None)
    yield {"type": "message_start", "message": {**start, "usage": {**start["usage"], "output_tokens": 1}}}
    yield {"type": "ping"}
    for index, block in enumerate(reply.content):
        opened, deltas = _opened(block)
        yield {"type": "content_block_start", "index": index, "content_block": opened}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    if reply.error is not None:
        yield _error_body(reply.error)
        return
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(reply), "stop_sequence": None},
        "usage": {"output_tokens": reply.usage["output_tokens"]},
    }
    yield {"type": "message_stop"}


def _opened(block: Block) -> tuple[Block, list[dict[str, Any]]]:
    """A block as it is opened in a stream, and the deltas that fill it."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*deltas, signed]
    if block["type"] == "tool_use":
        pieces = _pieces(json.dumps(block["input"]))
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block, []


def _pieces(words: str, size: int = 12) -> list[str]:
    return [words[at : at + size] for at in range(0, len(words), size)]


def _message(reply: Reply, asked: Mapping[str, Any], content: list[Block], stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": asked.get("model", "claude-test"),
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": dict(reply.usage),
    }


def _stop_reason(reply: Reply) -> str:
    called = any(block.get("type") == "tool_use" for block in reply.content)
    return reply.stop_reason or ("tool_use" if called else "end_turn")


def _error_body(said: tuple[str, str]) -> dict[str, Any]:
    return {"type": "error", "error": {"type": said[0], "message": said[1]}, "request_id": "req_01"}


def _head(reply: Reply, kind: str, more: Mapping[str, str]) -> bytes:
    headers = {"content-type": kind, "request-id": "req_01", **more, **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")

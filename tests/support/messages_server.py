"""A loopback server that speaks the Messages API, with its failures: nothing but the socket is an imitation.

    async with MessagesServer() as server:
        server.script(error(429, retry_after=0), text("Done."))
        model = AnthropicModel("claude-test", api_key="sk-…", base_url=server.url)

A scripted `Reply` is used once, in order; then the handler answers, a function from the request's JSON to a `Reply`
(it may be async). The standard handler routes a dispatcher's transcript and says "Done." to anything else. As a
process of its own: `python tests/serve_messages.py --port 0 --latency-ms 50`; it prints its port.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from support.messages_replies import (
    Reply,
    error,
    malformed,
    plain,
    standard,
    stream,
    text,
    thinking,
    tool_use,
    wrong_shape,
)

__all__ = [
    "MessagesServer",
    "Reply",
    "Seen",
    "error",
    "malformed",
    "standard",
    "text",
    "thinking",
    "tool_use",
    "wrong_shape",
]


@dataclass(frozen=True)
class Seen:
    """One request as it came; `headers` in lower case, credentials replaced by ***; `raw` is the body's bytes."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class MessagesServer:
    """Listens on 127.0.0.1 while its context is open; `requests` holds the last `keep` requests."""

    def __init__(
        self, handler: Callable[[Any], Any] = standard, *, port: int = 0, latency_s: float = 0.0, keep: int = 10_000
    ) -> None:
        self.handler = handler
        self.requests: deque[Seen] = deque(maxlen=keep)
        self.connections = 0
        self.failures: list[Exception] = []
        self._scripted: deque[Reply] = deque()
        self._port = port
        self._latency_s = latency_s
        self._changed = asyncio.Condition()
        self._arrived = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def script(self, *replies: Reply) -> None:
        self._scripted.extend(replies)

    async def arrived(self, count: int) -> None:
        """Wait until so many requests have come in."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._arrived >= count)

    async def idle(self) -> None:
        """Wait until every client has gone."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.connections == 0)

    async def __aenter__(self) -> MessagesServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, limit=1 << 20)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self.failures and exc[0] is None:
            raise self.failures[0]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client hung up, or the test is over
        except Exception as failure:
            self.failures.append(failure)
        finally:
            writer.close()
            self._tasks.discard(task)
            self.connections -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        fields = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        for secret in headers.keys() & {"authorization", "x-api-key"}:
            headers[secret] = "***"
        seen = Seen(method, path, headers, raw)
        self.requests.append(seen)
        self._arrived += 1
        async with self._changed:
            self._changed.notify_all()
        reply = await self._reply(seen)
        if self._latency_s or reply.delay_s:
            await asyncio.sleep(self._latency_s + reply.delay_s)
        if reply.hang:
            await reader.read()  # until the client gives up
            return False
        asked = seen.json if raw else {}
        streamed = reply.status == 200 and reply.body is None and asked.get("stream") is True
        if reply.cut == "headers":
            return False
        begun, rest = stream(reply, asked) if streamed else (plain(reply, asked), b"")
        writer.write(begun)
        await writer.drain()
        if reply.go_on is not None:
            await reply.go_on.wait()
        writer.write(rest)
        await writer.drain()
        return reply.cut in ("", "end")

    async def _reply(self, seen: Seen) -> Reply:
        if (seen.method, seen.path.partition("?")[0]) != ("POST", "/v1/messages"):
            return error(404, f"no {seen.method} {seen.path} here")
        if self._scripted:
            return self._scripted.popleft()
        said = self.handler(seen.json)
        return await said if inspect.isawaitable(said) else said

"""Claude, and any server that speaks the Messages API; the only door to the anthropic SDK.

The SDK takes more than a second to import, so it is imported when the first model is built. Its clients pool
connections: all models with the same key and server share one. It tries again by itself (408, 409, 429, 5xx, a lost
connection; it waits as long as the server's Retry-After says), so nothing here does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from fleet.errors import ConfigError, ModelAnswerError, ModelError, ModelRefusedError, ModelUnavailableError
from fleet.llm.answers import read_message
from fleet.llm.base import Answer, Request, Tell

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["AnthropicModel"]

_PROVIDER = "https://api.anthropic.com"
# A larger answer could take over ten minutes, and an idle connection does not last that long: the SDK's own rule.
_MOST_UNSTREAMED_TOKENS = 21_333
# A server that cannot even be reached should not use up the whole time for an answer; the SDK's own default.
_CONNECT_S = 5.0
_QUOTED = 300
_CACHED = {"type": "ephemeral"}


@dataclass
class _Shared:
    """A client and how many models use it."""

    client: AsyncAnthropic
    users: int = 0


# Connections belong to the event loop that opened them.
_POOL: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], _Shared]] = WeakKeyDictionary()


class AnthropicModel:
    """One model of a server that speaks the Messages API, by its id.

    `retries` is how often the SDK tries again, unless a request says otherwise. `Request.timeout_s` is a wall around a
    call with all its retries and pauses. With `stream`, answers come as events and are put together here; the result is
    the same. A long answer (over 21,333 tokens asked for) always comes that way.
    """

    def __init__(
        self, model_id: str, *, api_key: str, base_url: str = "", retries: int = 2, stream: bool = False
    ) -> None:
        """Import the SDK; open nothing yet.

        Raises: ConfigError for a model id, key or URL that cannot be right.
        """
        if not model_id or not model_id.isprintable() or " " in model_id:
            raise ConfigError(f"{model_id!r} is no model id; write one such as anthropic:claude-haiku-5-5")
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ConfigError("the Anthropic API key is empty or holds characters that no key has; copy it again")
        self._model_id = model_id
        self._server = (api_key, base_url or _PROVIDER)
        self._host = _host(self._server[1])
        self._retries = retries
        self._stream = stream
        self._lease: tuple[asyncio.AbstractEventLoop, AsyncAnthropic] | None = None
        self._closed = False
        import anthropic

        self._sdk = anthropic

    @property
    def name(self) -> str:
        """`anthropic:` and the model's id."""
        return f"anthropic:{self._model_id}"

    def __repr__(self) -> str:
        return f"AnthropicModel({self._model_id!r}, host={self._host!r})"

    async def complete(self, request: Request) -> Answer:
        """Ask the server once (the SDK's retries aside) and check the shape of what it answers.

        Sent: system as one text block that ends the cached prefix, tools and messages as they are, the room for the
        answer; no sampling, no prefill, no stop sequence. `extra` holds the server's `request_id`, where it gives one.
        Raises: ModelRefusedError, ModelUnavailableError or ModelAnswerError; none of them holds the key.
        """
        return await self._answer(request, None)

    async def stream(self, request: Request, tell: Tell) -> Answer:
        """The same; the text is told as the server's events bring it. Raises: what `complete` raises."""
        return await self._answer(request, tell)

    async def _answer(self, request: Request, tell: Tell | None) -> Answer:
        failure: ModelError
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._ask(request, tell)
        except TimeoutError:
            failure = ModelUnavailableError(
                f"{self.name} gave no answer within {request.timeout_s:g} s, retries included; "
                "try later, or give it longer (FLEET_MODEL_TIMEOUT_S)"
            )
        except ModelError as error:
            failure = error
            failure.__context__ = None  # a JSONDecodeError holds the whole answer
        except Exception as error:
            failure = self._translated(error, self._retries if request.retries is None else request.retries)
        # Raised out here so that it carries no chain: the SDK's errors hold the request with its headers.
        raise failure

    async def aclose(self) -> None:
        """Let go of the shared client; the last model that uses it closes its connections."""
        self._closed = True
        client = self._release()
        if client is not None:
            await client.close()

    async def _ask(self, request: Request, tell: Tell | None) -> Answer:
        client = self._client()
        if request.retries not in (None, self._retries):
            client = client.with_options(max_retries=request.retries)
        sent = self._body(request)
        timeout = self._sdk.Timeout(request.timeout_s, connect=min(_CONNECT_S, request.timeout_s))
        if tell is not None or self._stream or request.max_tokens > _MOST_UNSTREAMED_TOKENS:
            async with client.messages.stream(**sent, timeout=timeout) as stream:
                message, headers = await self._streamed(stream, tell), stream.response.headers
        else:
            response = await client.messages.with_raw_response.create(**sent, timeout=timeout)
            message, headers = self._decoded(response.http_response.content), response.headers
        request_id = headers.get("request-id")
        return read_message(message, source=self.name, extra={"request_id": request_id} if request_id else None)

    def _body(self, request: Request) -> dict[str, Any]:
        # The provider's cache is a prefix in the order tools, system, messages. The mark goes on the last static block,
        # which is the system text; where there is none, it is the last tool.
        body: dict[str, Any] = {"model": self._model_id, "max_tokens": request.max_tokens}
        tools = [dict(tool) for tool in request.tools]
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, "cache_control": _CACHED}]
        elif tools:
            tools[-1]["cache_control"] = _CACHED
        if tools:
            body["tools"] = tools
        body["messages"] = [dict(message) for message in request.messages]
        return body

    def _decoded(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._unreadable("is not JSON") from None

    async def _streamed(self, stream: Any, tell: Tell | None) -> Mapping[str, Any]:
        kind = stream.response.headers.get("content-type", "")
        if not kind.startswith("text/event-stream"):
            raise self._unreadable("is no event stream")
        whole = False
        try:
            async for event in stream:
                whole = event.type == "message_stop"
                if tell is not None and event.type == "text" and isinstance(event.text, str):
                    tell(event.text)
            message: Mapping[str, Any] = (
                stream.current_message_snapshot.to_dict(mode="json", warnings=False) if whole else {}
            )
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError):
            # What the SDK raises on events that are no JSON or out of order, since it does not check them.
            raise self._unreadable("holds events out of shape") from None
        if not whole:
            raise ModelUnavailableError(f"{self.name} broke off in the middle of its answer; try later")
        return message

    def _client(self) -> AsyncAnthropic:
        if self._closed:
            raise ModelRefusedError(f"{self.name} was closed and cannot be asked; resolve the model again")
        loop = asyncio.get_running_loop()
        if self._lease is None or self._lease[0] is not loop:
            self._release()
            shared = _POOL.setdefault(loop, {}).get(self._server)
            if shared is None:
                key, base_url = self._server
                # A redirect would carry the request, and the key with it, to a server that nobody named.
                transport = self._sdk.DefaultAioHttpClient(follow_redirects=False)
                shared = _Shared(self._sdk.AsyncAnthropic(api_key=key, base_url=base_url, http_client=transport))
                _POOL[loop][self._server] = shared
            shared.users += 1
            self._lease = (loop, shared.client.with_options(max_retries=self._retries))
        return self._lease[1]

    def _release(self) -> AsyncAnthropic | None:
        """Give the lease back; the client, if it is to be closed: nobody uses it and its loop is this one."""
        lease, self._lease = self._lease, None
        clients = _POOL.get(lease[0]) if lease is not None else None
        shared = clients.get(self._server) if clients else None
        if lease is None or clients is None or shared is None:
            return None
        shared.users -= 1
        if shared.users:
            return None
        del clients[self._server]
        return shared.client if lease[0] is asyncio.get_running_loop() else None

    def _translated(self, error: Exception, retries: int) -> ModelError:
        sdk = self._sdk
        if isinstance(error, sdk.APIStatusError):
            return self._refusal(error.status_code, error.type, error.error_code, error.api_message, retries)
        if isinstance(error, sdk.APITimeoutError):
            return ModelUnavailableError(f"{self.name} gave no answer in time; try later")
        if isinstance(error, sdk.APIConnectionError):
            cause = error.__cause__ or error
            return ModelUnavailableError(
                f"{self.name} has no connection to {self._host} ({self._quote(str(cause)) or type(cause).__name__}); "
                "try later; if it lasts, check the network and ANTHROPIC_BASE_URL"
            )
        if isinstance(error, (TypeError, ValueError, RecursionError)):
            # Before anything was sent: answers are decoded elsewhere.
            return ModelRefusedError(f"{self.name}: the request cannot be written as JSON ({self._quote(str(error))})")
        return ModelUnavailableError(f"{self.name} broke off ({type(error).__name__}); try later")

    def _refusal(self, status: int, kind: object, code: str | None, message: object, retries: int) -> ModelError:
        # `kind` and `message` are whatever the body holds there; the SDK does not check.
        kind = kind if isinstance(kind, str) else ""
        if status == 200:
            status = _STATUS_OF.get(kind, 500)  # an error event in the middle of a stream
        said = f"{self.name}: HTTP {status}"
        if kind:
            said += f" {self._quote(kind)}"
        if message:
            said += f", {self._quote(str(message))!r}"
        # A spending limit is a 429 too, but no pause lifts it.
        spent = code is not None and code.endswith("spend_limit_reached")
        if not spent and (status in (408, 409, 429) or status >= 500):
            return ModelUnavailableError(f"{said}; it is busy or down, {retries} retries included: try later")
        return ModelRefusedError(f"{said}; {'raise the spending limit' if spent else _NEXT.get(status, _NEXT[400])}")

    def _quote(self, text: str) -> str:
        """What a server or library said: on one short line, and without the key, should it repeat that."""
        return " ".join(text.replace(self._server[0], "***").split())[:_QUOTED]

    def _unreadable(self, what: str) -> ModelAnswerError:
        return ModelAnswerError(
            f"{self.name} sent an answer that {what}; check that the server at {self._host} speaks the Messages API"
        )


# The status that an error has when it comes before the stream instead of inside it.
_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_NEXT = {
    400: "the request itself is at fault: correct what it names",
    401: "check ANTHROPIC_API_KEY",
    402: "check the account's credit",
    403: "use a key that may use this model",
    404: "check the model's id and ANTHROPIC_BASE_URL",
    413: "send less: fewer or shorter entries (FLEET_HISTORY), fewer tools",
} | dict.fromkeys((301, 302, 303, 307, 308), "ANTHROPIC_BASE_URL leads elsewhere: set the address that it leads to")


def _host(base_url: str) -> str:
    """The server's name and port, for messages: a URL may hold a password."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise ConfigError("ANTHROPIC_BASE_URL is no URL; write one such as https://api.anthropic.com")
    return f"{host}:{port}" if port else host

"""What every model is: a request in, an answer out, in the shapes of the Messages API.

Blocks are plain JSON objects, as the Messages API spells them (`{"type": "text", "text": …}`, `tool_use`,
`tool_result`, `thinking`): what is stored is what was said, and nothing is lost by a translation of ours.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from fleet.errors import ModelError, ModelUnavailableError

__all__ = [
    "Answer", "Block", "Model", "Purpose", "Request", "StreamingModel", "Tell", "Usage", "ask_model", "failure_of",
]  # fmt: skip

_GRACE_S = 1.0  # for models that keep the time themselves, and say more about it
_WORD = re.compile(r"\s*\S+\s*")

Block = Mapping[str, Any]
Purpose = Literal["route", "work"]
Tell = Callable[[str], None]  # is given an answer's text piece by piece, as it is written


@dataclass(frozen=True)
class Request:
    """One call: what the model is told.

    `system` is the static part (the provider may cache it, so it must not hold anything of one user);
    `messages` are `{"role": "user" | "assistant", "content": str | [block, …]}`, user first;
    `tools` are `{"name", "description", "input_schema"}`; `max_tokens` includes thinking; `timeout_s` in seconds;
    `retries` is how often a provider's client tries again, None for as often as the model was made with.
    """

    system: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    max_tokens: int = 2048
    timeout_s: float = 60.0
    purpose: Purpose = "work"
    retries: int | None = None


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider counted them; an offline model counts none."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True)
class Answer:
    """What came back: the content blocks in order, why it stopped, who answered, and what it took.

    `stop_reason` is the Messages API's: end_turn, tool_use, max_tokens, refusal, stop_sequence, pause_turn.
    `model` is the id that the provider says answered; `extra` holds what a model wants on record (a confidence).
    """

    content: tuple[Block, ...]
    stop_reason: str
    model: str
    usage: Usage = Usage()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text blocks, joined; thinking and tool calls left out."""
        return "".join(block["text"] for block in self.content if block["type"] == "text")

    @property
    def tool_calls(self) -> tuple[Block, ...]:
        """The tool_use blocks, in order: `{"type", "id", "name", "input"}`."""
        return tuple(block for block in self.content if block["type"] == "tool_use")


class Model(Protocol):
    """Something that answers requests. `name` is how settings and records spell it: `provider:model`."""

    @property
    def name(self) -> str:
        """`provider:model`, as in settings and in the records."""

    async def complete(self, request: Request) -> Answer:
        """Answer one request.

        Raises: ModelRefusedError, ModelUnavailableError or ModelAnswerError; nothing else.
        Reads and writes no store.
        """

    async def aclose(self) -> None:
        """Let go of connections; the model is not used after this."""


@runtime_checkable
class StreamingModel(Model, Protocol):
    """A model that can be listened to while it writes."""

    async def stream(self, request: Request, tell: Tell) -> Answer:
        """Answer one request as `complete` does, and tell the answer's text on the way.

        The pieces are those of the text blocks, in order. What was told of an answer that then fails is void.
        """


async def ask_model(model: Model, request: Request, tell: Tell | None = None) -> Answer:
    """The model's answer, or the end of waiting for it: a wall for models that keep no time themselves.

    With `tell` the text is told as it is written; of a model that cannot be listened to, word by word once it is there.
    Raises: ModelError; ModelUnavailableError for a model that is silent a second longer than the request allows.
    """
    try:
        async with asyncio.timeout(request.timeout_s + _GRACE_S) as wall:
            return await (model.complete(request) if tell is None else _listened_to(model, request, tell))
    except TimeoutError:
        if not wall.expired():
            raise
        raise ModelUnavailableError(f"{model.name} gave no answer within {request.timeout_s:g} s") from None


async def _listened_to(model: Model, request: Request, tell: Tell) -> Answer:
    if isinstance(model, StreamingModel):
        return await model.stream(request, tell)
    answer = await model.complete(request)
    for word in _WORD.findall(answer.text):
        tell(word)
        await asyncio.sleep(0)
    return answer


def failure_of(model: Model, error: ModelError) -> str:
    """What a failed call comes to on record: the error's words, and whose call it was where they do not say."""
    return error.message if error.message.startswith(model.name) else f"{model.name}: {error.message}"

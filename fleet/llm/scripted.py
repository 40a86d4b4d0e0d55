"""A model that says what a test tells it to say."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.errors import ModelAnswerError
from fleet.llm.answers import stop_reason_of
from fleet.llm.base import Answer, Block, Request

__all__ = ["ScriptedModel"]

Said = str | Answer | Exception | Sequence[Block]


class ScriptedModel:
    """Answers from a script: a sequence used up call by call, or a function of the request (it may be async).

    An answer is a text, a list of content blocks, a whole `Answer`, or an exception to raise; a bare text is a script
    of one answer. `requests` holds every request in the order of the calls. `latency_s` is how long each answer takes,
    in seconds.
    """

    def __init__(
        self,
        answers: Sequence[Said] | Callable[[Request], Any],
        name: str = "scripted:test",
        *,
        latency_s: float = 0.0,
    ) -> None:
        self._answers = [answers] if isinstance(answers, str) else answers
        self._name = name
        self._latency_s = latency_s
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        """As given; `scripted:test` by default."""
        return self._name

    async def complete(self, request: Request) -> Answer:
        """The script's next answer.

        Raises: ModelAnswerError where the script has run out or holds something that is no answer; an exception that
        the script holds, as it is.
        """
        self.requests.append(request)
        said = self._next(request)
        if inspect.isawaitable(said):
            said = await said
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        if isinstance(said, Exception):
            raise said
        return self._answer(said)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _next(self, request: Request) -> Any:
        if callable(self._answers):
            return self._answers(request)
        if len(self.requests) > len(self._answers):
            raise ModelAnswerError(
                f"the script of {self._name} has run out: it holds {len(self._answers)} answers and "
                f"this is call {len(self.requests)}; add an answer for it"
            )
        return self._answers[len(self.requests) - 1]

    def _answer(self, said: Any) -> Answer:
        if isinstance(said, Answer):
            return said
        if isinstance(said, str):
            said = [{"type": "text", "text": said}]
        if not isinstance(said, Sequence) or not all(isinstance(block, Mapping) for block in said):
            raise ModelAnswerError(
                f"the script of {self._name} holds a {type(said).__name__}; "
                "an answer is a text, a list of blocks, an Answer or an exception"
            )
        content = tuple(said)
        return Answer(content=content, stop_reason=stop_reason_of(content), model=self._name)

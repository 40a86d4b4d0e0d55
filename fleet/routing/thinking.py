"""Asking a routing model: the request, its answer read, one corrective retry. Reads and writes no store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.errors import ActionRejected, ModelError
from fleet.ledger.events import Attempt
from fleet.ledger.storable import storable
from fleet.llm.base import Answer, Model, Request, ask_model, failure_of
from fleet.llm.prices import cost_usd
from fleet.routing.shown import Shown
from fleet.sandbox import DispatchTo, StartNewThread, comments_of, parse_action

__all__ = ["Thought", "ask", "echo_of"]

_TRIES = 2  # the answer, and one more after the verdict on it


@dataclass
class Thought:
    """What came of asking one model: the action or the reason why there is none, each attempt, time by stage in µs."""

    action: DispatchTo | StartNewThread | None = None
    reason: str = ""
    failure: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    latency_us: dict[str, int] = field(default_factory=dict)


async def ask(
    model: Model, system: str, shown: Shown, *, max_tokens: int, timeout_s: float, retries: int | None = None
) -> Thought:
    """Ask `model` where the message goes.

    A refused answer is sent back once with its verdict's sentence. An error of the model is not tried again here:
    the provider's client has done so already. Never raises for what a model did.
    """
    thought = Thought()
    messages: tuple[Mapping[str, Any], ...] = ({"role": "user", "content": shown.transcript},)
    for left in reversed(range(_TRIES)):
        request = Request(
            system, messages, max_tokens=max_tokens, timeout_s=timeout_s, purpose="route", retries=retries
        )
        began = time.perf_counter_ns()
        try:
            answer = await ask_model(model, request)
        except ModelError as error:
            took = _add(thought, "model", began)
            thought.failure = failure_of(model, error)
            thought.attempts.append(
                Attempt(model=model.name, verdict="", error=storable(error.message), latency_us=took)
            )
            return thought
        took = _add(thought, "model", began)
        began = time.perf_counter_ns()
        refusal: ActionRejected | None = None
        try:
            thought.action = parse_action(
                answer.text,
                n_threads=len(shown.threads),
                agents=shown.roles,
                printed_examples=shown.examples,
                stop_reason=answer.stop_reason,
            )
        except ActionRejected as error:
            refusal = error
        _add(thought, "parse", began)
        told = f"That answer was refused: {refusal.message} Answer again, as instructed." if refusal and left else ""
        thought.attempts.append(_attempt(answer, refusal, told, took))
        if refusal is None:
            thought.reason = comments_of(answer.text)
            return thought
        thought.failure = f"{model.name}: answer refused, {refusal.code}"
        messages = (
            messages[0],
            {"role": "assistant", "content": echo_of(storable(answer.text))},
            {"role": "user", "content": told},
        )
    return thought


def echo_of(answer: str) -> str:
    """A refused answer as the model sees it again: the API takes no blank text, nor one that ends in a blank."""
    return answer.strip() or "(no answer)"


def _add(thought: Thought, stage: str, began_ns: int) -> int:
    took = (time.perf_counter_ns() - began_ns) // 1000
    thought.latency_us[stage] = thought.latency_us.get(stage, 0) + took
    return took


def _attempt(answer: Answer, refusal: ActionRejected | None, told: str, latency_us: int) -> Attempt:
    usage = answer.usage
    return Attempt(
        model=answer.model,
        answer=storable(answer.text),
        stop_reason=answer.stop_reason,
        verdict=refusal.code if refusal else "ok",
        message=refusal.message if refusal else "",
        told=told,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=cost_usd(answer.model, usage),
        latency_us=latency_us,
        extra=storable(dict(answer.extra)),
    )

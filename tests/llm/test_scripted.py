"""A scripted model says what it is told to, and says clearly when it has nothing left."""

import asyncio
import time

import pytest

from fleet.errors import ModelAnswerError, ModelUnavailableError
from fleet.llm.base import Answer, Request
from fleet.llm.scripted import ScriptedModel


def asking(words: str = "When?") -> Request:
    return Request(system="", messages=({"role": "user", "content": words},))


async def test_a_sequence_is_used_up_in_order():
    call = {"type": "tool_use", "id": "t1", "name": "find", "input": {}}
    whole = Answer(content=(), stop_reason="refusal", model="m")
    model = ScriptedModel(["one", [call], whole, ModelUnavailableError("down")])
    first, second, third = [await model.complete(asking(str(n))) for n in range(3)]
    assert (first.text, first.stop_reason, first.model) == ("one", "end_turn", "scripted:test")
    assert (second.tool_calls, second.stop_reason) == ((call,), "tool_use")
    assert third is whole
    with pytest.raises(ModelUnavailableError, match="down"):
        await model.complete(asking("3"))
    assert [request.messages[0]["content"] for request in model.requests] == ["0", "1", "2", "3"]


async def test_a_script_that_has_run_out_says_how_long_it_was():
    model = ScriptedModel(["one"], name="scripted:short")
    await model.complete(asking())
    with pytest.raises(ModelAnswerError, match=r"scripted:short has run out: it holds 1 answers and this is call 2"):
        await model.complete(asking())


async def test_a_bare_text_is_one_answer():
    assert (await ScriptedModel("hello").complete(asking())).text == "hello"


async def test_a_function_sees_the_request_and_may_wait_for_something():
    opened = asyncio.Event()

    async def said(request: Request) -> str:
        await opened.wait()
        return request.messages[0]["content"].upper()

    waiting = asyncio.create_task(ScriptedModel(said).complete(asking("soon")))
    opened.set()
    assert (await waiting).text == "SOON"
    assert (await ScriptedModel(lambda request: request.system or "none").complete(asking())).text == "none"


@pytest.mark.parametrize("odd", [None, 5, ["not a block"], b"bytes"])
async def test_what_is_no_answer_is_named(odd):
    with pytest.raises(ModelAnswerError, match=type(odd).__name__):
        await ScriptedModel([odd]).complete(asking())


async def test_latency_is_per_answer_and_calls_overlap():
    model = ScriptedModel(lambda request: "ok", latency_s=0.05)
    started = time.monotonic()
    await asyncio.gather(*(model.complete(asking()) for _ in range(40)))
    assert 0.05 <= time.monotonic() - started < 1.0

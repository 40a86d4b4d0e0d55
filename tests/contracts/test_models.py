"""What every model promises, asked of each: the one behind the real SDK, the offline ones, those for tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.messages_server import MessagesServer, Reply, error

from fleet.errors import ModelAnswerError, ModelError, ModelRefusedError, ModelUnavailableError
from fleet.llm.anthropic import AnthropicModel
from fleet.llm.base import Answer, Model, Request, Usage, ask_model
from fleet.llm.cassette import CassetteModel
from fleet.llm.offline.router import OfflineRouter
from fleet.llm.offline.worker import OfflineWorker
from fleet.llm.scripted import ScriptedModel
from fleet.sandbox.action import DispatchTo, StartNewThread, parse_action

EVERY = ["anthropic", "anthropic-streamed", "scripted", "cassette", "offline:router", "offline:worker"]
ROUTERS = [name for name in EVERY if name != "offline:worker"]
WORKERS = [name for name in EVERY if name != "offline:router"]
STOP_REASONS = {"end_turn", "tool_use", "max_tokens", "refusal", "stop_sequence", "pause_turn"}

TRANSCRIPT = """Current UTC time: 2026-11-21T00:41:44+00:00
Incoming message:
{message}
User:
"ana"
Language:
en
Available agents:
- information_retriever: Answers read-only questions about documents and policies.
  example_id=0: Leave days per year
- schedule_assistant: Finds free times and changes shifts and meetings.
Recent threads:
threads[0]:
agent: schedule_assistant
name: "Swap Friday"
status: need_input
"User: Can I swap my Friday shift? Agent: Which day suits you?"
latest_activity: 2026-11-21 00:40:00+00:00
last_assistant_message: "Which day suits you?"
"""
TOOL = {
    "name": "search_documents",
    "description": "Search the documents. Effect: read.",
    "input_schema": {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for."}},
        "required": ["query"],
    },
}
HANG = "Never answer this."


def asking(words: str, **more: Any) -> Request:
    given = {"system": "Be brief.", "messages": ({"role": "user", "content": words},), "timeout_s": 20.0, **more}
    return Request(**given)


def routing(message: str) -> Request:
    return asking(TRANSCRIPT.format(message=json.dumps(message)), purpose="route")


def with_results(request: Request, answer: Answer) -> Request:
    """The conversation after the answer's tool calls; one made up where it has none."""
    content = list(answer.content)
    if not answer.tool_calls:
        content.append({"type": "tool_use", "id": "toolu_x", "name": TOOL["name"], "input": {"query": "leave"}})
    calls = [block for block in content if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "28 days"} for call in calls]
    added = ({"role": "assistant", "content": content}, {"role": "user", "content": results})
    return replace(request, messages=(*request.messages, *added))


ROUTE = routing("Friday is better")
WORK = asking("How many leave days are there?", tools=(TOOL,))
# Blocks that no model here knows, and tools without a schema, as a later version may record them.
ODD = asking(
    "",
    messages=(
        {"role": "user", "content": [{"type": "of_next_year", "payload": {"a": None}}, {"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "redacted", "data": "x"}, {"type": "text", "text": "Hello."}]},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ),
    tools=({"name": "odd", "description": "", "input_schema": {}},),
)
MANY = [routing(f"Question {number}") for number in range(50)]


def said(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a model might say: an action to a transcript, a call where tools are, else text."""
    content = messages[-1]["content"]
    results = [] if isinstance(content, str) else [block for block in content if block["type"] == "tool_result"]
    if isinstance(content, str) and "Available agents:" in content:
        message = json.loads(content.splitlines()[2])
        action = f'start_new_thread(agent="information_retriever", language="en", name={json.dumps(message)})'
        return [{"type": "text", "text": f"```python\n{action}\n```"}]
    if tools and not results:
        call = {"type": "tool_use", "id": "toolu_1", "name": tools[0]["name"], "input": {"query": "leave"}}
        return [{"type": "thinking", "thinking": "", "signature": "c2ln"}, call]
    return [{"type": "text", "text": "28 days."}]


async def scripted(request: Request) -> list[Mapping[str, Any]]:
    if request.messages[-1]["content"] == HANG:
        await asyncio.Event().wait()
    return said(request.messages, request.tools)


def served(body: Mapping[str, Any]) -> Reply:
    if body["messages"][-1]["content"] == HANG:
        return Reply(hang=True)
    return Reply(content=said(body["messages"], body.get("tools", ())))


async def recorded(path: Path) -> CassetteModel:
    recorder = CassetteModel(path, inner=ScriptedModel(scripted))
    for request in (ROUTE, WORK, ODD, *MANY):
        await recorder.complete(request)
    await recorder.complete(with_results(WORK, await recorder.complete(WORK)))
    return CassetteModel(path)


@pytest.fixture
async def model(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Model]:
    async with AsyncExitStack() as stack:
        made: Model
        match request.param:
            case "anthropic" | "anthropic-streamed" as which:
                server = await stack.enter_async_context(MessagesServer(served))
                streamed = which == "anthropic-streamed"
                made = AnthropicModel("claude-test", api_key="sk-ant-x", base_url=server.url, stream=streamed)
            case "scripted":
                made = ScriptedModel(scripted)
            case "cassette":
                made = await recorded(tmp_path / "talk.jsonl")
            case "offline:router":
                made = OfflineRouter()
            case _:
                made = OfflineWorker()
        stack.push_async_callback(made.aclose)
        yield made


def of(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", names, indirect=True)


def check_shape(answer: Answer) -> None:
    assert json.loads(json.dumps(answer.content)) == list(answer.content)
    assert all(isinstance(block, dict) and isinstance(block["type"], str) for block in answer.content)
    assert all(block["text"] for block in answer.content if block["type"] == "text")
    assert all({"id", "name", "input"} <= call.keys() for call in answer.tool_calls)
    assert answer.stop_reason in STOP_REASONS
    assert (answer.stop_reason == "tool_use") == bool(answer.tool_calls)
    assert answer.model
    assert isinstance(answer.usage, Usage)
    json.dumps(dict(answer.extra))


@of(EVERY)
async def test_it_has_a_name_of_provider_and_model(model):
    provider, _, rest = model.name.partition(":")
    assert provider in {"anthropic", "scripted", "cassette", "offline"}
    assert rest


@of(ROUTERS)
async def test_a_routing_request_gets_one_fenced_block_with_an_action(model):
    answer = await model.complete(ROUTE)
    check_shape(answer)
    assert answer.text.count("```") == 2
    action = parse_action(
        answer.text,
        n_threads=1,
        agents=["information_retriever", "schedule_assistant"],
        printed_examples={"information_retriever": [0]},
        stop_reason=answer.stop_reason,
    )
    assert isinstance(action, DispatchTo | StartNewThread)


@of(WORKERS)
async def test_a_work_request_gets_text_or_calls_of_declared_tools(model):
    answer = await model.complete(WORK)
    check_shape(answer)
    assert answer.text or answer.tool_calls
    for call in answer.tool_calls:
        assert call["name"] == "search_documents"
        assert isinstance(call["input"], dict)


@of(WORKERS)
async def test_results_of_tools_lead_to_an_answer(model):
    first = await model.complete(WORK)
    second = await model.complete(with_results(WORK, first))
    check_shape(second)
    assert second.stop_reason == "end_turn"
    assert second.text


@of(WORKERS)
async def test_what_it_tells_while_it_writes_is_the_text_of_its_answer(model):
    told: list[str] = []
    whole = with_results(WORK, await model.complete(WORK))
    answer = await ask_model(model, whole, told.append)
    assert "".join(told) == answer.text
    assert told
    silent = await ask_model(model, whole)
    assert (silent.content, silent.stop_reason) == (answer.content, answer.stop_reason)


@of(EVERY)
async def test_blocks_that_it_does_not_know_do_no_harm(model):
    check_shape(await model.complete(ODD))


@of(EVERY)
async def test_the_request_is_not_changed(model):
    before = json.dumps([WORK.messages, WORK.tools, ROUTE.messages])
    for request in (WORK, ROUTE):
        await model.complete(request)
    assert json.dumps([WORK.messages, WORK.tools, ROUTE.messages]) == before


@of(EVERY)
async def test_fifty_at_once_each_get_their_own_answer(model):
    answers = await asyncio.gather(*(model.complete(request) for request in MANY))
    for number, answer in enumerate(answers):
        check_shape(answer)
        if not model.name.startswith("offline:"):
            assert f'name="Question {number}"' in answer.text


@of(EVERY)
async def test_a_cancelled_call_leaves_nothing_behind_and_the_next_is_answered(model):
    await model.complete(ROUTE)
    before = asyncio.all_tasks()
    calls = [asyncio.create_task(model.complete(asking(HANG))) for _ in range(5)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    for call in calls:
        with suppress(asyncio.CancelledError, ModelAnswerError):
            await call
    check_shape(await model.complete(ROUTE))
    await model.aclose()
    left = {task for task in asyncio.all_tasks() - before if "MessagesServer" not in repr(task)}
    assert not left


@of(EVERY)
async def test_closing_twice_is_closing_once(model):
    await model.complete(ROUTE)
    await model.aclose()
    await model.aclose()


@pytest.mark.parametrize("kind", [ModelRefusedError, ModelUnavailableError, ModelAnswerError])
@pytest.mark.parametrize("which", ["anthropic", "scripted", "cassette"])
async def test_a_failure_is_one_of_three(which, kind, tmp_path):
    replies = {
        ModelRefusedError: error(400),
        ModelUnavailableError: error(529),
        ModelAnswerError: Reply(body="<html>"),
    }
    async with MessagesServer() as server:
        server.script(replies[kind])
        model: Model
        if which == "anthropic":
            model = AnthropicModel("claude-test", api_key="sk-ant-x", base_url=server.url, retries=0)
        else:
            model = ScriptedModel([kind("as the test wants it")])
        if which == "cassette":
            model = CassetteModel(tmp_path / "talk.jsonl", inner=model)
        with pytest.raises(ModelError) as caught:
            await model.complete(WORK)
        assert type(caught.value) is kind
        assert "\n" not in caught.value.message
        await model.aclose()

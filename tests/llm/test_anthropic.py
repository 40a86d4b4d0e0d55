"""The real SDK against a server on loopback: what is sent, what comes back, how long it may take."""

import asyncio
import gc
import json
import logging
import subprocess
import sys
import time
from types import MappingProxyType

import pytest
from support.claude import KEY, asking, failure
from support.messages_server import Reply, error, text, thinking, tool_use

from fleet.errors import ConfigError, ModelError, ModelRefusedError, ModelUnavailableError
from fleet.llm.anthropic import AnthropicModel
from fleet.llm.base import Usage

TOOL = {"name": "find", "description": "Finds.", "input_schema": {"type": "object", "properties": {}}}


async def test_a_text_comes_back_with_its_usage_and_who_said_it(messages_server, claude):
    messages_server.script(text("Friday at ten, as far as I can see.", stop_reason="end_turn"))
    answer = await claude.complete(asking())
    assert answer.text == "Friday at ten, as far as I can see."
    assert (answer.stop_reason, answer.model) == ("end_turn", "claude-test")
    assert answer.usage == Usage(input_tokens=12, output_tokens=7, cache_read_tokens=1500, cache_write_tokens=0)
    assert answer.extra == {"request_id": "req_01"}


async def test_blocks_pass_through_as_they_came_and_go_back_unchanged(messages_server, claude):
    blocks = [
        thinking("They want a date.", signature="c2ln"),
        {"type": "text", "text": "Let me look.", "citations": None},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"day": None, "tags": ["a", {"b": None}]}},
        {"type": "of_next_year", "payload": {"kept": None}},
    ]
    messages_server.script(Reply(content=blocks), text("Done."))
    answer = await claude.complete(asking())
    expected = [*blocks]
    expected[1] = {"type": "text", "text": "Let me look."}  # a null field may be refused when it is sent back
    assert list(answer.content) == expected
    assert answer.stop_reason == "tool_use"
    assert [call["id"] for call in answer.tool_calls] == ["t1"]
    assert answer.text == "Let me look."

    result = {"type": "tool_result", "tool_use_id": "t1", "content": "Friday"}
    history = (
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": list(answer.content)},
        {"role": "user", "content": [result]},
    )
    assert (await claude.complete(asking(messages=history))).text == "Done."
    sent = messages_server.requests[-1].json["messages"]
    assert sent[1]["content"] == expected
    assert sent[2]["content"] == [result]


async def test_only_what_newer_models_accept_is_sent(messages_server, claude):
    await claude.complete(asking(tools=(TOOL,), max_tokens=777))
    (seen,) = messages_server.requests
    assert seen.path == "/v1/messages"
    assert set(seen.json) - {"stream"} == {"model", "max_tokens", "system", "tools", "messages"}
    assert (seen.json["model"], seen.json["max_tokens"]) == ("claude-test", 777)
    assert seen.json["messages"] == [{"role": "user", "content": "When?"}]
    assert seen.headers["authorization"] == "***"


async def test_the_cached_prefix_is_the_same_bytes_for_every_user(messages_server, make_claude):
    model = make_claude()
    system = 'Route „it“ — exactly.\n"quoted" 日本'
    for words in ("one", "two, of somebody else"):
        await model.complete(asking(words, system=system, tools=(TOOL, {**TOOL, "name": "move"})))
    marked = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    for seen in messages_server.requests:
        assert b'"system":' + json.dumps([marked], **compact).encode() in seen.raw
        assert b'"tools":' + json.dumps([TOOL, {**TOOL, "name": "move"}], **compact).encode() in seen.raw
        assert seen.raw.count(b"cache_control") == 1, "one mark: tools come before system, so it covers both"


async def test_without_a_system_text_the_last_tool_ends_the_cached_prefix(messages_server, make_claude):
    tools = (TOOL, MappingProxyType({**TOOL, "name": "move"}))
    await make_claude().complete(asking(system="", tools=tools))
    body = messages_server.requests[-1].json
    assert "system" not in body
    assert ["cache_control" in tool for tool in body["tools"]] == [False, True]
    assert "cache_control" not in tools[1], "what the caller declared is not touched"


async def test_a_very_long_answer_is_streamed_without_asking_for_it(messages_server, make_claude):
    model = make_claude()
    await model.complete(asking(max_tokens=21_333))
    await model.complete(asking(max_tokens=21_334))
    assert [seen.json.get("stream", False) for seen in messages_server.requests] == [False, True]


@pytest.mark.parametrize("stop_reason", ["refusal", "max_tokens", "pause_turn", "model_context_window_exceeded"])
async def test_an_answer_without_text_is_an_answer(messages_server, claude, stop_reason):
    messages_server.script(Reply(content=[], stop_reason=stop_reason))
    answer = await claude.complete(asking())
    assert (answer.text, answer.stop_reason) == ("", stop_reason)


async def test_the_timeout_is_a_wall_around_one_silent_call(messages_server, claude):
    messages_server.script(Reply(hang=True))
    started = time.monotonic()
    failed = await failure(claude, asking(timeout_s=0.2))
    assert type(failed) is ModelUnavailableError
    assert "within 0.2 s" in failed.message
    assert 0.15 < time.monotonic() - started < 5.0


async def test_the_timeout_is_a_wall_around_all_retries_and_their_pauses(messages_server, make_claude):
    model = make_claude(retries=49)
    await model.complete(asking())
    messages_server.script(*[error(429, retry_after=0.1)] * 50)
    started = time.monotonic()
    failed = await failure(model, asking(timeout_s=0.5))
    assert type(failed) is ModelUnavailableError
    assert 0.45 < time.monotonic() - started < 5.0
    assert 1 < len(messages_server.requests) - 1 < 10


async def test_retry_after_is_honoured_by_the_sdk(messages_server, make_claude, caplog):
    caplog.set_level(logging.INFO, logger="anthropic")
    messages_server.script(error(429, retry_after=0.07), text("later"))
    started = time.monotonic()
    assert (await make_claude(retries=1).complete(asking())).text == "later"
    assert time.monotonic() - started > 0.07
    assert "Retrying request to /v1/messages in 0.070000 seconds" in caplog.text
    assert [seen.headers["x-stainless-retry-count"] for seen in messages_server.requests] == ["0", "1"]


@pytest.mark.parametrize("trouble", [error(529, retry_after=0.01), error(500, retry_after=0.01)])
async def test_the_number_of_tries_is_ours_and_nothing_tries_again_on_top(messages_server, make_claude, trouble):
    messages_server.script(*[trouble] * 10)
    assert type(await failure(make_claude(retries=3))) is ModelUnavailableError
    assert len(messages_server.requests) == 4


async def test_a_refusal_is_not_tried_again(messages_server, make_claude):
    messages_server.script(error(400))
    assert type(await failure(make_claude(retries=3))) is ModelRefusedError
    assert len(messages_server.requests) == 1


async def test_models_of_one_key_share_connections_until_the_last_is_closed(messages_server, make_claude):
    first, second = make_claude(), make_claude(retries=5)
    await first.complete(asking())
    await second.complete(asking())
    assert messages_server.connections == 1
    await first.aclose()
    await first.aclose()
    assert (await second.complete(asking())).text == "Done."
    assert messages_server.connections == 1
    await second.aclose()
    await messages_server.idle()


async def test_another_key_has_connections_of_its_own(messages_server, make_claude):
    await make_claude().complete(asking())
    await make_claude(api_key=f"{KEY}-other").complete(asking())
    assert messages_server.connections == 2


async def test_a_closed_model_says_so(make_claude):
    model = make_claude()
    await model.aclose()
    failed = await failure(model)
    assert type(failed) is ModelRefusedError
    assert "closed" in failed.message


async def test_a_cancelled_call_lets_go_of_its_connection(messages_server, claude):
    messages_server.script(Reply(hang=True))
    task = asyncio.create_task(claude.complete(asking()))
    await messages_server.arrived(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await messages_server.idle()


def test_a_model_left_open_by_one_event_loop_still_answers_in_the_next():
    model = AnthropicModel("claude-test", api_key=KEY, base_url="http://127.0.0.1:9", retries=0)

    async def once() -> ModelError:
        return await failure(model)

    async def last() -> ModelError:
        failed = await failure(model)
        await model.aclose()
        return failed

    def in_two_loops() -> list[ModelError]:
        outcomes = [asyncio.run(once()), asyncio.run(last())]
        gc.collect()
        return outcomes

    with pytest.warns(ResourceWarning, match="Unclosed client session"):  # aiohttp's, and rightly so
        outcomes = in_two_loops()
    assert [type(each) for each in outcomes] == [ModelUnavailableError] * 2


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"api_key": ""}, "key"),
        ({"api_key": f"{KEY}\n"}, "key"),
        ({"api_key": f"{KEY} x"}, "key"),
        ({"api_key": "sk-änt"}, "key"),
        ({"base_url": "api.example.org"}, "ANTHROPIC_BASE_URL"),
        ({"base_url": "ftp://user:secret@host"}, "ANTHROPIC_BASE_URL"),
        ({"base_url": "http://[oops"}, "ANTHROPIC_BASE_URL"),
        ({"model_id": ""}, "model id"),
        ({"model_id": "two words"}, "model id"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once_and_not_repeated(given, named):
    options = {"model_id": "claude-test", "api_key": KEY, **given}
    with pytest.raises(ConfigError, match=named) as caught:
        AnthropicModel(options.pop("model_id"), **options)
    assert KEY not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_in_the_url_is_not_shown():
    model = AnthropicModel("claude-test", api_key=KEY, base_url="https://me:secret@proxy.example:8443/v1")
    assert repr(model) == "AnthropicModel('claude-test', host='proxy.example:8443')"


def test_the_sdk_is_imported_with_the_first_model_and_not_before():
    code = (
        "import sys, fleet.llm.registry, fleet.llm.anthropic as door\n"
        "print('anthropic' in sys.modules, 'aiohttp' in sys.modules)\n"
        "door.AnthropicModel('claude-test', api_key='sk-ant-x')\n"
        "print('anthropic' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["False", "False", "True"]


async def test_tool_calls_come_through(messages_server, claude):
    messages_server.script(tool_use("find", {"day": "Friday"}))
    answer = await claude.complete(asking(tools=(TOOL,)))
    assert answer.stop_reason == "tool_use"
    assert answer.tool_calls == ({"type": "tool_use", "id": "toolu_01", "name": "find", "input": {"day": "Friday"}},)


async def test_the_text_is_told_as_the_server_sends_it(messages_server, make_claude):
    go_on, told, first = asyncio.Event(), [], asyncio.Event()
    blocks = [thinking("A date."), {"type": "text", "text": "Friday at ten, "}, {"type": "text", "text": "or at noon."}]
    messages_server.script(Reply(content=blocks, go_on=go_on))

    def tell(piece):
        told.append(piece)
        first.set()

    answering = asyncio.create_task(make_claude().stream(asking(), tell))
    await first.wait()
    assert told == ["Friday at te"]
    assert not answering.done()
    go_on.set()
    answer = await answering
    assert "".join(told) == answer.text == "Friday at ten, or at noon."
    assert answer.content[0]["type"] == "thinking"
    assert messages_server.requests[-1].json["stream"] is True


async def test_the_sdks_own_retries_come_before_anything_is_told(messages_server, make_claude):
    told = []
    messages_server.script(error(529, retry_after=0), error(429, retry_after=0), text("Friday at ten."))
    answer = await make_claude(retries=2).stream(asking(), told.append)
    assert "".join(told) == answer.text == "Friday at ten."
    assert len(messages_server.requests) == 3


@pytest.mark.parametrize("how", [{"cut": "middle"}, {"cut": "end"}, {"error": ("overloaded_error", "busy")}])
async def test_a_stream_that_breaks_off_is_no_answer_whatever_was_told(messages_server, make_claude, how):
    told = []
    messages_server.script(text("Friday at ten, as far as I can see, or on any other day.", **how))
    with pytest.raises(ModelUnavailableError):
        await make_claude().stream(asking(), told.append)
    assert told


async def test_a_caller_that_goes_away_in_the_middle_closes_the_connection(messages_server, make_claude):
    told = asyncio.Event()
    messages_server.script(text("Friday at ten, as far as I can see.", go_on=asyncio.Event()))
    answering = asyncio.create_task(make_claude().stream(asking(), lambda piece: told.set()))
    await told.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering

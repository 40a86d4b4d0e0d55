"""Whatever goes wrong with Claude is one of three errors, in one line, without the key."""

import json
import logging
import traceback

import pytest
from support.claude import KEY, asking, failure
from support.messages_server import MessagesServer, Reply, error, malformed, text, wrong_shape

from fleet.errors import ModelAnswerError, ModelRefusedError, ModelUnavailableError

MESSAGE = {"type": "message", "model": "m", "content": [], "stop_reason": "end_turn"}


@pytest.mark.parametrize(
    ("status", "kind", "next_step"),
    [
        (400, ModelRefusedError, "correct what it names"),
        (401, ModelRefusedError, "ANTHROPIC_API_KEY"),
        (402, ModelRefusedError, "credit"),
        (403, ModelRefusedError, "a key that may use this model"),
        (404, ModelRefusedError, "model's id"),
        (413, ModelRefusedError, "send less"),
        (422, ModelRefusedError, "correct what it names"),
        (408, ModelUnavailableError, "try later"),
        (409, ModelUnavailableError, "try later"),
        (429, ModelUnavailableError, "try later"),
        (500, ModelUnavailableError, "try later"),
        (503, ModelUnavailableError, "try later"),
        (529, ModelUnavailableError, "try later"),
    ],
)
async def test_a_status_says_what_which_model_and_what_next(messages_server, claude, status, kind, next_step):
    messages_server.script(error(status, f"the provider's\nwords, and {KEY}"))
    failed = await failure(claude)
    assert type(failed) is kind
    assert failed.message.startswith("anthropic:claude-test: HTTP ")
    assert str(status) in failed.message
    assert "the provider's words, and ***" in failed.message
    assert next_step in failed.message
    assert "\n" not in failed.message


@pytest.mark.parametrize(
    "body", ["", "Bad gateway", "[]", '{"error": "no"}', '{"error": {"type": ["x"], "message": {"why": "not"}}}']
)
@pytest.mark.parametrize(("status", "kind"), [(400, ModelRefusedError), (502, ModelUnavailableError)])
async def test_a_status_counts_whatever_its_body_is(messages_server, claude, status, kind, body):
    messages_server.script(Reply(status=status, body=body))
    failed = await failure(claude)
    assert type(failed) is kind
    assert f"HTTP {status}" in failed.message


async def test_a_spending_limit_is_no_passing_trouble(messages_server, claude):
    details = {"error_code": "enforced_spend_limit_reached"}
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Limit.", "details": details}}
    messages_server.script(Reply(status=429, body=json.dumps(body)))
    failed = await failure(claude)
    assert type(failed) is ModelRefusedError
    assert "raise the spending limit" in failed.message


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", ModelUnavailableError),
        ("api_error", ModelUnavailableError),
        ("something_new", ModelUnavailableError),
        ("invalid_request_error", ModelRefusedError),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(messages_server, make_claude, kind, expected):
    said = [{"type": "text", "text": "I was about to say"}]
    messages_server.script(Reply(content=said, error=(kind, "in the middle")))
    assert type(await failure(make_claude(stream=True))) is expected


async def test_a_redirect_is_not_followed_with_the_key(messages_server, make_claude):
    async with MessagesServer() as elsewhere:
        messages_server.script(Reply(status=307, body="", headers={"location": f"{elsewhere.url}/v1/messages"}))
        failed = await failure(make_claude())
        assert not elsewhere.requests
    assert type(failed) is ModelRefusedError
    assert "leads elsewhere" in failed.message


@pytest.mark.parametrize("cut", ["headers", "middle"])
async def test_a_cut_connection_is_no_answer(messages_server, claude, cut):
    messages_server.script(text("Half of this will be lost on the way to you.", cut=cut))
    assert type(await failure(claude)) is ModelUnavailableError


async def test_a_stream_that_ends_early_but_in_good_order_is_no_answer(messages_server, make_claude):
    messages_server.script(text("All of the words, but not the end.", cut="end"))
    failed = await failure(make_claude(stream=True))
    assert type(failed) is ModelUnavailableError
    assert "broke off" in failed.message


async def test_nobody_listening(make_claude):
    async with MessagesServer() as gone:
        url = gone.url
    failed = await failure(make_claude(base_url=url))
    assert type(failed) is ModelUnavailableError
    assert url.removeprefix("http://") in failed.message


@pytest.mark.parametrize(
    "reply", [malformed(), Reply(body="<html>Sign in</html>"), Reply(body=""), Reply(body="[" * 100_000)]
)
async def test_a_200_that_is_not_json(messages_server, claude, reply):
    messages_server.script(reply)
    failed = await failure(claude)
    assert type(failed) is ModelAnswerError
    assert "speaks the Messages API" in failed.message
    assert failed.__context__ is None, "a decoding error holds the whole answer"


USED = {"input_tokens": 1, "output_tokens": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "the message is no object"),
        (None, "the message is no object"),
        ({"type": "error", "error": {"type": "api_error", "message": "no"}}, "type is not 'message'"),
        ({**MESSAGE, "usage": USED, "content": "hello"}, "content is no list but str"),
        ({**MESSAGE, "usage": USED, "content": ["hello"]}, "content[0] is no object but str"),
        ({**MESSAGE, "usage": USED, "content": [{"text": "hello"}]}, "content[0].type is no text but missing"),
        ({**MESSAGE, "usage": USED, "content": [{"type": "text"}]}, "content[0].text is no str"),
        (
            {**MESSAGE, "usage": USED, "content": [{"type": "tool_use", "id": "a", "name": "b", "input": "{}"}]},
            "content[0].input is no dict",
        ),
        ({**MESSAGE, "usage": USED, "content": [{"type": "thinking"}]}, "content[0].thinking is no str"),
        (
            {**MESSAGE, "usage": USED, "content": [{"type": "text", "text": "\ud800"}]},
            "content[0] is no JSON in Unicode",
        ),
        (
            {**MESSAGE, "usage": USED, "content": [{"type": "new", "odds": float("nan")}]},
            "content[0] is no JSON in Unicode",
        ),
        ({**MESSAGE, "usage": USED, "stop_reason": None}, "stop_reason is no text but missing"),
        ({**MESSAGE, "usage": USED, "model": 5}, "model is no text but int"),
        (MESSAGE, "usage is no object but missing"),
        ({**MESSAGE, "usage": {"input_tokens": 1}}, "usage.output_tokens is no count but missing"),
        ({**MESSAGE, "usage": {**USED, "input_tokens": "12"}}, "usage.input_tokens is no count but str"),
        ({**MESSAGE, "usage": {**USED, "input_tokens": True}}, "usage.input_tokens is no count but bool"),
        ({**MESSAGE, "usage": {**USED, "cache_read_input_tokens": -1}}, "usage.cache_read_input_tokens is no count"),
    ],
)
async def test_a_200_of_the_wrong_shape_names_the_field(messages_server, make_claude, body, field):
    messages_server.script(wrong_shape(body))
    failed = await failure(make_claude())
    assert type(failed) is ModelAnswerError
    assert field in failed.message
    assert "hello" not in failed.message


@pytest.mark.parametrize(
    "events",
    [
        "event: message_start\ndata: {\n\n",
        "event: message_start\ndata: 5\n\n",
        'event: message_start\ndata: {"type": "message_start"}\n\n',
        'event: message_start\ndata: {"type": "message_start", "message": {}}\n\n',
        'event: message_stop\ndata: {"type": "message_stop"}\n\n',
        'event: message_start\ndata: {"type": "message_start", "message": {"content": [], "usage": null}}\n\n'
        'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 3, "delta": {"type": "x"}}\n\n'
        'event: message_stop\ndata: {"type": "message_stop"}\n\n',
    ],
)
async def test_a_stream_of_the_wrong_shape(messages_server, make_claude, events):
    messages_server.script(Reply(body=events, headers={"content-type": "text/event-stream"}))
    assert type(await failure(make_claude(stream=True))) in (ModelAnswerError, ModelUnavailableError)


@pytest.mark.parametrize("odd", ["\ud800", object(), float("nan"), {1, object()}])
async def test_a_request_that_is_not_json_is_refused_before_it_is_sent(messages_server, claude, odd):
    failed = await failure(claude, asking(messages=({"role": "user", "content": odd},)))
    assert type(failed) is ModelRefusedError
    assert not messages_server.requests


FAILURES = [
    error(401, f"invalid key {KEY}"),
    error(500, f"crashed with {KEY}"),
    error(400, f"Authorization: Bearer {KEY}"),
    malformed(),
    wrong_shape({"key": KEY}),
    Reply(body=json.dumps({**MESSAGE, "usage": USED, "content": KEY})),
    Reply(cut="headers"),
    text("cut", cut="middle"),
    Reply(hang=True),
]


async def test_the_key_is_in_no_error_log_or_repr(messages_server, claude, caplog):
    caplog.set_level(logging.DEBUG)
    messages_server.script(*FAILURES)
    for _ in FAILURES:
        failed = await failure(claude, asking(timeout_s=0.3))
        assert failed.__cause__ is None
        assert failed.__context__ is None
        shown = "".join(traceback.format_exception(failed))
        assert KEY not in shown + repr(failed) + repr(vars(failed))
    assert KEY not in repr(claude) + str(claude) + claude.name
    logged = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert "/v1/messages" in logged, "the SDK does log at this level"
    assert KEY not in logged

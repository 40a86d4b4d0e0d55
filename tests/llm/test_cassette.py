"""A cassette gives back what was said, to the same request and to no other."""

import asyncio
import json
from dataclasses import replace
from types import MappingProxyType

import pytest

from fleet.errors import ConfigError, ModelAnswerError, ModelRefusedError, ModelUnavailableError
from fleet.llm.answers import request_key
from fleet.llm.base import Answer, Request, Usage
from fleet.llm.cassette import CassetteModel
from fleet.llm.scripted import ScriptedModel

ASKED = Request(system="Be brief.", messages=({"role": "user", "content": "When?"},), purpose="route")
SAID = Answer(
    content=(
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "text", "text": "Friday\u2028or 日本 \x85 😀"},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"day": None}},
    ),
    stop_reason="tool_use",
    model="claude-test",
    usage=Usage(1, 2, 3, 4),
    extra={"request_id": "req_01"},
)


async def test_what_is_replayed_is_what_was_said(tmp_path):
    path = tmp_path / "talk.jsonl"
    recorder = CassetteModel(path, inner=ScriptedModel([SAID, "second"]))
    assert await recorder.complete(ASKED) == SAID
    assert (await recorder.complete(replace(ASKED, system="Other."))).text == "second"
    player = CassetteModel(path)
    assert (await player.complete(replace(ASKED, system="Other."))).text == "second"
    assert await player.complete(ASKED) == SAID
    assert await player.complete(ASKED) == SAID, "the last answer to a request is given again"


async def test_a_line_per_call_and_no_request_in_it(tmp_path):
    path = tmp_path / "talk.jsonl"
    recorder = CassetteModel(path, inner=ScriptedModel(lambda request: "ok"))
    await asyncio.gather(*(recorder.complete(replace(ASKED, max_tokens=n)) for n in range(1, 31)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 30
    assert {tuple(line) for line in lines} == {("key", "purpose", "model", "answer")}
    assert "Be brief" not in path.read_text()


async def test_several_answers_to_one_request_come_in_the_order_recorded(tmp_path):
    path = tmp_path / "talk.jsonl"
    recorder = CassetteModel(path, inner=ScriptedModel(["one", "two"]))
    assert [(await recorder.complete(ASKED)).text for _ in range(2)] == ["one", "two"]
    player = CassetteModel(path)
    assert [(await player.complete(ASKED)).text for _ in range(3)] == ["one", "two", "two"]


async def test_with_a_model_inside_only_what_is_missing_is_asked_for(tmp_path):
    path = tmp_path / "talk.jsonl"
    await CassetteModel(path, inner=ScriptedModel("old")).complete(ASKED)
    inner = ScriptedModel("new")
    model = CassetteModel(path, inner=inner)
    assert (await model.complete(ASKED)).text == "old"
    assert not inner.requests
    assert (await model.complete(replace(ASKED, system="Other."))).text == "new"
    assert len(path.read_text().splitlines()) == 2


async def test_a_miss_names_the_key_and_how_to_record(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.touch()
    with pytest.raises(ModelAnswerError) as caught:
        await CassetteModel(path).complete(ASKED)
    assert request_key(ASKED) in caught.value.message
    assert "inner=" in caught.value.message
    assert "route request" in caught.value.message


async def test_a_failure_is_not_recorded(tmp_path):
    path = tmp_path / "talk.jsonl"
    model = CassetteModel(path, inner=ScriptedModel([ModelUnavailableError("down"), "up"]))
    with pytest.raises(ModelUnavailableError):
        await model.complete(ASKED)
    assert not path.exists()
    assert (await model.complete(ASKED)).text == "up"


def test_the_key_is_of_what_is_asked_not_of_how_it_is_written():
    same = replace(ASKED, messages=(MappingProxyType({"content": "When?", "role": "user"}),), timeout_s=1.0)
    assert request_key(same) == request_key(ASKED)
    others = [
        replace(ASKED, system="Be long."),
        replace(ASKED, messages=()),
        replace(ASKED, tools=({"name": "find"},)),
        replace(ASKED, max_tokens=1),
        replace(ASKED, purpose="work"),
    ]
    assert len({request_key(request) for request in [ASKED, *others]}) == 6
    # Frozen: recorded cassettes depend on it.
    assert request_key(ASKED) == "f301f966c82a09598051d85b93d2dd87d0bf9e1ff84aad9472a3dc115e02ef26"


def test_a_request_that_is_not_json_has_no_key():
    with pytest.raises(ModelRefusedError, match="JSON"):
        request_key(replace(ASKED, messages=({"role": "user", "content": object()},)))


@pytest.mark.parametrize("line", ["{", "5", "{}", '{"key": "a", "answer": {"type": "message"}}'])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "bad.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=r"line 2 of the cassette .*bad\.jsonl"):
        CassetteModel(path)


def test_a_cassette_that_cannot_be_used_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        CassetteModel(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="no folder"):
        CassetteModel(tmp_path / "none" / "none.jsonl", inner=ScriptedModel("x"))


async def test_a_file_that_cannot_be_written_is_an_error_of_the_call(tmp_path):
    folder = tmp_path / "talk"
    folder.mkdir()
    model = CassetteModel(folder / "talk.jsonl", inner=ScriptedModel("x"))
    folder.rmdir()
    with pytest.raises(ModelAnswerError, match="cannot be written"):
        await model.complete(ASKED)

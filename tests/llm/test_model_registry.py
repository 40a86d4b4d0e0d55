"""A name becomes a model, or one clear line."""

from pathlib import Path
from typing import get_args

import pytest
from anthropic.types import ModelParam

from fleet.errors import ConfigError
from fleet.llm.anthropic import AnthropicModel
from fleet.llm.cassette import CassetteModel
from fleet.llm.registry import FAST_MODEL, default_model, resolve_model
from fleet.settings import Settings

KEY = "sk-ant-registry-77aa"


async def test_the_names_resolve_to_models_of_that_name(tmp_path: Path):
    cassette = tmp_path / "talk.jsonl"
    cassette.touch()
    settings = Settings(anthropic_api_key=KEY)
    for name in ("anthropic:claude-haiku-5-5", "offline:router", "offline:worker", f"cassette:{cassette}"):
        model = resolve_model(name, settings)
        assert model.name == name
        await model.aclose()
    assert isinstance(resolve_model("anthropic:x", settings), AnthropicModel)
    assert isinstance(resolve_model(f"cassette:{cassette}", settings), CassetteModel)


def test_a_missing_key_is_one_clear_line_with_the_way_out():
    with pytest.raises(ConfigError) as caught:
        resolve_model("anthropic:claude-haiku-5-5", Settings())
    assert "anthropic:claude-haiku-5-5" in caught.value.message
    assert "ANTHROPIC_API_KEY" in caught.value.message
    assert "offline:router" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "name",
    ["", "claude-haiku-5-5", "anthropic:", "anthropic", "cassette:", "offline:", "offline:other", "openai:x", ":"],
)
def test_another_name_lists_the_forms(name):
    with pytest.raises(ConfigError) as caught:
        resolve_model(name, Settings(anthropic_api_key=KEY))
    assert repr(name) in caught.value.message
    for form in ("anthropic:NAME", "offline:router", "offline:worker", "cassette:PATH"):
        assert form in caught.value.message
    assert KEY not in caught.value.message


def test_the_default_is_claude_with_a_key_and_offline_without():
    assert default_model("route", Settings(anthropic_api_key=KEY)) == FAST_MODEL
    assert default_model("work", Settings(anthropic_api_key=KEY)) == FAST_MODEL
    assert default_model("route", Settings()) == "offline:router"
    assert default_model("work", Settings()) == "offline:worker"


def test_a_model_that_was_set_wins():
    settings = Settings(router_model="cassette:a", worker_model="anthropic:b", anthropic_api_key=KEY)
    assert default_model("route", settings) == "cassette:a"
    assert default_model("work", settings) == "anthropic:b"


def test_the_default_is_a_fast_model_that_the_sdk_knows():
    known = [name for part in get_args(ModelParam) for name in get_args(part)]
    fast = [name for name in known if "haiku" in name]
    assert FAST_MODEL.removeprefix("anthropic:") == fast[0], "the SDK lists the newest first"

"""A file of one's own prices: what it changes, and what is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from support.commands import call, refused

from fleet.errors import ConfigError
from fleet.llm.base import Usage
from fleet.llm.price_file import read_prices, use_prices
from fleet.llm.prices import AS_OF, PRICES, Price, cost_usd, known

OWN = """
as_of = "2026-11-01"

[models."claude-haiku-5-5"]
input = 0.08
output = 0.4
cache_write = 0.1
cache_read = 0.008

[models."anthropic:our-own"]
input = 1
output = 2
long_over = 1000
long = { input = 3, output = 4, cache_read = 0 }
"""


@pytest.fixture(autouse=True)
def _list_prices_again() -> Iterator[None]:
    kept = dict(PRICES)
    yield
    PRICES.clear()
    PRICES.update(kept)


def written(folder: Path, text: str, name: str = "prices.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_its_rows_replace_list_prices_and_come_to_them(tmp_path):
    path = written(tmp_path, OWN)
    assert read_prices(path).as_of == date(2026, 11, 1)
    assert not known("our-own")
    use_prices(str(path))
    assert cost_usd("claude-haiku-5-5", Usage(input_tokens=1_000_000)) == pytest.approx(0.08)
    assert PRICES["our-own"] == Price(1, 2, 1, 1, long=Price(3, 4, 3, 0), long_over=1000)
    assert cost_usd("anthropic:our-own", Usage(input_tokens=1000)) == pytest.approx(0.001)
    assert cost_usd("anthropic:our-own", Usage(input_tokens=1001)) == pytest.approx(0.003003)
    assert cost_usd("claude-haiku-4-5", Usage(input_tokens=1_000_000)) == 1.0, "not in the file: as listed"


def test_the_readme_says_of_when_the_list_prices_are():
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    assert f"list prices of {AS_OF} (`fleet/llm/prices.py`)" in readme


def test_json_says_the_same(tmp_path):
    rows = {"as_of": "2026-11-01", "models": {"m": {"input": 1, "output": 2.5}}}
    assert read_prices(written(tmp_path, json.dumps(rows), "prices.json")).prices == {"m": Price(1, 2.5, 1, 1)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("as_of = ", "Invalid value"),
        ('[models.m]\ninput = 1\noutput = 1', "as_of: Field required"),
        ('as_of = "soon"\n[models.m]\ninput = 1\noutput = 1', "as_of: Input should be a valid date"),
        ('as_of = "2026-11-01"\nmodels = {}', "models: Dictionary should have at least 1 item"),
        ('as_of = "2026-11-01"\n[models.m]\ninput = 1', "models.m.output: Field required"),
        ('as_of = "2026-11-01"\n[models.m]\ninput = -1\noutput = 1', "models.m.input: Input should be greater"),
        ('as_of = "2026-11-01"\n[models.m]\ninput = nan\noutput = 1', "models.m.input: Input should be"),
        ('as_of = "2026-11-01"\n[models.m]\ninput = 1\noutput = 1\ncached = 1', "models.m.cached: Extra inputs"),
        ('as_of = "2026-11-01"\n[models.m]\ninput = 1\noutput = 1\nlong_over = 5', "long and long_over go together"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_one_line_and_changes_nothing(tmp_path, text, why):
    before, path = dict(PRICES), written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        use_prices(str(path))
    assert caught.value.message.startswith(f"prices {path}: ")
    assert why in caught.value.message
    assert "\n" not in caught.value.message
    assert before == PRICES


def test_a_command_refuses_a_file_that_is_not_there_and_check_says_of_when_prices_are(tmp_path):
    missing = tmp_path / "none.toml"
    said = refused(call("check", FLEET_PRICES=str(missing)))
    assert said == f"prices {missing}: No such file or directory"
    path = written(tmp_path, OWN)
    checks = json.loads(call("check", "--json", FLEET_PRICES=str(path)).stdout)["checks"]
    (found,) = [each for each in checks if each["check"] == "prices"]
    assert found["ok"]
    assert found["detail"].endswith(f"and {path} of 2026-11-01 for claude-haiku-5-5, our-own")

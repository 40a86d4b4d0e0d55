"""Costs add up by the provider's rules: cached tokens apart, long prompts dearer, unknown told from free."""

import re

import pytest

from fleet.llm import prices
from fleet.llm.base import Usage
from fleet.llm.prices import AS_OF, PRICES, Price, cost_usd, known

MILLION = 1_000_000


def test_each_kind_of_token_has_its_price():
    usage = Usage(input_tokens=MILLION, output_tokens=MILLION, cache_read_tokens=MILLION, cache_write_tokens=MILLION)
    assert cost_usd("claude-haiku-4-5", usage) == pytest.approx(1.00 + 5.00 + 0.10 + 1.25)
    assert cost_usd("claude-haiku-4-5", Usage()) == 0.0


def test_a_routing_call_on_the_default_model_costs_a_fraction_of_a_cent():
    usage = Usage(input_tokens=900, output_tokens=120, cache_read_tokens=1500)
    assert cost_usd("claude-haiku-5-5", usage) == pytest.approx(0.000165)


def test_a_long_prompt_costs_more_on_every_token_and_cached_ones_count():
    at = Usage(input_tokens=40_000, cache_read_tokens=60_000, output_tokens=1000)
    over = Usage(input_tokens=40_000, cache_read_tokens=60_001, output_tokens=1000)
    assert cost_usd("claude-haiku-5-5", at) == pytest.approx((40_000 * 0.1 + 60_000 * 0.01 + 1000 * 0.5) / MILLION)
    assert cost_usd("claude-haiku-5-5", over) == pytest.approx((40_000 * 0.5 + 60_001 * 0.05 + 1000 * 2.5) / MILLION)


@pytest.mark.parametrize("name", ["claude-haiku-4-5-20251001", "anthropic:claude-haiku-4-5", "claude-haiku-4-5"])
def test_dated_and_prefixed_ids_are_the_same_model(name):
    assert known(name)
    assert cost_usd(name, Usage(input_tokens=MILLION)) == 1.00


def test_unknown_is_told_from_free():
    assert cost_usd("claude-of-next-year", Usage(input_tokens=MILLION)) == 0.0
    assert not known("claude-of-next-year")
    assert cost_usd("offline:router", Usage()) == 0.0
    assert known("offline:router")


def test_an_application_may_set_its_own_price(monkeypatch):
    monkeypatch.setitem(PRICES, "claude-of-next-year", Price(1.0, 2.0, 3.0, 4.0))
    assert known("claude-of-next-year")
    assert cost_usd("claude-of-next-year", Usage(output_tokens=MILLION)) == 2.0


def test_the_table_is_dated_and_its_cache_prices_are_of_the_published_kind():
    assert re.fullmatch(r"2026-\d\d-\d\d", AS_OF)
    assert "platform.claude.com" in prices.__doc__
    for price in PRICES.values():
        assert price.cache_write == pytest.approx(1.25 * price.input)
        assert price.output == pytest.approx(5 * price.input)
        assert price.cache_read / price.input == pytest.approx(0.1) or price.cache_read < 0.1 * price.input

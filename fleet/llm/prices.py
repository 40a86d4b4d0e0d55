"""What Claude models cost: list prices in US dollars per million tokens, as published on `AS_OF`.

Source: https://platform.claude.com/docs/en/about-claude/pricing and the models' own pages there. Cache writes are
those of the 5-minute cache, the only one that fleet asks for. Batches, one-hour caches and server tools are not in
the table. Prices change and contracts differ: the setting `prices` names a file whose rows replace these or come to
them. What was recorded before stays as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.llm.base import Usage  # and with it what a reader of prices does without

__all__ = ["AS_OF", "PRICES", "Price", "cost_usd", "known"]

AS_OF = "2026-10-24"


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens; `long` replaces the whole row for a prompt of more than `long_over` tokens."""

    input: float
    output: float
    cache_write: float
    cache_read: float
    long: Price | None = None
    long_over: int = 0


PRICES: dict[str, Price] = {
    # 5.5 charges by the length of the prompt, cached tokens included; then all tokens of the call cost that much.
    "claude-haiku-5-5": Price(0.10, 0.50, 0.125, 0.01, long=Price(0.50, 2.50, 0.625, 0.05), long_over=100_000),
    "claude-haiku-4-5": Price(1.00, 5.00, 1.25, 0.10),
    "claude-sonnet-5-5": Price(2.00, 10.00, 2.50, 0.10),
    "claude-sonnet-5": Price(2.00, 10.00, 2.50, 0.20),
    "claude-sonnet-4-6": Price(3.00, 15.00, 3.75, 0.30),
    "claude-sonnet-4-5": Price(3.00, 15.00, 3.75, 0.30),
    "claude-opus-5-5": Price(4.00, 20.00, 5.00, 0.20),
    "claude-opus-5": Price(5.00, 25.00, 6.25, 0.50),
    "claude-opus-4-8": Price(5.00, 25.00, 6.25, 0.50),
    "claude-opus-4-7": Price(5.00, 25.00, 6.25, 0.50),
    "claude-opus-4-6": Price(5.00, 25.00, 6.25, 0.50),
    "claude-opus-4-5": Price(5.00, 25.00, 6.25, 0.50),
    "claude-fable-5-1": Price(10.00, 50.00, 12.50, 0.25),
    "claude-fable-5": Price(10.00, 50.00, 12.50, 1.00),
    "claude-mythos-5-1": Price(10.00, 50.00, 12.50, 0.25),
    "claude-mythos-5": Price(10.00, 50.00, 12.50, 1.00),
}

_FREE = Price(0.0, 0.0, 0.0, 0.0)
_SNAPSHOT = re.compile(r"-\d{8}$")
_MILLION = 1_000_000


def known(model_id: str) -> bool:
    """Whether `cost_usd` has a price for this model; where not, its 0.0 means unknown, not free."""
    return _price(model_id) is not None


def cost_usd(model_id: str, usage: Usage) -> float:
    """What one call cost in US dollars at list prices; 0.0 for a model without a price (`known` tells).

    `model_id` is an id as the provider spells it, dated or not, with or without `anthropic:` before it. Offline models
    cost nothing. `usage` is that of a single call: the price may depend on the length of the prompt.
    """
    price = _price(model_id) or _FREE
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    if price.long is not None and prompt > price.long_over:
        price = price.long
    return (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_write_tokens * price.cache_write
        + usage.cache_read_tokens * price.cache_read
    ) / _MILLION


def _price(model_id: str) -> Price | None:
    if model_id.startswith("offline:"):
        return _FREE
    name = model_id.removeprefix("anthropic:")
    return PRICES.get(name) or PRICES.get(_SNAPSHOT.sub("", name))

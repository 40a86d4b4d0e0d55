"""The user's own prices, out of a TOML or JSON file, over the list prices.

as_of = "2026-11-01"

[models."claude-haiku-5-5"]   # US dollars per million tokens
input = 0.08
output = 0.40
cache_write = 0.10            # these two: the price of `input`, where they are not given
cache_read = 0.008
long_over = 100000            # a prompt of more tokens costs what `long` says
long = { input = 0.4, output = 2.0 }
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from fleet.errors import ConfigError
from fleet.llm.prices import PRICES, Price

__all__ = ["PriceFile", "read_prices", "use_prices"]

_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Rates(BaseModel):
    model_config = ConfigDict(extra="forbid")

    input: _Dollars
    output: _Dollars
    cache_write: _Dollars | None = None
    cache_read: _Dollars | None = None

    def price(self, long: Price | None = None, long_over: int = 0) -> Price:
        """The row of the table that these are."""
        write, read = self.cache_write, self.cache_read
        return Price(
            self.input,
            self.output,
            self.input if write is None else write,
            self.input if read is None else read,
            long,
            long_over,
        )


class _Row(_Rates):
    long: _Rates | None = None
    long_over: int = Field(0, ge=0)


def _day(value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise PydanticCustomError("date", "Input should be a valid date, as in 2026-11-01") from None


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")

    as_of: Annotated[str, BeforeValidator(_day)]  # no `date`: a schema cannot be built of one while tests freeze time
    models: dict[str, _Row] = Field(min_length=1)


@dataclass(frozen=True)
class PriceFile:
    """Prices by the model's id, and the day of which they are."""

    as_of: date
    prices: Mapping[str, Price]


def read_prices(path: Path) -> PriceFile:
    """The prices in a file, `.json` or TOML.

    Raises: ConfigError in one line, naming the file and the first field that is wrong.
    """
    try:
        text = path.read_text("utf-8")
        table = _Table.model_validate(json.loads(text) if path.suffix == ".json" else tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"prices {path}: {error.strerror or error}") from None
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"prices {path}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, no TOML
        raise ConfigError(f"prices {path}: {' '.join(str(error).split())}") from None
    found: dict[str, Price] = {}
    for name, row in table.models.items():
        if (row.long is None) != (row.long_over == 0):
            raise ConfigError(f"prices {path}: models.{name}: long and long_over go together")
        found[name.removeprefix("anthropic:")] = row.price(row.long.price() if row.long else None, row.long_over)
    return PriceFile(date.fromisoformat(table.as_of), found)


def use_prices(path: str) -> None:
    """Count with the file's prices from here on, in the whole process; "" changes nothing. Raises: ConfigError."""
    if path:
        PRICES.update(read_prices(Path(path)).prices)

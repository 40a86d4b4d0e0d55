"""What an application's own labels taught `offline:router`: one small file in the home, of numbers and roles only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.errors import ConfigError

__all__ = ["TUNING_FILE", "Tuning", "read_tuning"]

TUNING_FILE = "router.json"
_LEAST = 1e-6  # probability

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Tuning(BaseModel):
    """How the router's choices are weighed anew.

    `prior` is the share of messages that continue the newest thread, None where that is left as it is. `sharpness`
    multiplies the logarithms of the probabilities (above 1: surer); then `new` is added for every new thread, the
    threshold between carrying on and starting, and `agents` for one with this agent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fleet_tune: Literal[1] = 1  # the file's version
    prior: Annotated[float, Field(ge=0, le=1)] | None = None
    sharpness: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    new: Finite = 0.0
    agents: dict[str, Finite] = {}
    labels: int = 0  # that it was learned from

    @property
    def id(self) -> str:
        """What records name it by: twelve hex digits of its contents' hash."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @property
    def text(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=2) + "\n"

    def weigh(self, choices: Sequence[tuple[str | None, float]]) -> list[float]:
        """The probabilities anew, in the order given: of (agent of a new thread, or None; probability) a choice."""
        scores = [
            self.sharpness * math.log(max(probability, _LEAST))
            + (0.0 if agent is None else self.new + self.agents.get(agent, 0.0))
            for agent, probability in choices
        ]
        top = max(scores, default=0.0)
        parts = [math.exp(each - top) for each in scores]
        total = sum(parts)
        return [each / total for each in parts]


def read_tuning(home: Path) -> Tuning | None:
    """What `fleet tune` wrote into this home; None where it did not. Raises: ConfigError for a file that is none."""
    path = home / TUNING_FILE
    try:
        return Tuning.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValidationError:
        raise ConfigError(f"{path} is no tuning as `fleet tune` writes it: delete it, and tune again") from None

"""Gates: application code that settles a message before any model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from fleet.errors import ConfigError

__all__ = ["DispatchAction", "DispatchResult", "run_gate"]


class DispatchAction(StrEnum):
    """What a gate does with a message.

    ROUTE: to the thread of `key`, started if there is none; CREATE_AGENT: to a new thread; DROP: nowhere, on record;
    ERROR: nowhere, on record as an error.
    """

    ROUTE = "ROUTE"
    CREATE_AGENT = "CREATE_AGENT"
    DROP = "DROP"
    ERROR = "ERROR"


@dataclass(frozen=True)
class DispatchResult:
    """A gate's word on one message. `agent` is the role of a thread that it starts; "" takes the default agent."""

    key: str
    action: DispatchAction
    agent: str = ""
    reason: str = ""


async def run_gate(gate: Callable[..., Any], message: Any) -> DispatchResult | None:
    """What the gate says, sync or async; None passes the message on to the model.

    Raises: ConfigError if it returns anything else; whatever the gate raises.
    """
    said = gate(message)
    if inspect.isawaitable(said):
        said = await said
    if said is None:
        return None
    if isinstance(said, DispatchResult):
        if not all(isinstance(each, str) for each in (said.key, said.agent, said.reason)):
            raise ConfigError("a DispatchResult's key, agent and reason are str")
        return replace(said, action=DispatchAction(said.action))
    raise ConfigError(f"a gate returns a DispatchResult, or None to pass, not {type(said).__name__}")

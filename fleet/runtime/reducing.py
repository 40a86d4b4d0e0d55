"""How a stored application event is read, and what applies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleet.agents.context import reducers
from fleet.errors import GraphError

__all__ = ["reducer_of"]


def reducer_of(name: str) -> tuple[Callable[[dict[str, Any]], Any], Callable[[Any, Any], None]]:
    """How a stored application event is read, and what applies it.

    Raises: GraphError if no reducer of that name is registered in this process.
    """
    found = reducers().get(name)
    if found is None:
        raise GraphError(
            f"no @reducer for the application event {name!r}; name the application that wrote it with --app"
        )
    event, reduce = found
    return event.model_validate, reduce

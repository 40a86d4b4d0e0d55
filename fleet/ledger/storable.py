"""What the stores can keep of a text from outside: a model's answer or a tool's result may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["storable"]


def storable(value: Any) -> Any:
    """JSON as the stores can keep it: NUL left out of texts, half a surrogate pair replaced. Tuples stay tuples."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "")
    if isinstance(value, Mapping):
        return {storable(key): storable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(storable(each) for each in value)
    return value

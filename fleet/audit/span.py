"""A part of a message's trace, as a value, and the ids that it always has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Event", "Kind", "Span", "Values", "span_id", "trace_id"]

Kind = Literal["internal", "client", "consumer"]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """Something that happened at a moment of a span; `at` in microseconds since 1970 UTC."""

    name: str
    at: int
    attributes: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """A part of a message's trace, from `start` to `end` in microseconds since 1970 UTC.

    `part` tells it from the other spans of its trace, and `parent` is its parent's, "" for the root. `error` is the
    status message, "" where nothing went wrong. `link` names another message's span: (message id, part).
    """

    message_id: str
    part: str
    parent: str
    name: str
    start: int
    end: int
    attributes: Values = field(default_factory=dict)
    events: Sequence[Event] = ()
    kind: Kind = "internal"
    error: str = ""
    link: tuple[str, str] | None = None


def trace_id(message_id: str) -> int:
    """The trace of a message, always the same: the first 16 bytes of the SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(message_id.encode()).digest()[:16]) or 1


def span_id(message_id: str, part: str) -> int:
    """The id of a span, always the same; `part` holds the ledger's seq where there may be several."""
    return int.from_bytes(hashlib.sha256(f"{message_id}\n{part}".encode()).digest()[:8]) or 1

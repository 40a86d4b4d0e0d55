"""Lengths of time as people type them: 90s, 10m, 2h, 1d."""

from __future__ import annotations

import re

from fleet.errors import InputError
from fleet.prompting.quote import quote

__all__ = ["read_duration"]

_LONG = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|min|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_LONGEST_S = 36525 * 86400  # a century


def read_duration(text: str) -> int:
    """A length of time in microseconds. Raises: InputError for anything else."""
    found = _LONG.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise InputError(f"a length of time looks like 90s, 10m, 2h or 1d, not {quote(text)}")
    return round(seconds * 1e6)

"""Quotas: so many messages in so long, for each user or agent. Counted in this process, from its start."""

from __future__ import annotations

import re
from collections import deque

from fleet.errors import ConfigError

__all__ = ["Quota"]

_SPELLED = re.compile(r"([1-9]\d*)\s*/\s*(s|min|h|day)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86400}
_KEYS = 10_000  # with more of them, those that have been quiet are forgotten


class Quota:
    """`20/min`: a key gets so many in any stretch of that length; s, min, h and day are known.

    Raises: ConfigError for another spelling; `whose` is named in it.
    """

    def __init__(self, spelled: str, whose: str) -> None:
        found = _SPELLED.fullmatch(spelled)
        if found is None:
            raise ConfigError(f"{whose}: a quota is written 20/min (or /s, /h, /day), not {spelled!r}")
        self.spelled, self._most, self._span = spelled, int(found[1]), float(_SECONDS[found[2]])
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: str, now: float) -> bool:
        """Whether one more is within the quota; if so it counts. `now` is in seconds of a clock that never falls."""
        taken = self._taken.get(key)
        if taken is None:
            if len(self._taken) >= _KEYS:
                self._taken = {each: times for each, times in self._taken.items() if times[-1] > now - self._span}
            taken = self._taken[key] = deque()
        while taken and taken[0] <= now - self._span:
            taken.popleft()
        if len(taken) >= self._most:
            return False
        taken.append(now)
        return True

"""Quotas: so many messages in so long, for each user or agent. What was given before a restart counts on."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from fleet.clock import now_us
from fleet.errors import ConfigError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import DispatchRequested, MessageDecided

__all__ = ["Quota", "ages_of_agents", "ages_of_user"]

_SPELLED = re.compile(r"([1-9]\d*)\s*/\s*(s|min|h|day)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86400}
_KEYS = 10_000  # with more of them, those that have been quiet are forgotten
_MOST_READ = 100_000  # decisions that are looked through for what agents were given

Ages = Iterable[float]


class Quota:
    """`20/min`: a key gets so many in any stretch of that length; s, min, h and day are known.

    `past` says of a key that is not known yet how many seconds ago it had what it had.
    Raises: ConfigError for another spelling; `whose` is named in it.
    """

    def __init__(self, spelled: str, whose: str) -> None:
        found = _SPELLED.fullmatch(spelled)
        if found is None:
            raise ConfigError(f"{whose}: a quota is written 20/min (or /s, /h, /day), not {spelled!r}")
        self.spelled, self.most, self.span_s = spelled, int(found[1]), float(_SECONDS[found[2]])
        self.past: Callable[[str], Ages] = lambda key: ()
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: str, now: float) -> bool:
        """Whether one more is within the quota; if so it counts. `now` is in seconds of a clock that never falls."""
        taken = self._taken.get(key)
        if taken is None:
            if len(self._taken) >= _KEYS:
                lately = now - self.span_s
                self._taken = {each: times for each, times in self._taken.items() if times and times[-1] > lately}
            self.begin(key, self.past(key), now)
            taken = self._taken[key]
        while taken and taken[0] <= now - self.span_s:
            taken.popleft()
        if len(taken) >= self.most:
            return False
        taken.append(now)
        return True

    def begin(self, key: str, ages: Ages, now: float) -> None:
        """The key has had as many as there are ages, in seconds."""
        self._taken[key] = deque(sorted(now - age for age in ages))


def ages_of_user(ledger: Ledger, quota: Quota, user: str) -> list[float]:
    """How many seconds ago messages of the user were let through, as far as they count still; the newest first."""
    found: list[float] = []
    for age, stored, event in _decided(ledger, quota.span_s, user):
        if _is_the_users(ledger, stored, event):
            found.append(age)
            if len(found) >= quota.most:
                break
    return found


def ages_of_agents(ledger: Ledger, quotas: Mapping[str, Quota]) -> dict[str, list[float]]:
    """The same for agents; reads no further back than it takes, nor than the last so many decisions."""
    found: dict[str, list[float]] = {role: [] for role in quotas}
    left = set(quotas)
    longest_s = max((quota.span_s for quota in quotas.values()), default=0.0)
    for number, (age, _, event) in enumerate(_decided(ledger, longest_s)):
        left -= {role for role in left if age >= quotas[role].span_s or len(found[role]) >= quotas[role].most}
        if not left or number >= _MOST_READ:
            break
        if event.decision.agent in left and event.decision.by != "joined":  # to another's decision, which counts
            found[event.decision.agent].append(age)
    return found


def _decided(ledger: Ledger, span_s: float, user: str = "") -> Iterator[tuple[float, Stored, MessageDecided]]:
    """The decisions of the last so many seconds, the newest first, each with its age in seconds."""
    now = now_us()
    for stored in ledger.read(types=(MessageDecided.TYPE,), user=user, newest_first=True):
        age = max(0.0, (now - stored.at) / 1e6)
        if age >= span_s:
            return
        if isinstance(stored.event, MessageDecided):
            yield age, stored, stored.event


def _is_the_users(ledger: Ledger, stored: Stored, event: MessageDecided) -> bool:
    """Whether a decision counts for its user: one that their quota let through, and that they asked for themselves."""
    decision = event.decision
    if decision.outcome in ("answer", "cancelled") or decision.gate == "user_quota":
        return False
    if decision.by != "dispatch":
        return True
    asked = ledger.read_stream(stored.stream)[0].event
    return isinstance(asked, DispatchRequested) and asked.assignment.by_user

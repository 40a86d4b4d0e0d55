"""What the demo keeps in the graph: for each person the requests and the preferences, changed by events alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet import AppEvent, memo, reducer
from fleet.demo.shifts import Move

__all__ = [
    "DEFAULTS",
    "Person",
    "PreferencesChanged",
    "Request",
    "RequestSubmitted",
    "moves_of",
    "preferences_of",
    "requests_of",
]

DEFAULTS: Mapping[str, Any] = {
    "channel": "email",
    "reminder_minutes": 60,
    "preferred_shift": "either",
    "digest": "weekly",
}


@memo(id="fleet.demo/Request")
class Request:
    """One submitted change: the shift of `day` moves to `new_day`. Times in ISO 8601."""

    def __init__(self, request_id: str, day: str, new_day: str, submitted_at: str) -> None:
        self.request_id = request_id
        self.day = day
        self.new_day = new_day
        self.submitted_at = submitted_at


@memo(id="fleet.demo/Person")
class Person:
    """What is on record for one person; `preferences` holds only what differs from `DEFAULTS`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.preferences: dict[str, Any] = {}


class RequestSubmitted(AppEvent):
    """A person asked for a shift to be moved."""

    NAME = "demo.request_submitted"
    request_id: str
    user: str
    day: str
    new_day: str
    submitted_at: str


class PreferencesChanged(AppEvent):
    """A person's preferences were changed; `changes` maps a preference's name to its new value."""

    NAME = "demo.preferences_changed"
    user: str
    changes: Mapping[str, str | int]


@reducer(RequestSubmitted)
def submit(state: Any, event: RequestSubmitted) -> None:
    """Add the request to the person's."""
    request = Request(event.request_id, event.day, event.new_day, event.submitted_at)
    _person(state, event.user).requests.append(request)


@reducer(PreferencesChanged)
def change_preferences(state: Any, event: PreferencesChanged) -> None:
    """Set what changed, leave the rest."""
    preferences = _person(state, event.user).preferences
    for name, value in event.changes.items():
        preferences[name] = value


def requests_of(state: Any, user: str) -> list[Request]:
    """The person's requests, oldest first."""
    person = state.get(f"person:{user}")
    return list(person.requests) if person is not None else []


def moves_of(state: Any, user: str) -> list[Move]:
    """The person's moved shifts, in the order in which they were moved."""
    return [Move(request.day, request.new_day) for request in requests_of(state, user)]


def preferences_of(state: Any, user: str) -> dict[str, Any]:
    """The person's preferences, defaults filled in."""
    person = state.get(f"person:{user}")
    own = dict(person.preferences.items()) if person is not None else {}
    return {**DEFAULTS, **own}


def _person(state: Any, user: str) -> Any:
    key = f"person:{user}"
    if key not in state:
        state[key] = Person()
    return state[key]

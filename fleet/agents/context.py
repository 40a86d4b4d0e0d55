"""What a tool call is given and gives: its context, and the application events that it emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from fleet.agents.locales import read_locale
from fleet.agents.reminders import Reminder, ThreadReminders
from fleet.clock import now
from fleet.errors import ConfigError, ToolError

__all__ = ["AppEvent", "ToolContext", "reducer", "reducers"]

T = TypeVar("T")


class AppEvent(BaseModel):
    """An application's own event: subclass it, name it, give it fields, register a `@reducer` for it.

    `NAME` is for ever (it is what the ledger holds); `VERSION` rises when the fields change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    NAME: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1


Reducer = Callable[[Any, Any], None]
_REDUCERS: dict[str, tuple[type[AppEvent], Reducer]] = {}


def reducer(event: type[AppEvent]) -> Callable[[Reducer], Reducer]:
    """Register the function that applies `event` to the application's durable state: `fn(state, event) -> None`.

    `state` is the durable dict of the application. The function must be pure: no clock, no randomness, no I/O; it is
    called once when the event happens, and again whenever the graph is rebuilt.
    Raises: ConfigError if the event has no NAME or another class took it.
    """

    def register(fn: Reducer) -> Reducer:
        if not event.NAME:
            raise ConfigError(f'{event.__qualname__} needs a NAME, such as NAME = "shop.order_placed"')
        known = _REDUCERS.get(event.NAME)
        if known and (known[0].__module__, known[0].__qualname__) != (event.__module__, event.__qualname__):
            raise ConfigError(f"two application events are named {event.NAME!r}; names are for ever and unique")
        _REDUCERS[event.NAME] = (event, fn)
        return fn

    return register


def reducers() -> Mapping[str, tuple[type[AppEvent], Reducer]]:
    """Every registered reducer by event name."""
    return _REDUCERS


@dataclass
class ToolContext:
    """What a tool call knows about itself; injected, never visible to the model.

    `state` is the application's durable dict: read it, never assign to it; change it with `emit`. It may be read on the
    event loop's thread alone: an async tool does so directly, a plain function through `read`.
    `home` is the fleet's folder; `timezone` the user's, where the application gives one; `locale` the thread's.
    `idempotency_key` is the same for every try of the same call; `now` is when the call began, UTC.
    """

    user: str
    thread_id: str
    job_id: str
    call_id: str
    idempotency_key: str
    now: datetime
    state: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    home: Path = Path(".fleet")
    emitted: list[AppEvent] = field(default_factory=list)
    hop: Callable[[Callable[[Any], Any]], Any] | None = field(default=None, repr=False)
    timezone: ZoneInfo | None = None
    locale: str = "en"
    planned: ThreadReminders = field(default_factory=lambda: ThreadReminders(now()), repr=False)
    locales: list[str] = field(default_factory=list, repr=False)

    def emit(self, event: AppEvent) -> None:
        """Record an application event together with this call's result: both happen, once, or neither."""
        if event.NAME not in _REDUCERS:
            raise ToolError(f"no @reducer is registered for {event.NAME or type(event).__qualname__!r}")
        self.emitted.append(event)

    def read(self, fn: Callable[[Any], T]) -> T:
        """What `fn(state)` gives, called where the state may be read. Take plain values from it, no durable objects."""
        found: T = fn(self.state) if self.hop is None else self.hop(fn)
        return found

    @property
    def reminders(self) -> tuple[Reminder, ...]:
        """The thread's open reminders, with what this call has set and without what it has cancelled."""
        return tuple(self.planned.open)

    def remind_at(self, when: datetime, note: str, *, verbatim: bool = False) -> str:
        """Have the thread's agent take a turn at this time, in which it is told `note`; the reminder's id.

        With `verbatim` no model is asked: the user is told the note word for word. It is on record together with this
        call's result, survives restarts and fires once; due while no worker runs, it fires when one starts.
        Raises: ToolError for a naive time, one that is past, no note, more than the thread may have.
        """
        return self.planned.at(when, note, verbatim=verbatim)

    def remind_after(self, wait: float | timedelta, note: str, *, verbatim: bool = False) -> str:
        """The same after so many seconds, or a timedelta, of a second or more."""
        return self.planned.after(wait, note, verbatim=verbatim)

    def cancel_reminder(self, reminder_id: str) -> bool:
        """Take an open reminder of this thread back with this call; False if there is none of that id any more."""
        return self.planned.cancel(reminder_id)

    def set_locale(self, locale: str) -> None:
        """Answer in this locale, a BCP 47 tag, from the thread's next turn on, whatever its messages say.

        "" lets its messages and the application decide again. It is on record together with this call's result.
        Raises: ToolError for what is no tag.
        """
        tag = read_locale(locale) if locale else ""
        if tag is None:
            raise ToolError(f"{locale[:40]!r} is no locale; one is a tag such as de, pt-BR or zh-Hant-TW")
        self.locales[:] = [tag]

"""The user's time zone, where the application says one, and times as people give them in it."""

from __future__ import annotations

import logging
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.agents.app import App
from fleet.errors import ToolError
from fleet.log import log

__all__ = ["read_local_time", "zone_of"]


def zone_of(app: App, user: str) -> ZoneInfo | None:
    """The zone that the application gives the user; None where it gives none, or one that does not exist."""
    if app.timezone_of is None:
        return None
    try:
        name = app.timezone_of(user)
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        log("timezone.unknown", level=logging.WARNING, error="no such zone")
    except Exception as error:  # the application's own function
        log("timezone.unknown", level=logging.WARNING, error=type(error).__name__)
    return None


def read_local_time(text: str, zone: ZoneInfo | None) -> datetime:
    """An ISO 8601 time as an aware one: with its own offset, else as the clock in `zone` shows it.

    Of an hour that comes twice the first is meant; one that is left out counts from the hour before.
    Raises: ToolError for what is no time, or has no offset where there is no zone.
    """
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ToolError(f"{text[:40]!r} is no time; write it as 2026-11-22T09:00, or with an offset") from None
    if when.utcoffset() is not None:
        return when
    if zone is None:
        raise ToolError(f"{text[:40]} has no time zone, and the user's is not known; give an offset, as in +01:00 or Z")
    return when.replace(tzinfo=zone)

"""The time, always aware and in UTC; microseconds where it is stored.

Everything that needs the time takes it from here, so a frozen clock in a test freezes the whole fleet.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["from_us", "iso", "now", "now_us", "to_us"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def now_us() -> int:
    """The time as whole microseconds since 1970-01-01 UTC: the form in which it is stored."""
    return to_us(now())


def to_us(moment: datetime) -> int:
    """An aware time as whole microseconds since 1970; exact, unlike a float timestamp.

    Raises: ValueError for a naive time.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive time has no place here; give it a time zone")
    return (moment - _EPOCH) // _US


def from_us(microseconds: int) -> datetime:
    """The aware time that `to_us` gave as a number."""
    return _EPOCH + timedelta(microseconds=microseconds)


def iso(microseconds: int) -> str:
    """A stored time as people read it: ISO 8601 to the millisecond, in UTC, with a final Z."""
    return from_us(microseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")

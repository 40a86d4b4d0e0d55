"""Durations, times and money as people read them."""

from __future__ import annotations

from fleet.audit.explanation import Totals

__all__ = ["ago", "duration", "money", "tokens"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(us: int) -> str:
    """Microseconds in the unit that fits: `850 µs`, `12.3 ms`, `1.23 s`, `2 min 5 s`, `3 h 2 min`, `4 d 1 h`."""
    if not us:
        return "0"
    if us < 1_000:
        return f"{us} µs"
    if us < 1_000_000:
        return f"{us / 1e3:.3g} ms" if us < 999_500 else "1 s"
    seconds = us / 1e6
    if seconds < _MINUTE:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for unit, size, smaller, part in (("d", _DAY, "h", _HOUR), ("h", _HOUR, "min", _MINUTE), ("min", _MINUTE, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def ago(then_us: int, now_us: int) -> str:
    """How long before a moment something was."""
    return f"{duration(now_us - then_us)} before" if now_us > then_us else "at that moment"


def money(usd: float) -> str:
    """US dollars, to the millionth where it is little."""
    return f"${usd:.2f}" if usd >= 1 or not usd else f"${usd:.6f}"


def tokens(total: Totals, *, priced: bool = True) -> str:
    """What model calls took, in a line; without a list price for the model, the cost is unknown."""
    calls = f"{total.calls} model call{'s' * (total.calls != 1)}"
    cost = money(total.cost_usd) if priced else "cost unknown (no list price)"
    if not (total.input_tokens or total.output_tokens or total.cache_read_tokens or total.cache_write_tokens):
        return f"{calls}, no tokens counted, {cost}"
    cached = f", {total.cache_read_tokens} read from cache" if total.cache_read_tokens else ""
    written = f", {total.cache_write_tokens} written to cache" if total.cache_write_tokens else ""
    return f"{calls}, {total.input_tokens} tokens in{cached}{written}, {total.output_tokens} out, {cost}"

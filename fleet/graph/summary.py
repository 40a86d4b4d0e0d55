"""A thread's summary for the dispatcher: how it began and where it stands, in a few hundred characters.

Deterministic and pure: it is computed while applying events, so a rebuilt graph has the same summaries.
"""

from __future__ import annotations

__all__ = ["extend_summary"]

_ENTRY = 160  # characters of one message that are kept
_WHOLE = 480  # characters of a summary
_GAP = " […]"


def extend_summary(summary: str, answer: str, text: str) -> str:
    """`summary` with the agent's last answer and the user's next message added.

    The first message stays; when it grows past its bound, what is oldest after the first gives way to `[…]`.
    """
    parts = [f"User: {_short(text)}"]
    if answer:
        parts.insert(0, f"Agent: {_short(answer)}")
    added = " ".join(parts)
    if not summary:
        return added
    whole = f"{summary} {added}"
    if len(whole) <= _WHOLE:
        return whole
    first = summary.split(_GAP, 1)[0]
    cut = first.find(" Agent: ")
    first = first if cut < 0 else first[:cut]
    return f"{first}{_GAP} {added}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ENTRY else line[: _ENTRY - 1].rstrip() + "…"

"""Replies while they are written, for the lines above a prompt: made inert, and no more than the last few lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fleet.audit.inert import name, visible
from fleet.workers.partials import Partial

__all__ = ["Writing"]

_LINES, _WIDTH = 8, 100  # shown of what is written: its end


class Writing:
    """What is being written to one user, by reply; `show` gets it as lines whenever it changes, "" for nothing."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._replies: dict[str, Partial] = {}
        self._begun: set[str] = set()  # replies that something was told of, and not their end
        self._anew: set[str] = set()

    def hear(self, partial: Partial) -> None:
        """One more piece; or the reply begins anew."""
        key, known = partial.reply_id, self._replies.get(partial.reply_id)
        if not partial.at:
            if key in self._begun:
                self._anew.add(key)
            self._begun.add(key)
            self._replies.pop(key, None)
        if partial.text:
            told = known.text if known is not None and partial.at else ""
            self._replies[key] = replace(partial, at=0, text=told + partial.text)
        self._draw()

    def ended(self, reply_id: str) -> None:
        """The reply is on record: it is shown as such, and not here."""
        self._begun.discard(reply_id)
        self._anew.discard(reply_id)
        if self._replies.pop(reply_id, None) is not None:
            self._draw()

    def _draw(self) -> None:
        self._show("\n".join(map(self._page, self._replies.values())))

    def _page(self, partial: Partial) -> str:
        lines = [
            line[start : start + _WIDTH]
            for line in visible(partial.text).expandtabs(4).split("\n")
            for start in range(0, max(1, len(line)), _WIDTH)
        ]
        head = f"  {name(partial.agent)} is writing{', once more' if partial.reply_id in self._anew else ''}:"
        return "\n".join([head, *(f"    {line}" for line in lines[-_LINES:])])

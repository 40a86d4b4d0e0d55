"""The `offline:recap` model: a long conversation in short, by picking out what was said; no model, no network.

It reads the same request as any model that is asked for a recap (see fleet.workers.recap), of whose lines each holds
one quoted text, and keeps the beginning of the conversation and what came last, a line for each text. The same request
gets the same answer, always.
"""

from __future__ import annotations

import json
import re

from fleet.llm.base import Answer, Request

__all__ = ["OfflineRecap"]

_LINE = re.compile(r'(Remembered|User|Agent|Reminder): (".*")')
_ENTRY = 160  # characters of one text that are kept
_WHOLE = 2400  # characters of a recap
_GAP = "[…]"


class OfflineRecap:
    """A model that keeps the first and the last of what was said; standard library only."""

    name = "offline:recap"

    async def complete(self, request: Request) -> Answer:
        """Answer one request for a recap. Raises: nothing; where it finds nothing that was said it says so."""
        lines: list[str] = []
        for line in str(request.messages[-1]["content"]).splitlines():
            found = _LINE.fullmatch(line)
            if found is None:
                continue
            text = json.loads(found[2])
            if found[1] == "Remembered":
                lines += text.splitlines()
            elif text.strip():
                lines.append(f"{found[1]}: {_short(text)}")
        return Answer(({"type": "text", "text": _fit(lines) or "Nothing was said."},), "end_turn", self.name)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ENTRY else line[: _ENTRY - 1].rstrip() + "…"


def _fit(lines: list[str]) -> str:
    """The lines, without those after the first two that are too many."""
    kept = [line for line in lines if line != _GAP]
    head, rest = kept[:2], kept[2:]
    dropped = len(kept) < len(lines)
    while rest and sum(len(line) + 1 for line in (*head, *rest)) > _WHOLE:
        rest.pop(0)
        dropped = True
    return "\n".join((*head, *([_GAP] if dropped else []), *rest))

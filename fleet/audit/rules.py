"""The rules in a prompt, out of its Markdown: what a router was told to decide by."""

from __future__ import annotations

import re

__all__ = ["rules_of"]

_ITEM = re.compile(r"(?:\d{1,3}[.)]|[-*+])[ \t]+(?=\S)")
_NUMBERED = re.compile(r"\d")
_FENCE = re.compile(r"(```+|~~~+)")


def rules_of(prompt: str) -> tuple[str, ...]:
    """The prompt's numbered items, each on one line with its number; without any the bulleted ones, else its lines.

    What stands in fenced code is no rule.
    """
    items, lines = _items(prompt)
    numbered = tuple(each for each in items if _NUMBERED.match(each))
    return numbered or tuple(items) or tuple(lines)


def _items(prompt: str) -> tuple[list[str], list[str]]:
    """List items at the margin with the lines that belong to them, and all lines outside of code."""
    items: list[str] = []
    lines: list[str] = []
    fence, inside = "", False
    for line in prompt.splitlines():
        mark = _FENCE.match(line.strip())
        if mark and (not fence or mark[1].startswith(fence)):
            fence, inside = "" if fence else mark[1], False
            continue
        words = " ".join(line.split())
        if fence or not words:
            continue
        lines.append(words)
        if _ITEM.match(line):
            items.append(words)
            inside = True
        elif inside and line[0] in " \t":
            items[-1] += f" {words}"
        else:
            inside = False
    return items, lines

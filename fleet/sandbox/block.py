"""The outside of an answer: its size, its characters, its fences; what is left is the code of one block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fleet.sandbox.characters import ILLEGAL
from fleet.sandbox.verdicts import rejected

__all__ = ["MAX_BYTES", "Fence", "fences_of", "read_block"]

# The longest answer that a person would still read; the guide's own are under 400 bytes.
MAX_BYTES = 8192

_FENCE = re.compile(r"(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})(?P<info>.*)")
_LABELS = frozenset({"python", "py", "python3"})


class Fence(NamedTuple):
    """A line that starts, after blanks, with three or more backticks or tildes."""

    line: int
    plain: bool  # exactly three backticks at the very start of the line
    info: str


def fences_of(lines: Sequence[str]) -> list[Fence]:
    """The fence lines, in order; a fence inside a line, or inside a comment, is none."""
    return [
        Fence(number, not match["indent"] and match["ticks"] == "```", match["info"].strip())
        for number, line in enumerate(lines)
        if ("```" in line or "~~~" in line) and (match := _FENCE.match(line)) is not None
    ]


def read_block(output: str) -> str:
    """The code between the fences of an answer that is one fenced Python block; newlines are LF.

    Raises: ActionRejected with output_too_large … fence_language, the first that fits.
    Pure. The size is counted in UTF-8 bytes after CRLF has become LF.
    """
    text = output.replace("\r\n", "\n")
    # Characters first: no text of so many can fit, and a huge one need not be encoded to know it.
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise rejected("output_too_large", limit=MAX_BYTES)
    if (match := ILLEGAL.search(text)) is not None:
        raise rejected("illegal_character", character=f"U+{ord(match[0][0]):04X}")
    if not text.strip():
        raise rejected("empty_output")

    lines = text.split("\n")
    fences = fences_of(lines)
    if not fences:
        raise rejected("no_code_block")
    if len(fences) == 1:
        raise rejected("fence_unclosed")
    if len(fences) > 2:
        raise rejected("multiple_blocks")
    opening, closing = fences
    if "".join(lines[: opening.line] + lines[closing.line + 1 :]).strip():
        raise rejected("prose_outside_block")
    if not opening.plain or not closing.plain or closing.info:
        raise rejected("fence_style")
    if opening.info.lower() not in _LABELS:
        raise rejected("fence_language")
    return "\n".join(lines[opening.line + 1 : closing.line]) + "\n"

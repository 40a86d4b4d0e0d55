"""The reason that a model states with its answer: its comments, made safe to show."""

from __future__ import annotations

from fleet.sandbox.block import fences_of
from fleet.sandbox.characters import ILLEGAL
from fleet.sandbox.tokens import scan_block

__all__ = ["MAX_COMMENT_CHARS", "comments_of"]

MAX_COMMENT_CHARS = 2000

# Twice an answer's own limit: a refused answer may be longer, and its first comments are what matters.
_READ_CHARS = 16384


def comments_of(output: str) -> str:
    """The comments of an accepted or refused answer, as lines of plain text; "" if there is none.

    The # and the blanks around a comment are left out, empty ones too; a character that no answer may hold becomes
    U+FFFD; what goes beyond 2000 characters is cut and ends in "…". In the block a # counts as Python reads it, so
    none in a string; outside of it, lines that start with # are taken.
    Pure; never raises.
    """
    lines = output[:_READ_CHARS].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    fences = fences_of(lines)
    start, stop = (fences[0].line, fences[-1].line if len(fences) > 1 else len(lines)) if fences else (0, 0)
    fenced = {fence.line for fence in fences}
    inside = "\n".join(line for number, line in enumerate(lines[:stop]) if number > start and number not in fenced)
    found = [*_marked(lines[:start]), *scan_block(f"{inside}\n").comments, *_marked(lines[stop:])]
    texts = [ILLEGAL.sub("\ufffd", comment).lstrip("#").strip() for comment in found]
    text = "\n".join(filter(None, texts))
    return text if len(text) <= MAX_COMMENT_CHARS else text[: MAX_COMMENT_CHARS - 1] + "…"


def _marked(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.lstrip().startswith("#")]

"""Printing what others wrote: as data, never as markup, control sequences or lines of ours."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["escape", "one_line", "print_json"]


def escape(text: str) -> str:
    r"""`text` with everything that a terminal would act on, or not show, as `\xNN` or `\uNNNN`; newlines stay."""
    return "".join(each if each.isprintable() or each == "\n" else _code(each) for each in text)


def one_line(text: str, width: int = 0) -> str:
    """`text` on one line, newlines as spaces; with `width`, cut to so many characters."""
    line = escape(" ".join(text.split()))
    return line if not width or len(line) <= width else line[: width - 1] + "…"


def print_json(value: Any) -> None:
    """Print one JSON value on one line; what a terminal would act on is escaped within its strings."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    click.echo("".join(each if each.isprintable() else _unit(each) for each in line))


def _code(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _unit(character: str) -> str:
    return json.dumps(character)[1:-1]

"""Printing for people, with rich: texts of others go in as `Text`, so that nothing in them is markup."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from fleet.cli.output import escape, one_line

__all__ = ["console", "data", "indented"]

_PIPED_WIDTH = 160  # columns where no terminal says: ids and names stay whole


def console() -> Console:
    """A console on standard output as it is now."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def data(text: str, style: str = "", width: int = 0) -> Text:
    """Somebody's words on one line."""
    return Text(one_line(text, width), style)


def indented(text: str, style: str = "", by: int = 4) -> Text:
    """Somebody's words with their lines, each indented."""
    margin = " " * by
    return Text("\n".join(margin + line for line in escape(text).split("\n")), style)

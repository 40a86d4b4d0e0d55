"""Words of others for rich: as `Text`, so that nothing in them is markup or acts on a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from fleet.audit.inert import visible

__all__ = ["data", "indented", "lines"]


def data(text: str, style: str = "", width: int = 0) -> Text:
    """Somebody's words on one line; with `width`, cut to so many characters."""
    line = visible(" ".join(text.split()))
    return Text(line if not width or len(line) <= width else line[: width - 1] + "…", style)


def lines(text: str, style: str = "") -> Text:
    """Somebody's words, their lines kept."""
    return Text(visible(text), style)


def indented(what: RenderableType, by: int) -> Padding:
    """Something moved to the right, its wrapped lines too."""
    return Padding(what, (0, 0, 0, by))

"""Text of users, models and tools on a page for people: one line, nothing in it acts on a terminal."""

from __future__ import annotations

import json
import re
from typing import Any

from fleet.prompting.quote import quote

__all__ = ["inert", "inert_json", "json_line", "name", "visible"]

_PLAIN = re.compile(r"[\w.:@+/()#~<>-]+(?: [\w.:@+/()#~<>-]+)*", re.ASCII)
_SPARE = 20  # characters, about as long as the remark on a cut
_HARMLESS = re.compile(r"([<>`])")


def inert(text: str, limit: int = 0) -> str:
    """The text as one quoted line, cut after `limit` characters (0: never), with what is left out counted.

    A few more than that are printed: saying how few would take as much room. Escaped as in a transcript, but for `<`,
    `>` and backticks: a page for people is no prompt.
    """
    shown = text if not limit or len(text) <= limit + _SPARE else text[:limit]
    body = f'"{"".join(part if part in "<>`" else quote(part)[1:-1] for part in _HARMLESS.split(shown))}"'
    return body if len(shown) == len(text) else f"{body} … {len(text) - len(shown)} more characters"


def inert_json(value: Any, limit: int = 0) -> str:
    """A JSON value as one inert line, cut after `limit` characters (0: never)."""
    text = json.dumps(value, ensure_ascii=False)
    cut = text if not limit or len(text) <= limit else text[:limit] + "…"
    return "".join(part if part in "<>`" else _unquoted(part) for part in _HARMLESS.split(cut))


def json_line(value: Any) -> str:
    """A JSON value on one line that reads back as the same; what a terminal would act on is escaped in its strings."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def name(text: str) -> str:
    """An id, a role, a tool's name: as it is if it is plain, else as one quoted line."""
    return text if _PLAIN.fullmatch(text) else inert(text)


def visible(text: str) -> str:
    """Text of several lines as it is, with control and hidden characters escaped: safe for a terminal."""
    return "".join(part if part in "\n\t<>`" else _unquoted(part) for part in re.split(r"([\n\t<>`])", text))


def _unquoted(text: str) -> str:
    """As in a quoted line, but with quotes and backslashes as they are."""
    return re.sub(r'\\(["\\])', r"\1", quote(text)[1:-1])

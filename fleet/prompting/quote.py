"""Untrusted text as one inert line.

A quoted text is one JSON string that `json.loads` gives back unchanged. Letters of every script stay readable;
what could forge a line, a fence or a tag, or hide, is escaped: `<`, `>`, backticks, control, format (bidi,
zero-width, tags), surrogate, private-use and unassigned characters, line and paragraph separators, and every space
but the plain one. It does not stop persuasion; what bounds that is what a router may do.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from typing import Any, SupportsIndex

__all__ = ["Untrusted", "quote", "quote_json"]

_ESCAPED = re.compile(r"[<>`\x00-\x1f\x7f-\uffff\U00010000-\U0010ffff]")
_SHOWN_AGAIN = 600  # characters; summaries and last messages are shown for every message of a user
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Marks that take no room of their own, and letters that are drawn as nothing: variation selectors, Hangul fillers,
# the combining grapheme joiner, Khmer inherent vowels, Mongolian selectors, the braille blank.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    if character in "<>`" or unicodedata.category(character) in _HIDDEN or _BLANK.match(character):
        units = character.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return character


def quote(text: str) -> str:
    """`text` as one quoted line: `json.loads(quote(text)) == text`, and nothing in it acts on a reader or parser."""
    return _quoted_before(text) if len(text) <= _SHOWN_AGAIN else _quoted(text)


def quote_json(value: Any) -> str:
    """A JSON value as one line in which no text acts on a reader or parser; `json.loads` gives the value back."""
    return _quoted(value)


def _quoted(text: Any) -> str:
    return _ESCAPED.sub(lambda found: _shown(found.group()), json.dumps(text, ensure_ascii=False))


_quoted_before = lru_cache(maxsize=2048)(_quoted)


class Untrusted(str):
    """Text from outside. Printed, formatted or concatenated it is its quoted line; as a value it is the text itself.

    Warmup code may compare, slice and search it as any str, and what its methods cut out of it (strip, lower, split)
    is untrusted too; what reaches the transcript through `print`, an f-string, `+` or `%` is inert. `", ".join(texts)`
    sees the raw texts: wrap its items in `str()`, or write `Untrusted(", ").join(texts)`.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return quote(self.raw)

    def __repr__(self) -> str:
        return quote(self.raw)

    def __format__(self, spec: str) -> str:
        return format(quote(self.raw), spec)

    def __add__(self, other: str) -> str:
        return str(self) + str(other)

    def __radd__(self, other: str) -> str:
        return str(other) + str(self)

    def __getitem__(self, key: Any) -> Untrusted:
        return Untrusted(str.__getitem__(self, key))

    def __iter__(self) -> Iterator[str]:
        return (Untrusted(character) for character in self.raw)

    def __mul__(self, times: SupportsIndex) -> Untrusted:
        return Untrusted(self.raw * times)

    __rmul__ = __mul__

    @property
    def raw(self) -> str:
        """The text itself, a plain str."""
        return str.__str__(self)


def _still_untrusted(name: str) -> Callable[..., Any]:
    method = getattr(str, name)

    @wraps(method)
    def wrapped(self: Untrusted, *args: Any, **kwargs: Any) -> Any:
        found = method(self.raw, *args, **kwargs)
        return Untrusted(found) if isinstance(found, str) else type(found)(Untrusted(each) for each in found)

    return wrapped


for _name in (
    "capitalize", "casefold", "center", "expandtabs", "format", "format_map", "join", "ljust", "lower", "lstrip",
    "partition", "removeprefix", "removesuffix", "replace", "rjust", "rpartition", "rsplit", "rstrip", "split",
    "splitlines", "strip", "swapcase", "title", "translate", "upper", "zfill",
):  # fmt: skip
    setattr(Untrusted, _name, _still_untrusted(_name))

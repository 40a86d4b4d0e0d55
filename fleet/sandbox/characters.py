"""Characters that no answer may hold, and text quoted so that it is one inert line.

The ranges are written out, not taken from `unicodedata`, so that every Python version gives the same verdict.
"""

from __future__ import annotations

import json
import re

__all__ = ["ILLEGAL", "UNPRINTABLE", "quoted"]

_INVISIBLE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and newline; a CR that no LF follows is one of them
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi controls: what is shown is not what is parsed
    r"\u2028\u2029"  # line and paragraph separator: a line's end to a reader, none to Python
    r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # format controls of shorthand and of musical notation
    r"\U000e0000-\U000e0fff"  # tags and supplementary variation selectors: they smuggle whole sentences
    r"\ud800-\udfff"
)

# One variation selector after a sign is how emoji are written; a run of them is a hidden message.
# ZWJ and ZWNJ are not here: emoji families and Persian need them.
_SELECTOR = r"\ufe00-\ufe0f"
_NOT_A_FIRST_SELECTOR = rf"(?:(?<![{_SELECTOR}])|(?<=[{_SELECTOR}][{_SELECTOR}]))"

ILLEGAL = re.compile(rf"[{_INVISIBLE}{_SELECTOR}]{_NOT_A_FIRST_SELECTOR}")

# What a name may not hold either: tab, newline, private use and noncharacters have no glyph to print.
_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(15) for low in (0xFFFE, 0xFFFF))
UNPRINTABLE = re.compile(
    rf"[{_INVISIBLE}{_SELECTOR}\t\n\ue000-\uf8ff\ufdd0-\ufdef{_NONCHARACTERS}\U000f0000-\U0010ffff]"
    rf"{_NOT_A_FIRST_SELECTOR}"
)

_ESCAPED = re.compile(rf"[<>`{_INVISIBLE}{_SELECTOR}]")


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def quoted(text: str) -> str:
    """The text as one quoted line: a Python string literal without markup, fence, control or invisible character.

    Letters of every script stay readable. Reading the literal gives the text back.
    """
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))

r"""The tokens of a block, counted before any parser sees them: a bound on what the parser is made to do.

Python's own parser recurses on the C stack: 6 KB of brackets raise MemoryError, or end a process whose thread
has a small one. Bounded, it needs less than 64 KiB. The scan itself is a loop over one regular expression.

It follows the tokens of Python 3.11, also where a later version reads more (an f-string that repeats its own
quotes, t-strings) or where versions differ in what they warn of (`"\d"`, `"\400"`, `0if`), so that every version
gives the same verdict and nothing has to be done to the process's warning filters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from fleet.sandbox.fields import fields_of

__all__ = ["MAX_NESTING", "MAX_NUMBER_CHARS", "MAX_TOKENS", "Scan", "scan", "scan_block"]

MAX_TOKENS = 256
MAX_NESTING = 16
MAX_NUMBER_CHARS = 100

_DIGITS = r"[0-9](?:_?[0-9])*"
_STRING = (
    r"(?P<prefix>(?i:br|rb|fr|rf|tr|rt|[bfrtu])?)"
    r"(?:(?P<triple>'''|\"\"\")(?P<long>(?:\\.|(?!(?P=triple))[^\\])*+)(?P<closed>(?P=triple))?"
    r"|(?P<single>['\"])(?P<short>(?:\\.|(?!(?P=single))[^\\\n])*+)(?P<shut>(?P=single))?)"
)
_TOKEN = re.compile(
    r"(?P<space>[ \t]+|\\\n)"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<newline>\n)"
    rf"|(?P<string>{_STRING})"
    r"|(?P<name>[A-Za-z_\x80-\U0010ffff][0-9A-Za-z_\x80-\U0010ffff]*)"
    r"|(?P<number>0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+"
    rf"|(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?[jJ]?)"
    r"|(?P<open>[(\[{])"
    r"|(?P<close>[)\]}])"
    r"|(?P<operator>\.\.\.|\*\*=?|//=?|>>=?|<<=?|[-+*/%@&|^=!<>:]=|->|<>|.)",
    re.DOTALL,
)
_PREFIX_OPERATORS = frozenset({"-", "+", "~", "not"})
_ESCAPE = re.compile(r"\\([4-7][0-7][0-7]|.)", re.DOTALL)
_KNOWN_ESCAPES = frozenset("\n\\'\"abfnrtv01234567x")
_STRING_ESCAPES = _KNOWN_ESCAPES | frozenset("NuU")


@dataclass
class Scan:
    """What a scan found.

    Tokens inside an f-string's fields count as well. `nesting` is the deepest of brackets, fields and indented blocks
    together, or the longest run of prefix operators; `fault_line` is the line (from 1) of the first token that is
    wrong whatever the parser says; `comments` are as written, without the #.
    """

    tokens: int = 0
    nesting: int = 0
    number_chars: int = 0
    fault_line: int | None = None
    non_ascii: bool = False
    comments: list[str] = field(default_factory=list)

    @property
    def too_complex(self) -> bool:
        """Whether the parser must not be given this."""
        return self.tokens > MAX_TOKENS or self.nesting > MAX_NESTING or self.number_chars > MAX_NUMBER_CHARS


def scan(code: str, *, depth: int = 0) -> Scan:
    """Scan code to its end, whatever it is; comments, blank lines and joined lines count for nothing.

    `depth` is how deep in brackets the code stands already: 0 for a block, more for an f-string's field.
    Pure; never raises. Linear in the code's length.
    """
    found = Scan()
    indents = [0]
    brackets = depth
    column = run = 0
    new_line = not depth  # at the start of a logical line, where indentation counts
    number_end = -1
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup, match[0]
        if kind == "space":
            column = len(text.expandtabs(8)) if new_line else column
            continue
        if kind == "comment":
            found.comments.append(text[1:])
            continue
        if kind == "newline":
            found.tokens += not brackets and not new_line
            new_line, column = not brackets, 0
            continue
        if new_line:
            found.tokens += _indent(indents, column)
            new_line = False
        found.tokens += 1
        run = run + 1 if text in _PREFIX_OPERATORS else 0
        faulty = False
        if kind == "open":
            brackets += 1
        elif kind == "close":
            brackets = max(brackets - 1, depth)
        elif kind == "string":
            faulty = not _is_sound(match)
        elif kind == "number":
            found.number_chars = max(found.number_chars, len(text))
            faulty = match.start() == number_end
            number_end = match.end()
        elif kind == "name":
            found.non_ascii = found.non_ascii or not text.isascii()
            # From 3.13 on the joiners may be part of a name; before, and here, they are an error.
            faulty = match.start() == number_end or "\u200c" in text or "\u200d" in text
        nesting = brackets + len(indents) - 1
        found.nesting = max(found.nesting, nesting, run)
        if kind == "string" and not faulty and "f" in match["prefix"].lower():
            faulty = not _add_fields(found, match, nesting + 1)
        if faulty and found.fault_line is None:
            found.fault_line = code.count("\n", 0, match.start()) + 1
    return found


# An accepted answer is scanned for its action and again for its comments, and many answers are alike. What comes out is
# shared: nobody changes it.
scan_block = lru_cache(maxsize=64)(scan)


def _indent(indents: list[int], column: int) -> int:
    """Move the stack of indents to a logical line's column; how many INDENT and DEDENT tokens that takes."""
    if column > indents[-1]:
        indents.append(column)
        return 1
    moved = 0
    while column < indents[-1]:
        indents.pop()
        moved += 1
    return moved


def _is_sound(match: re.Match[str]) -> bool:
    """Whether a string token ends, is of a kind that 3.11 knows, and holds no unknown escape."""
    prefix = match["prefix"].lower()
    if "t" in prefix or not (match["closed"] or match["shut"]):
        return False
    body = _body(match)
    if "r" in prefix or "\\" not in body:
        return True
    known = _KNOWN_ESCAPES if "b" in prefix else _STRING_ESCAPES
    return known.issuperset(_ESCAPE.findall(body))


def _body(match: re.Match[str]) -> str:
    return match["long"] or match["short"] or ""


def _add_fields(found: Scan, match: re.Match[str], depth: int) -> bool:
    """Add what stands in the fields of an f-string; whether they are sound. Recurses once per kind of quote at most."""
    fields = fields_of(_body(match), raw="r" in match["prefix"].lower())
    if fields is None:
        return False
    inner = [scan(expression, depth=depth) for expression in fields]
    found.tokens += sum(each.tokens for each in inner)
    found.nesting = max([found.nesting, *(max(depth, each.nesting) for each in inner)])
    found.number_chars = max([found.number_chars, *(each.number_chars for each in inner)])
    found.non_ascii = found.non_ascii or any(each.non_ascii for each in inner)
    return all(each.fault_line is None for each in inner)

"""The scan sees the tokens that Python sees, so nothing hides from it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fleet.sandbox.tokens import scan

# No f-strings: tokenize splits them from 3.12 on.
PIECES = [
    *(
        "a",
        "x1",
        "é",
        "not ",
        "else ",
        "if ",
        "lambda:",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ";",
        ".",
        "...",
        "=",
        "==",
    ),
    *(
        "+",
        "-",
        "**",
        "//",
        "->",
        ":=",
        "<<",
        "<=",
        "!=",
        "@",
        "0",
        "12",
        "1_0",
        "0x1f",
        "0b1",
        "0o7",
        "1.5",
        ".5e-3",
        "2j",
    ),
    *(
        "1.",
        "007",
        '"s"',
        "'s'",
        "'''a\nb'''",
        '"""q"q"""',
        'rb"\\d"',
        "u'x'",
        "R'\\'",
        '"\\""',
        '"a\\\nb"',
        "bu",
        "b'x'",
    ),
    *("# c\n", "#", "\n", "\n    ", "\n\t", "\n  ", " ", "\\\n", "pass\n", "if x:\n  ", "def f():\n\t", "x = "),
]
COUNTED = (
    tokenize.NAME,
    tokenize.NUMBER,
    tokenize.STRING,
    tokenize.OP,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
)


def reference(code: str) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(code).readline))


@settings(deadline=None, database=None, max_examples=800, suppress_health_check=[HealthCheck.filter_too_much])
@given(code=st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_the_same_tokens_as_python(code: str) -> None:
    code += "\n"
    # A line of nothing but a continuation: tokenize ends it with a NEWLINE that ends no statement.
    assume(re.search(r"^[ \t]*\\$", code, re.MULTILINE) is None)
    found = scan(code)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ast.parse(code)
        except (SyntaxError, ValueError):
            assume(False)
    if caught:
        assert found.fault_line is not None
        return
    tokens = reference(code)
    assert found.fault_line is None
    assert found.comments == [token.string[1:] for token in tokens if token.type == tokenize.COMMENT]
    counted = [token for token in tokens if token.type in COUNTED]
    # An unended indented block closes at the end of the text: those last DEDENTs open nothing any more.
    while counted and counted[-1].type == tokenize.DEDENT:
        counted.pop()
    assert found.tokens == len(counted)
    assert found.number_chars == max((len(t.string) for t in tokens if t.type == tokenize.NUMBER), default=0)
    assert found.non_ascii == any(t.type == tokenize.NAME and not t.string.isascii() for t in tokens)


@pytest.mark.parametrize(
    ("code", "tokens", "nesting"),
    [
        ("", 0, 0),
        ("# c\n\n  # d\n", 0, 0),
        ("dispatch_to(threads[0])\n", 8, 2),
        ("a(\n\n# c\n)\n", 4, 1),
        ("if x:\n  if y:\n    z\n", 12, 2),
        ("- - -1\n", 5, 3),
        ("not not x\n", 4, 2),
        ("f'{a + (b)}'\n", 7, 2),
        ("f'{{{a}}}' 'b'\n", 4, 1),
        ("f'{a:{b}}' + rf'\\{c}'\n", 7, 1),
        ("f'''{f\"{(f'{1}')}\"}'''\n", 7, 4),
        ("))) (a)\n", 7, 1),
    ],
)
def test_what_counts(code: str, tokens: int, nesting: int) -> None:
    found = scan(code)
    assert (found.tokens, found.nesting) == (tokens, nesting)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("a\n'b\nc\n", 2),
        ("'\\d'\n", 1),
        ("x\n\n'''a\n", 3),
        ("1if x else 2\n", 1),
        ("t'a'\n", 1),
        ("a\u200cb\n", 1),
        ("f'{'\n", 1),
        ("f'{x!}'\n", 1),
        ("f'{a:{b:{c}}}'\n", 1),
        ("f'{x\\n}'\n", 1),
        ("f'{\"\\d\"}'\n", 1),
    ],
)
def test_the_first_fault_is_placed(code: str, line: int) -> None:
    assert scan(code).fault_line == line

"""Calls that a prompt or an example names in its code: whether the verbs exist, and take such arguments."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Named", "calls_in", "parameters_of", "problems_in", "snippets_of"]

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)[ \t]*(\w*)[^\n]*\n(.*?)^ {0,3}\1[ \t]*$", re.M | re.S)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", re.S)
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
_PYTHON = ("", "python", "py", "python3")


@dataclass(frozen=True)
class Named:
    """A call as it is written: the verb, its keywords, how many arguments stand before them."""

    verb: str
    keywords: tuple[str, ...] = ()
    positional: int = 0


def snippets_of(text: str) -> Iterator[str]:
    """The code in a Markdown text: fenced blocks of Python or of nothing named, and code spans."""
    for fence in _FENCE.finditer(text):
        if fence[2].lower() in _PYTHON:
            yield fence[3]
    for span in _SPAN.finditer(_FENCE.sub("\n\n", text)):
        yield span[2]


def calls_in(snippet: str) -> Iterator[Named]:
    """The calls by name in a piece of code, or in the beginning of one: `verb(a=1)`, `verb(day: str)`, `verb(…)`."""
    code = textwrap.dedent(snippet).replace("…", "...").strip()
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for found in _CALL.finditer(code):
            yield _signature(found[1], _inside(code, found.end()))
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = [each for each in node.args if not _is_dots(each)]
            yield Named(node.func.id, tuple(each.arg for each in node.keywords if each.arg), len(given))


def problems_in(calls: Iterator[Named], verbs: Mapping[str, tuple[str, ...]], who: str) -> Iterator[str]:
    """What is wrong with calls, a sentence each. `verbs` maps those that exist to their parameters' names.

    `who` is whose verbs they are, for the sentence. Python's own functions are nobody's business here.
    """
    for call in calls:
        parameters = verbs.get(call.verb)
        if parameters is None:
            if not hasattr(builtins, call.verb):
                yield f"{call.verb}(…) is no verb of {who}; there are {', '.join(verbs) or 'none'}"
            continue
        unknown = [name for name in call.keywords if name not in parameters]
        if unknown:
            yield f"{call.verb}(…) has no argument {unknown[0]!r}; it takes {', '.join(parameters) or 'none'}"
        elif call.positional + len(call.keywords) > len(parameters):
            yield f"{call.verb}(…) is given more arguments than it takes: {', '.join(parameters) or 'none'}"


def parameters_of(fn: Any) -> tuple[str, ...]:
    """The names of a function's parameters."""
    try:
        return tuple(inspect.signature(fn).parameters)
    except (TypeError, ValueError):
        return ()


def _signature(verb: str, arguments: str) -> Named:
    """A call out of text that is no Python as a whole: a call by itself, or a declaration with types."""
    try:
        call = ast.parse(f"{verb}({arguments})", mode="eval").body
        if isinstance(call, ast.Call):
            given = [each for each in call.args if not _is_dots(each)]
            return Named(verb, tuple(each.arg for each in call.keywords if each.arg), len(given))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    try:
        declared = ast.parse(f"def {verb}({arguments}): ...").body[0]
        if isinstance(declared, ast.FunctionDef):
            return Named(verb, tuple(each.arg for each in (*declared.args.args, *declared.args.kwonlyargs)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return Named(verb)


def _inside(code: str, start: int) -> str:
    """What stands between the parenthesis before `start` and the one that closes it, or the end of the line."""
    depth = 1
    for place in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[place], 0)
        if depth == 0:
            return code[start:place]
    return code[start:].split("\n")[0]


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...

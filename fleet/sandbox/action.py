"""The one action in a routing answer: parsed, matched, never compiled, never executed.

    output := blank* "```" sp? (python|py|python3, any case) sp? NL code NL "```" sp? blank*
    code   := one statement plus # comments
    stmt   := dispatch_to(threads[D])                 D = 0 | [1-9][0-9]*
            | start_new_thread(keyword=literal, …)    agent, language required; name, default_example_id optional

What an action may name is exactly what the warmup printed for this message. Spellings that are equal as syntax
trees pass; identifiers are compared as written, not after NFKC. The verdicts, in their order: `VERDICTS`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.sandbox.block import read_block
from fleet.sandbox.characters import UNPRINTABLE, quoted
from fleet.sandbox.tokens import scan_block
from fleet.sandbox.verdicts import (
    VERDICTS,
    printed_agents,
    printed_ids,
    printed_threads,
    rejected,
    shown_agent,
    shown_index,
)

__all__ = ["MAX_NAME_CHARS", "VERDICTS", "Action", "DispatchTo", "StartNewThread", "parse_action"]

MAX_NAME_CHARS = 80

_INDEX = re.compile(r"0|[1-9][0-9]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?")
# Blanks, joiners and variation selectors: a name of nothing else would show as nothing.
_UNSEEN = re.compile(r"[\s\u200c\u200d\ufe00-\ufe0f]*")
_WANTED = {
    "agent": "a string",
    "language": "a string",
    "name": "a string or None",
    "default_example_id": "a plain decimal number or None",
}


@dataclass(frozen=True)
class DispatchTo:
    """The message continues the thread that was printed at `thread_index`."""

    thread_index: int

    def as_dict(self) -> dict[str, Any]:
        """As it is recorded: `{"action": "dispatch_to", "thread_index": int}`."""
        return {"action": "dispatch_to", "thread_index": self.thread_index}

    def as_python(self) -> str:
        """The canonical call, on one line; it parses to this very action."""
        return f"dispatch_to(threads[{self.thread_index}])"


@dataclass(frozen=True)
class StartNewThread:
    """The message starts a thread with an agent; `language` is a tag like pt-BR."""

    agent: str
    language: str
    name: str | None = None
    default_example_id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is recorded: `action` and all four arguments, None where one was left out."""
        return {
            "action": "start_new_thread",
            "agent": self.agent,
            "language": self.language,
            "name": self.name,
            "default_example_id": self.default_example_id,
        }

    def as_python(self) -> str:
        """The canonical call, on one line, None left out; it parses to this very action."""
        arguments = [f"agent={quoted(self.agent)}", f"language={quoted(self.language)}"]
        if self.name is not None:
            arguments.append(f"name={quoted(self.name)}")
        if self.default_example_id is not None:
            arguments.append(f"default_example_id={self.default_example_id}")
        return f"start_new_thread({', '.join(arguments)})"


Action = DispatchTo | StartNewThread


def parse_action(
    output: str,
    *,
    n_threads: int,
    agents: Sequence[str],
    printed_examples: Mapping[str, Sequence[int]],
    stop_reason: str = "end_turn",
) -> Action:
    """Read the one action in a routing answer; execute nothing.

    `n_threads`, `agents` and `printed_examples` (role → example ids) are what was printed for this message;
    `stop_reason` is the model's.

    Raises: ActionRejected with the first verdict that fits, if there is no such action; nothing else.
    Pure; safe in a thread with a C stack of 256 KiB.
    """
    if stop_reason == "max_tokens":
        raise rejected("truncated_output")
    code = read_block(output)
    call = _read_call(code)
    if isinstance(call.func, ast.Name) and call.func.id == "dispatch_to":
        return _read_dispatch(call, code, n_threads)
    if isinstance(call.func, ast.Name) and call.func.id == "start_new_thread":
        return _read_start(call, code, agents, printed_examples)
    raise rejected("unknown_action")


def _read_call(code: str) -> ast.Call:
    found = scan_block(code)
    if found.too_complex:
        raise rejected("too_complex")
    if found.fault_line is not None:
        raise rejected("syntax_error", line=found.fault_line)
    try:
        # The oldest grammar on every version: what a later one adds is no action either. A parser that refuses a text
        # tries to read the line from the file it is named after, so it gets a name that no file has.
        statements = ast.parse(code, filename="", feature_version=(3, 11)).body
    except (MemoryError, RecursionError):
        raise rejected("too_complex") from None
    except Exception as error:
        # SyntaxError, or ValueError, OverflowError, SystemError: the parser has raised them all for some text.
        raise rejected("syntax_error", line=getattr(error, "lineno", None) or 1) from None
    if not statements:
        raise rejected("no_action")
    if len(statements) > 1:
        raise rejected("multiple_statements")
    if not isinstance(statements[0], ast.Expr):
        raise rejected("statement_not_allowed")
    if not isinstance(statements[0].value, ast.Call):
        raise rejected("expression_not_allowed")
    if found.non_ascii:
        # The tree holds identifiers after NFKC, so what was written is asked of the tokens.
        raise rejected("non_ascii_identifier")
    return statements[0].value


def _refuse_stars(call: ast.Call) -> None:
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(k.arg is None for k in call.keywords):
        raise rejected("star_argument")


def _read_dispatch(call: ast.Call, code: str, n_threads: int) -> DispatchTo:
    _refuse_stars(call)
    if len(call.args) != 1 or call.keywords:
        raise rejected("bad_arguments")
    match call.args[0]:
        case ast.Subscript(value=ast.Name(id="threads"), slice=ast.Constant() as number) if _is_plain(number, code):
            index = int(number.value)  # type: ignore[arg-type]  # plain digits, at most 100
        case _:
            raise rejected("thread_ref_form")
    if index >= n_threads:
        raise rejected("thread_index_out_of_range", index=shown_index(index), threads=printed_threads(n_threads))
    return DispatchTo(index)


def _read_start(
    call: ast.Call, code: str, agents: Sequence[str], printed_examples: Mapping[str, Sequence[int]]
) -> StartNewThread:
    _refuse_stars(call)
    if call.args:
        raise rejected("positional_argument")
    given = {keyword.arg or "": keyword.value for keyword in call.keywords}
    if not _WANTED.keys() >= given.keys():
        raise rejected("unknown_argument")
    if len(given) < len(call.keywords):
        raise rejected("duplicate_argument")
    if missing := [argument for argument in ("agent", "language") if argument not in given]:
        raise rejected("missing_argument", missing=" and ".join(missing))

    values: dict[str, Any] = {}
    for argument, node in given.items():
        if not isinstance(node, ast.Constant):
            raise rejected("argument_not_literal", argument=argument)
        values[argument] = node.value
    for argument, node in given.items():
        if not _has_type(argument, node, code):
            raise rejected("argument_type", argument=argument, wanted=_WANTED[argument])

    action = StartNewThread(**values)
    if action.agent not in agents:
        raise rejected("unknown_agent", agents=printed_agents(agents))
    if _LANGUAGE.fullmatch(action.language) is None:
        raise rejected("language_invalid")
    if action.name is not None and not _is_name(action.name):
        raise rejected("name_invalid", limit=MAX_NAME_CHARS)
    printed = printed_examples.get(action.agent, ())
    if action.default_example_id is not None and action.default_example_id not in printed:
        raise rejected("example_not_printed", agent=shown_agent(action.agent), examples=printed_ids(printed))
    return action


def _has_type(argument: str, node: ast.expr, code: str) -> bool:
    value = node.value if isinstance(node, ast.Constant) else node
    if value is None:
        return argument in ("name", "default_example_id")
    return _is_plain(node, code) if argument == "default_example_id" else isinstance(value, str)


def _is_plain(node: ast.expr, code: str) -> bool:
    """Whether the literal is an int written in plain decimal digits: no True, 0x1, 1_0, 00 or 1e0."""
    spelled = code.split("\n")[node.lineno - 1].encode()[node.col_offset : node.end_col_offset]
    return _INDEX.fullmatch(spelled.decode(errors="replace")) is not None


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= MAX_NAME_CHARS and UNPRINTABLE.search(name) is None and _UNSEEN.fullmatch(name) is None

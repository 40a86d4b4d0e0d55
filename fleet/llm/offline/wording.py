"""Write the router's answer: one fenced block, comments a person understands, one action that the grammar accepts.

Everything that came from a user or an application is treated as hostile here: it is written as a literal or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from fleet.llm.offline.printed import Printed

__all__ = ["ANSWER_BYTES", "block", "comment", "dispatch", "start", "valid_language"]

#: The action grammar's limit on one answer, in UTF-8 bytes.
ANSWER_BYTES = 8192
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_NAME_CHARS = 60
_LINE_CHARS = 160


def block(comments: Sequence[str], action: str) -> str:
    """One fenced block; an empty action leaves the comments alone."""
    lines = [comment(each) for each in comments]
    return "\n".join(["```python", *lines, *([action] if action else []), "```"])


def comment(text: str) -> str:
    """One comment line of at most 160 characters, without a character that could end it or open a fence."""
    return f"# {_plain(text, _LINE_CHARS)}"


def dispatch(index: int) -> str:
    """Continue `threads[index]`."""
    return f"dispatch_to(threads[{index}])"


def start(printed: Printed, agent: str, example_id: int | None) -> str:
    """Start a thread with `agent`, in the printed language, named after the message."""
    arguments = [f"agent={_literal(agent)}", f"language={_literal(valid_language(printed.language))}"]
    if name := _name(printed.message):
        arguments.append(f"name={_literal(name)}")
    if example_id is not None:
        arguments.append(f"default_example_id={example_id}")
    return f"start_new_thread({', '.join(arguments)})"


def valid_language(printed: str) -> str:
    """The printed language where the grammar accepts it, else `en`."""
    tag = printed.strip().replace("_", "-")
    return tag if _LANGUAGE.fullmatch(tag) else "en"


def _name(message: str) -> str:
    """A short topic: the message's first sentence of more than two words, cut at a word."""
    text = _plain(message, 2000)
    sentences = [part.strip(" ,;:-–—\"'") for part in re.split(r"(?<=[.!?。！？])\s*", text) if part.strip()]
    chosen = next((part for part in sentences if len(part.split()) > 2 or len(part) > 20), text)
    chosen = chosen.rstrip(" .!?。！？")
    if len(chosen) > _NAME_CHARS:
        cut = chosen[:_NAME_CHARS].rsplit(" ", 1)[0] if " " in chosen[20:_NAME_CHARS] else chosen[:_NAME_CHARS]
        chosen = cut.rstrip(" ,;:-–—") + "…"
    return chosen


def _plain(text: str, limit: int) -> str:
    """Printable characters only, on one line, no backticks or angle brackets, at most `limit` characters."""
    kept = "".join(each if each.isprintable() and each not in "`<>" else " " for each in text[: limit * 4])
    return " ".join(kept.split())[:limit].strip()


def _literal(text: str) -> str:
    """A Python string literal equal to `text`; anything unprintable in it is escaped."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else ascii(text)

"""Warmup: application code that prints the facts which a model call needs.

The code is the application's own and trusted; it is compiled once and run with a `print` of its own, so that the
output of one message never shows up in another's. It reads views and writes nothing.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import IO, Any

from fleet.agents.catalog import Text
from fleet.errors import WarmupError
from fleet.prompting.quote import quote

__all__ = ["Transcript", "compile_warmup", "run_warmup"]


class Transcript:
    """Collects what warmup code prints."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def print(self, *values: Any, sep: str | None = " ", end: str | None = "\n", file: IO[str] | None = None,
              flush: bool = False) -> None:  # fmt: skip
        """What `print` is in warmup code; output that names a file goes there instead."""
        one = len(values) == 1  # as in most prints
        text = str(values[0]) if one else (" " if sep is None else sep).join(map(str, values))
        end = "\n" if end is None else end
        if file is None:
            self._parts += (text, end)
        else:
            file.write(text + end)

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return "".join(self._parts)


@lru_cache(maxsize=256)
def compile_warmup(text: Text) -> CodeType:
    """The code of a warmup text.

    Raises: WarmupError naming file and line.
    """
    try:
        return compile(text.body, text.source, "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise WarmupError(f"warmup {text.source}, line {line or '?'}: {getattr(error, 'msg', error)}") from None


def run_warmup(text: Text, names: Mapping[str, Any], transcript: Transcript) -> dict[str, Any]:
    """Run warmup code with `names` in reach, its printing collected; its final names are returned.

    Raises: WarmupError with file, line and the error as one quoted line.
    """
    code = compile_warmup(text)
    space: dict[str, Any] = {"__name__": "warmup", "__builtins__": builtins, **names, "print": transcript.print}
    try:
        exec(code, space)  # noqa: S102 - the application's own code, never a model's
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == text.source]
        line = frames[-1].lineno if frames else "?"
        what = quote(str(error)[:300])
        raise WarmupError(f"warmup {text.source}, line {line}: {type(error).__name__}: {what}") from error
    return space

"""Lines that a person types, or that a pipe brings, without holding the event loop up."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

__all__ = ["Prompt", "piped_lines", "typed_lines"]


class Prompt:
    """What stands before the line that is typed, and above it for as long as it is so."""

    def __init__(self, words: str) -> None:
        self._words, self._above = words, ""
        self.redraw: Callable[[], None] = lambda: None

    def show(self, above: str) -> None:
        """Let these words stand above the prompt, in place of those that do."""
        self._above = above
        self.redraw()

    def __call__(self) -> str:
        """All of it, as lines."""
        return f"{self._above}\n{self._words}" if self._above else self._words


async def typed_lines(prompt: Prompt, history: Path) -> AsyncGenerator[str, None]:
    """Lines from the terminal, with editing and a history that is kept in the file `history`; ends at Ctrl-D or Ctrl-C.

    What is printed meanwhile appears above the prompt.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.patch_stdout import patch_stdout

    session: PromptSession[str] = PromptSession(history=FileHistory(str(history)))
    prompt.redraw = session.app.invalidate
    with patch_stdout(raw=True):
        while True:
            try:
                yield await session.prompt_async(prompt)
            except (EOFError, KeyboardInterrupt):
                return


async def piped_lines() -> AsyncGenerator[str, None]:
    """Lines of standard input to its end. Bytes that are no UTF-8 come as lone surrogates, for intake to refuse."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    # A daemon: a read that never returns must not keep the process from ending.
    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")

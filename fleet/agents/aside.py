"""A plain function in a thread of its own: what it waits for holds nobody up, and it may be left behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from fleet.agents.context import ToolContext
from fleet.errors import ToolError

__all__ = ["run_aside"]


class _OutOfReach:
    """The durable state as a thread may have it: not at all."""

    def __getattr__(self, *_: Any) -> Any:
        raise ToolError("a plain function reads the state with context.read(fn), or is made async")

    __getitem__ = __contains__ = __iter__ = __len__ = __getattr__


async def run_aside(
    fn: Callable[..., Any], arguments: Mapping[str, Any], context_name: str, context: ToolContext
) -> Any:
    """Call `fn` in a new thread and wait for it; what it raises is raised here.

    The thread is a daemon: one that was given up on ends with the process, and nobody waits for it at exit.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    variables = contextvars.copy_context()
    state = context.state

    def hop(read: Callable[[Any], Any]) -> Any:
        found: Future[Any] = Future()

        def on_loop() -> None:
            if done.done():  # nobody waits for the call any more, and the graph may be closed by now
                found.set_exception(ToolError("the call has been given up"))
                return
            try:
                found.set_result(read(state))
            except Exception as error:
                found.set_exception(error)

        loop.call_soon_threadsafe(on_loop)
        return found.result()

    extra = {context_name: replace(context, state=_OutOfReach(), hop=hop)} if context_name else {}

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

    def run() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = variables.run(fn, **arguments, **extra)
        except StopIteration as error:  # a future cannot hold one
            failure = RuntimeError(f"StopIteration: {error}")
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=f"fleet-tool-{getattr(fn, '__name__', '')}", daemon=True).start()
    return await done

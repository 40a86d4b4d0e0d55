"""Plain functions as tools: in a thread of their own, with the state in reach through `read` alone."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from fleet import ToolContext, ToolError, tool
from fleet.agents.tool import Tool


def context(state):
    return ToolContext("ana", "thr_1", "job_1", "call_1", "key", datetime(2026, 11, 21, tzinfo=UTC), state)


async def call(fn, at, **given):
    found = Tool.of(fn)
    return await found.call(found.bind(given), at)


async def test_a_plain_function_runs_in_another_thread_and_an_async_one_does_not():
    @tool(effect="read")
    def plain() -> str:
        """Say where."""
        return threading.current_thread().name

    @tool(effect="read")
    async def awaited() -> str:
        """Say where."""
        return threading.current_thread().name

    assert await call(plain, context({})) == "fleet-tool-plain"
    assert await call(awaited, context({})) == threading.current_thread().name


async def test_the_state_is_read_on_the_loop():
    here, seen = threading.get_ident(), []

    @tool(effect="read")
    def look(context: ToolContext) -> str:
        """Look."""
        return context.read(lambda state: seen.append(threading.get_ident()) or state["greeting"])

    assert await call(look, context({"greeting": "hello"})) == "hello"
    assert seen == [here]


@pytest.mark.parametrize("way", [lambda s: s["x"], lambda s: s.get("x"), lambda s: "x" in s, lambda s: list(s)])
async def test_the_state_is_out_of_reach_for_the_thread(way):
    @tool(effect="read")
    def look(context: ToolContext) -> str:
        """Look."""
        return str(way(context.state))

    with pytest.raises(ToolError, match=r"context\.read\(fn\), or is made async"):
        await call(look, context({"x": 1}))


async def test_a_call_that_was_given_up_reads_no_more():
    go, outcome = threading.Event(), []
    ended = threading.Event()

    @tool(effect="read")
    def late(context: ToolContext) -> str:
        """Come too late."""
        go.wait(30)
        try:
            context.read(lambda state: state["x"])
        except ToolError as error:
            outcome.append(error.message)
        ended.set()
        return ""

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(late, context({"x": 1})), 0.05)
    go.set()
    assert await asyncio.to_thread(ended.wait, 30)
    assert outcome == ["the call has been given up"]


async def test_what_it_raises_and_what_it_emits_comes_through():
    @tool(effect="read")
    def stop() -> str:
        """Raise what no future can hold."""
        raise StopIteration("odd")

    with pytest.raises(RuntimeError, match="StopIteration: odd"):
        await call(stop, context({}))

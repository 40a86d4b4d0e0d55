"""Models and tools that hang: each is given up after its time, on record, and the user's next messages are answered."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from support.commands import Running, at_rest, call, wait_for
from support.fleets import decisions, events_of, helper_app, newest_else_new, open_fleet, scripted, use

from fleet import Message, tool
from fleet.ledger.events import ToolReturned, TurnEnded
from fleet.llm.base import Answer, Request
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home


@dataclass
class Hanging:
    """A model of somebody's own that knows no timeout: it hangs until it is told to go on."""

    name: str
    answers: ScriptedModel
    hangs: bool = True

    async def complete(self, request: Request) -> Answer:
        if self.hangs:
            await asyncio.Event().wait()
        return await self.answers.complete(request)

    async def aclose(self) -> None:
        await self.answers.aclose()


async def test_a_router_that_hangs_is_given_up_and_the_fallback_decides_until_it_is_back(tmp_path: Path) -> None:
    router = Hanging("test:router", ScriptedModel(newest_else_new, name="test:router"))
    models = {**scripted(), "test:router": router}
    async with open_fleet(tmp_path / "home", models=models, model_timeout_s=0.05) as fleet:
        first = await fleet.accept(Message("ana", "new hello"))
        assert await fleet.reply_to(first.message_id) == "You said: new hello"
        router.hangs = False
        second = await fleet.accept(Message("ana", "new hello again"))
        assert await fleet.reply_to(second.message_id) == "You said: new hello again"
        down, up = decisions(fleet)
    assert (down.by, down.fallback) == ("fallback", "router")
    assert down.fallback_reason == "test:router gave no answer within 0.05 s"
    assert (up.by, up.fallback) == ("model", "")


async def test_a_workers_model_that_hangs_ends_the_turn_and_the_user_is_told(tmp_path: Path) -> None:
    model = Hanging("test:worker", ScriptedModel(lambda request: "Here.", name="test:worker"))
    models = {**scripted(), "test:worker": model}
    async with open_fleet(tmp_path / "home", models=models, model_timeout_s=0.05) as fleet:
        first = await fleet.accept(Message("ana", "hello"))
        assert (await fleet.reply_to(first.message_id)).startswith("I could not answer just now.")
        model.hangs = False
        second = await fleet.accept(Message("ana", "hello again"))
        assert await fleet.reply_to(second.message_id) == "Here."
        ended = [each.event for each in events_of(fleet, TurnEnded)]
    assert [each.result for each in ended] == ["failed", "success"]
    assert ended[0].reason == "test:worker gave no answer within 0.05 s"


async def test_an_async_tool_that_hangs_is_given_up_and_the_model_is_told(tmp_path: Path) -> None:
    @tool(effect="read")
    async def look() -> str:
        """Look."""
        await asyncio.Event().wait()
        return "never"

    def work(request: Request):
        return "It took too long." if len(request.messages) > 1 else [use("look")]

    app = helper_app(tools=[look])
    async with open_fleet(tmp_path / "home", app, models=scripted(worker=work), tool_timeout_s=0.05) as fleet:
        sent = await fleet.accept(Message("ana", "hello"))
        assert await fleet.reply_to(sent.message_id) == "It took too long."
        (returned,) = [each.event for each in events_of(fleet, ToolReturned)]
    assert (returned.error, returned.content) == (True, "look gave no result within 0.05 s")


_BLOCKING = """
import time
from pathlib import Path
from fleet import App, DialogAgent, tool

@tool(effect="read")
def opening_hours() -> str:
    '''Say when the shop is open.'''
    if not Path({fixed!r}).exists():
        print("hangs", flush=True)
        time.sleep(3600)
    return "From 9 to 17."

app = App(name="blocking", agents=[
    DialogAgent(role="helper", description="Answers questions about opening hours.", tools=[opening_hours])])
"""


def test_a_plain_tool_that_blocks_the_whole_worker_is_interrupted_and_it_goes_on(tmp_path: Path) -> None:
    home, fixed = tmp_path / "home", tmp_path / "fixed"
    (tmp_path / "blocking.py").write_text(_BLOCKING.format(fixed=str(fixed)))
    arguments = ("worker", "--home", home, "--app", "blocking:app")
    with Running(*arguments, modules=(tmp_path,), FLEET_TOOL_TIMEOUT_S="0.5") as worker:
        worker.read_until("serving", err=True)
        send = ("send", "--home", home, "--user", "ana", "When are you open?")
        assert call(*send).returncode == 0
        worker.read_until("hangs")
        wait_for(home, at_rest)
        fixed.touch()
        assert call(*send).returncode == 0
        wait_for(home, at_rest)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    with Home(home).read_ledger() as ledger:
        told = [(each.event.error, each.event.content) for each in ledger.read(types=(ToolReturned.TYPE,))]
        assert ledger.verify().problems == ()
    assert told == [(True, "opening_hours gave no result within 0.5 s"), (False, "From 9 to 17.")]


def test_a_second_signal_ends_a_worker_that_a_tool_blocks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "blocking.py").write_text(_BLOCKING.format(fixed=str(tmp_path / "fixed")))
    with Running("worker", "--home", home, "--app", "blocking:app", modules=(tmp_path,)) as worker:
        worker.read_until("serving", err=True)
        assert call("send", "--home", home, "--user", "ana", "When are you open?").returncode == 0
        worker.read_until("hangs")
        for again in ("False", "True"):
            worker.signal(signal.SIGTERM)
            worker.read_until(f"again={again}", err=True)
        assert worker.end() == 128 + signal.SIGTERM

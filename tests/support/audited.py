"""A ledger worth auditing: one real fleet that meets refusals, outages, gates, tools and failing channels."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fleet import (
    App,
    AppEvent,
    DialogAgent,
    DispatchAction,
    DispatchResult,
    Fleet,
    Message,
    MessageDispatcher,
    Settings,
    SupervisedAgent,
    ToolContext,
    ToolError,
    reducer,
    tool,
)
from fleet.errors import ModelUnavailableError
from fleet.llm.base import Answer, Request, Usage
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now
from support.fleets import go_on, last_words, printed_message, scripted, start, transcript, use

PRICED = "claude-haiku-4-5"  # a model with a list price


class Booked(AppEvent):
    NAME = "audited.booked"
    day: str


@reducer(Booked)
def book_day(state: Any, event: Booked) -> None:
    state["booked"] = event.day


@tool(effect="read")
def look_up(topic: str) -> str:
    """Look something up."""
    if topic == "nothing":
        raise ToolError("nothing is known about that")
    return f"known about {topic}"


@tool(effect="write", confirm="never")
def book(day: str, context: ToolContext) -> str:
    """Book a day."""
    context.emit(Booked(day=day))
    return f"booked {day}"


@tool(effect="external", confirm="never")
def call_out(number: str) -> str:
    """Call somebody."""
    return f"called {number}"


WARMUP = """
if "stumble" in message.text:
    raise ValueError("the warmup stumbled")
print("Current UTC time:", now.isoformat(timespec="seconds"))
print("Incoming message:")
print(message)
"""


def gate(message: Any) -> DispatchResult | None:
    if "win a prize" in message.text:
        return DispatchResult(key="", action=DispatchAction.DROP, reason="advertising")
    if "crash the gate" in message.text:
        raise RuntimeError("the gate fell")
    if message.channel == "vip":
        return DispatchResult(key="vip", action=DispatchAction.ROUTE, agent="clerk", reason="channel vip")
    return None


def route(request: Request) -> Any:
    text = printed_message(request)
    if "outage" in text or "lost" in text:
        raise ModelUnavailableError("the provider is down")
    if "hesitate" in text and len(request.messages) == 1:
        return go_on(7)
    answer = (
        go_on(1) if text == "Friday is better" and "threads[1]:" in transcript(request) else start("clerk", text[:30])
    )
    if "research" in text:
        answer = start("researcher", "Research")
    usage = Usage(input_tokens=1200, output_tokens=30, cache_read_tokens=800)
    return Answer(({"type": "text", "text": answer},), "end_turn", PRICED, usage, {"confidence": 0.875})


def fall_back(request: Request) -> Any:
    if "lost" in printed_message(request):
        raise ModelUnavailableError("the fallback is down too")
    return start("clerk", "Fallback topic")


def work(request: Request) -> Any:
    last = request.messages[-1]["content"]
    words = last_words(request)
    if not isinstance(last, str):
        return "It is done."
    if "swap" in words:
        return [use("look_up", topic="shifts")]
    if "book" in words:
        return [use("book", day="Friday")]
    if "call" in words:
        return [use("call_out", number="112")]
    if "unknown" in words:
        return [use("look_up", topic="nothing")]
    if "worker down" in words:
        raise ModelUnavailableError("the worker's provider is down")
    return "Which day suits you?"


def send_message(text: str, user: str) -> None:
    if user == "unreachable":
        raise ConnectionError("no route")


def audited_app() -> App:
    clerk = DialogAgent("clerk", send_message, tools=[look_up, book, call_out], description="Does everything")
    stumbling = DialogAgent("stumbling", send_message, description="Has a warmup that raises", warmup="1 / 0")
    researcher = SupervisedAgent("researcher", description="Finds things out", warmup="raise KeyError('topic')")
    dispatcher = MessageDispatcher(warmup=WARMUP)
    return App(name="audited", agents=[clerk, stumbling, researcher], dispatcher=dispatcher, gate=gate)


# id, user, text, channel; one user's messages are routed in this order.
DAY = (
    ("m-swap", "ana", "Can I swap my Friday shift?", "chat"),
    ("m-bill", "ana", "What is on my bill?", "chat"),
    ("m-friday", "ana", "Friday is better", "chat"),
    ("m-hesitate", "ben", "make it hesitate", ""),
    ("m-outage", "ben", "an outage now", ""),
    ("m-lost", "ben", "lost everywhere", ""),
    ("m-spam", "cid", "win a prize now", ""),
    ("m-gate-error", "cid", "crash the gate", ""),
    ("m-vip", "cid", "hello there", "vip"),
    ("m-vip-again", "cid", "me again", "vip"),
    ("m-stumble", "dan", "please stumble", ""),
    ("m-book", "dan", "book a day", ""),
    ("m-call", "dan", "call somebody", ""),
    ("m-unknown", "dan", "something unknown", ""),
    ("m-worker-down", "dan", "worker down today", ""),
    ("m-research", "dan", "research this", ""),
    ("m-unreachable", "unreachable", "can you hear me", ""),
)


def audited_fleet(home: Path, worker: Any = None, *, workers: bool = True, **settings: Any) -> Fleet:
    """A fleet of the audited application on `home`; `worker` in place of the scripted one."""
    names = {"router_model": "test:router", "worker_model": "test:worker", "fallback_model": "test:fallback"}
    given = {"delivery_attempts": 2, "delivery_backoff_s": 0.001, **names, **settings}
    return Fleet(
        audited_app(), Settings(home=home, **given), models=scripted(route, worker or work, fall_back), workers=workers
    )


async def live_the_day(home: Path) -> None:
    async with audited_fleet(home) as fleet:
        for message_id, user, text, channel in DAY:
            await fleet.accept(Message(user, text, message_id, channel))
            await fleet.idle()


def make_day(home: Path) -> Path:
    """The home after the day; one message more is accepted and not decided. Returns `home`."""
    asyncio.run(live_the_day(home))
    with Home(home).open_ledger() as ledger:
        accept_now(ledger, Message("eve", "is anybody there", "m-waiting"), 65536)
    return home

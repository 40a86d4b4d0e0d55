"""Tools behave alike whichever model calls them: scripted, offline, or behind the real SDK and a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from support.claude import KEY
from support.fleets import events_of, go_on, open_fleet, scripted, start, use
from support.messages_server import MessagesServer, Reply, text

from fleet import App, AppEvent, DialogAgent, Fleet, Message, Settings, ToolContext, ToolError, reducer, tool
from fleet.ledger import events as ev
from fleet.llm.base import Model, Request
from fleet.llm.offline.worker import OfflineWorker
from fleet.runtime.approvals import confirmations, settle

RAN: list[str] = []
DISPATCH = "subagent_dispatch"


class Booked(AppEvent):
    NAME = "test_tools_alike.booked"
    day: str


@reducer(Booked)
def add_booking(state: Any, event: Booked) -> None:
    state["alike"] = [*list(state.get("alike") or []), event.day]


@tool(effect="read")
def look(what: Literal["sky", "sea", "shop"]) -> str:
    """Look something up."""
    RAN.append(f"look {what}")
    return f"{what} is blue."


@tool(effect="read")
def count(number: int) -> str:
    """Count up to a number."""
    RAN.append(f"count {number}")
    return "Counted."


@tool(effect="read", permission="auditor")
def read_books(year: int) -> str:
    """Read the books of a year."""
    RAN.append(f"books {year}")
    return "All is well."


@tool(effect="read")
def ask_shop(shop: str) -> str:
    """Ask a shop."""
    RAN.append(f"ask {shop}")
    raise ToolError("The shop is closed.")


@tool(effect="read")
def break_down(part: str) -> str:
    """Break down."""
    RAN.append(f"break {part}")
    raise ValueError("a secret detail")


@tool(effect="read", timeout_s=0.05)
async def wait_for(whom: str) -> str:
    """Wait for somebody."""
    RAN.append(f"wait {whom}")
    await asyncio.Event().wait()
    return "There."


@tool(effect="write")
def book(day: str, context: ToolContext) -> str:
    """Book a day."""
    RAN.append(f"book {day}")
    context.emit(Booked(day=day))
    return "Booked."


@tool(question="Shall I pay {amount} to {to}?")
def pay(amount: int, to: str, context: ToolContext) -> str:
    """Pay somebody."""
    RAN.append(f"pay {amount} {to}")
    return f"Paid {len(context.idempotency_key)}."


@tool(timeout_s=0.05)
async def send_fax(to: str) -> str:
    """Send a fax."""
    RAN.append(f"fax {to}")
    await asyncio.Event().wait()
    return "Sent."


@tool(approver="operator")
def fire(who: str) -> str:
    """Fire somebody."""
    RAN.append(f"fire {who}")
    return "Fired."


TOOLS = [look, count, read_books, ask_shop, break_down, wait_for, book, pay, send_fax, fire]
Call = tuple[str, Mapping[str, Any]]

# name, what the user says ("!yes", "!no": an operator), the calls that the model makes of the first of it, what ran
TALKS: list[tuple[str, list[str], list[Call], list[str]]] = [
    ("a read", ["Look at the sky"], [("look", {"what": "sky"})], ["look sky"]),
    ("two calls", ["Look at sky and sea"], [("look", {"what": "sky"}), ("look", {"what": "sea"})],
     ["look sky", "look sea"]),
    ("a call that fails beside one that does not", ["Look at the shop"],
     [("look", {"what": "shop"}), ("ask_shop", {"shop": "corner"})], ["look shop", "ask corner"]),
    ("invalid arguments", ["Count as far as you can"], [("count", {"number": "many"})], []),
    ("no permission", ["Read the books of 2025"], [("read_books", {"year": 2025})], []),
    ("a tool that says why not", ["Ask the corner shop"], [("ask_shop", {"shop": "corner"})], ["ask corner"]),
    ("a tool that raises", ["Break down the wall"], [("break_down", {"part": "wall"})], ["break wall"]),
    ("a tool that hangs", ["Wait for Godot now"], [("wait_for", {"whom": "Godot"})], ["wait Godot"]),
    ("a write and a yes", ["Book Friday for me", "yes"], [("book", {"day": "Friday"})], ["book Friday"]),
    ("a write and a no", ["Book Friday for me", "no"], [("book", {"day": "Friday"})], []),
    ("a write and something else", ["Book Friday for me", "And my hat is green"], [("book", {"day": "Friday"})], []),
    ("an effect outside and a yes", ["Pay five to Ann", "yes"], [("pay", {"amount": 5, "to": "Ann"})], ["pay 5 Ann"]),
    ("an effect outside, with arguments that are none", ["Pay some to Ann", "yes"],
     [("pay", {"amount": "some", "to": "Ann"})], []),
    ("an effect outside of which nobody knows", ["Send a fax to Bo", "yes"], [("send_fax", {"to": "Bo"})], ["fax Bo"]),
    ("an effect that an operator lets happen", ["Fire Tom today", "!yes"], [("fire", {"who": "Tom"})], ["fire Tom"]),
    ("an effect that an operator forbids", ["Pay five to Ann", "!no"], [("pay", {"amount": 5, "to": "Ann"})], []),
    ("a task for another agent", ["Have the helper greet"], [(DISPATCH, {"agent": "helper", "task": "Greet."})], []),
]  # fmt: skip


def application(folder: Path, talk: str, calls: Sequence[Call]) -> App:
    """The desk with these tools, and an example that shows the talk's calls to whoever learns by examples."""
    shown = [f"Call: {name}({', '.join(f'{key}={json.dumps(each)}' for key, each in given.items())})"
             for name, given in calls]  # fmt: skip
    examples = folder / "examples_db" / "desk"
    examples.mkdir(parents=True)
    body = "\n".join(["---", "name: Shown", f"request: {talk}", "---", f"User: {talk}", *shown, "Reply: {result}"])
    (examples / "0-shown.md").write_text(f"{body}\n", "utf-8")
    return App(
        name="alike",
        agents=[
            DialogAgent("desk", description="Does everything", tools=TOOLS, may_dispatch=["helper"]),
            DialogAgent("helper", description="Greets"),
        ],
        data=folder,
    )


def said_by(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], calls: Sequence[Call]) -> list[Any]:
    """What the scripted model and the one behind the socket say: all the calls in one answer, then an end."""
    if not tools or any(each["role"] == "assistant" for each in messages):
        return [{"type": "text", "text": "Done."}]
    return [use(name, f"call_{place}", **given) for place, (name, given) in enumerate(calls)]


def route(shown: str) -> str:
    return go_on() if "threads[0]:" in shown else start("desk", example=0)


@asynccontextmanager
async def fleet_with(kind: str, folder: Path, talk: str, calls: Sequence[Call]) -> AsyncIterator[Fleet]:
    app, home = application(folder / "data", talk, calls), folder / "home"
    if kind == "loopback":

        def answer(request: Mapping[str, Any]) -> Reply:
            first = str(request["messages"][0]["content"])
            if "Incoming message:" in first:
                return text(route(first))
            return Reply(content=said_by(request["messages"], request.get("tools", ()), calls))

        async with MessagesServer(answer) as server:
            settings = Settings(home=home, anthropic_api_key=KEY, anthropic_base_url=server.url, model_retries=0)
            async with Fleet(app, settings) as fleet:
                yield fleet
        return

    def work(request: Request) -> Any:
        return said_by(request.messages, request.tools, calls)

    models: dict[str, Model] = scripted(lambda request: route(str(request.messages[0]["content"])), work)
    if kind == "offline":
        models["test:worker"] = OfflineWorker()
    async with open_fleet(home, app, models=models) as fleet:
        yield fleet


def told(event: ev.Event) -> Any:
    """What an event says of a tool call, without what is a model's own: ids, words."""
    if isinstance(event, ev.ToolIntended):
        return "intended", event.tool, event.arguments
    if isinstance(event, ev.ConfirmationAsked):
        return "asked", event.tool, event.arguments, event.arguments_hash, event.question, event.approver
    if isinstance(event, ev.ConfirmationSettled):
        return "settled", event.verdict, event.by
    if isinstance(event, ev.AppEventRecorded):
        return "emitted", event.name, event.data
    if isinstance(event, ev.SubjobStarted):
        return "handed on", event.agent, event.text, event.wait
    assert isinstance(event, ev.ToolReturned)
    content = event.content
    if event.tool == DISPATCH:
        content = json.dumps({key: each for key, each in json.loads(content).items() if key in ("agent", "result")})
    return "returned", event.tool, event.arguments, content, event.error, event.unknown


async def talked(kind: str, folder: Path, texts: Sequence[str], calls: Sequence[Call]) -> tuple[list[Any], list[str]]:
    """What the tools' events say of a talk with this kind of model, in order; and what ran."""
    RAN.clear()
    async with fleet_with(kind, folder, texts[0], calls) as fleet:
        for words in texts:
            if words.startswith("!"):
                settle(fleet.ledger, next(confirmations(fleet.ledger)).id, approved=words == "!yes", by="olga")
                fleet._others()
            else:
                sent = await fleet.accept(Message("ana", words))
                await fleet.reply_to(sent.message_id)
            await fleet.idle()
        kinds = (ev.ToolIntended, ev.ConfirmationAsked, ev.ConfirmationSettled, ev.AppEventRecorded, ev.SubjobStarted,
                 ev.ToolReturned)  # fmt: skip
        found = [told(each.event) for each in events_of(fleet, *kinds)]
        assert fleet.ledger.verify().ok
        assert not fleet.ledger.pending("turns")
    return found, list(RAN)


@pytest.mark.parametrize(("texts", "calls", "ran"), [each[1:] for each in TALKS], ids=[each[0] for each in TALKS])
async def test_the_same_calls_come_to_the_same(tmp_path, texts, calls, ran):
    by_kind = {kind: await talked(kind, tmp_path / kind, texts, calls) for kind in ("scripted", "offline", "loopback")}
    events, effects = by_kind["scripted"]
    assert effects == ran
    assert [each[1] for each in events if each[0] == "returned"][: len(calls)] == [name for name, _ in calls]
    for kind in ("offline", "loopback"):
        assert by_kind[kind] == (events, effects), kind

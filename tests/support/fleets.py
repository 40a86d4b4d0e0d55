"""Small applications and scripted models, to run a real fleet on a temporary home."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fleet import App, DialogAgent, Fleet, Settings
from fleet.graph.checkpoints import Graph
from fleet.ledger.base import Stored
from fleet.ledger.events import Event, MessageAccepted, MessageDecided, TurnEnded
from fleet.llm.base import Model, Request
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home
from fleet.runtime.reducing import reducer_of


def start(agent: str = "helper", name: str = "A topic", language: str = "en", example: int | None = None) -> str:
    """The router's answer that starts a thread."""
    extra = "" if example is None else f", default_example_id={example}"
    call = f"start_new_thread(agent={agent!r}, language={language!r}, name={name!r}{extra})"
    return f"```python\n# A fresh request.\n{call}\n```"


def go_on(index: int = 0) -> str:
    """The router's answer that continues a thread."""
    return f"```python\n# It carries on.\ndispatch_to(threads[{index}])\n```"


def transcript(request: Request) -> str:
    """What a routing request prints."""
    return str(request.messages[0]["content"])


def printed_message(request: Request) -> str:
    """The message that a routing request prints."""
    lines = transcript(request).splitlines()
    return str(json.loads(lines[lines.index("Incoming message:") + 1]))


def newest_else_new(request: Request) -> str:
    """A router that starts a thread for a message with `new` in it, or with no thread to continue."""
    shown = transcript(request)
    if "threads[0]:" not in shown or re.search(r"\bnew\b", printed_message(request)):
        return start()
    return go_on()


def last_words(request: Request) -> str:
    """The user's newest words in a worker's request, decoded; several messages of one turn are lines of it."""
    for message in reversed(request.messages):
        if isinstance(message["content"], str):
            return str(json.loads(message["content"].splitlines()[-1]))
    raise AssertionError("the request holds no message of the user")


def echo(request: Request) -> str:
    """A worker that says what it was told."""
    return f"You said: {last_words(request)}"


def use(tool: str, call_id: str = "call_1", **arguments: Any) -> dict[str, Any]:
    """A tool_use block."""
    return {"type": "tool_use", "id": call_id, "name": tool, "input": arguments}


class Outgoing:
    """A channel that keeps what it is given, in order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.ids: list[str] = []

    def __call__(self, user: str, text: str, reply_id: str) -> None:
        self.sent.append((user, text))
        self.ids.append(reply_id)


def helper_app(send: Callable[..., Any] | None = None, tools: Sequence[Any] = (), **options: Any) -> App:
    """An application of one agent, `helper`."""
    agent = DialogAgent(role="helper", send_message=send, tools=list(tools), description="Helps with everything")
    return App(name="small", agents=[agent], **options)


def scripted(router: Any = newest_else_new, worker: Any = echo, fallback: Any = None) -> dict[str, Model]:
    """Models under the names that settings give without a key; the fallback is the real one unless given."""
    models: dict[str, Model] = {"test:router": ScriptedModel(router, name="test:router")}
    models["test:worker"] = worker if isinstance(worker, ScriptedModel) else ScriptedModel(worker, name="test:worker")
    if fallback is not None:
        models["test:fallback"] = ScriptedModel(fallback, name="test:fallback")
    return models


def open_fleet(home: Path, app: App | None = None, *, models: dict[str, Model] | None = None, **settings: Any) -> Fleet:
    """A fleet on `home`; settings in the environment do not count."""
    given = models if models is not None else scripted()
    names = {"router_model": "test:router", "worker_model": "test:worker", "home": home}
    if "test:fallback" in given:
        names["fallback_model"] = "test:fallback"
    return Fleet(app or helper_app(), Settings(**{**names, **settings}), models=given)


def events_of(fleet: Fleet, *kinds: type[Event]) -> list[Stored]:
    """The stored events of these types, in order."""
    return [each for each in fleet.ledger.read() if not kinds or isinstance(each.event, kinds)]


def decisions(fleet: Fleet) -> list[Any]:
    """Every decision, in the order decided."""
    return [each.event.decision for each in events_of(fleet, MessageDecided)]


def digests(home: Path, work: Path) -> tuple[str, str]:
    """The digest of a closed home's graph, and of one rebuilt from its ledger in `work`."""
    ledger = Home(home).read_ledger()
    try:
        found = []
        for folder in (Home(home).graph_folder, work):
            graph = Graph(folder, ledger, reducer_of)
            found.append(graph.digest())
            graph.close()
        return found[0], found[1]
    finally:
        ledger.close()


def check_exactly_once(events: Sequence[Stored]) -> None:
    """Every accepted message was decided once, in its user's order; every routed one answered once, in its thread's."""
    accepted: dict[str, list[str]] = {}
    decided: dict[str, list[str]] = {}
    routed: dict[str, list[str]] = {}
    answered: dict[str, list[str]] = {}
    for stored in events:
        event = stored.event
        if isinstance(event, MessageAccepted):
            accepted.setdefault(event.user, []).append(event.message_id)
        elif isinstance(event, MessageDecided):
            decided.setdefault(event.user, []).append(event.message_id)
            if event.decision.thread_id:
                routed.setdefault(event.decision.thread_id, []).append(event.message_id)
        elif isinstance(event, TurnEnded):
            answered.setdefault(event.thread_id, []).extend(event.message_ids)
    assert decided == accepted
    assert answered == routed

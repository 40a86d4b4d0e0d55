"""What --raw prints is what the models were sent, word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.fleets import go_on, helper_app, last_words, open_fleet, printed_message, start, use

from fleet import Message, tool
from fleet.audit.explain import explain
from fleet.audit.raw import RawPart, raw_parts
from fleet.llm.base import Request
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home


@tool(effect="read")
def look(at: str) -> str:
    """Look at something."""
    return f"{at} seen"


def route(request: Request) -> Any:
    """Blank first, then what the API would not take back as it is, then an action."""
    if "first" in printed_message(request):
        return start()
    return {1: " \n", 3: go_on()}[len(request.messages)]


def work(request: Request) -> Any:
    if isinstance(request.messages[-1]["content"], str):
        return [use("look", call_id=f"call_{len(request.messages)}", at=last_words(request))]
    return "Seen. What else?"


def texts(parts: tuple[RawPart, ...], beginning: str) -> list[str]:
    return [each.text for each in parts if each.what.startswith(beginning)]


async def test_raw_parts_are_the_requests_that_were_made(tmp_path: Path) -> None:
    router, worker = ScriptedModel(route, name="test:router"), ScriptedModel(work, name="test:worker")
    models = {"test:router": router, "test:worker": worker}
    async with open_fleet(tmp_path, helper_app(tools=[look]), models=models, history=5, compact_model="none") as fleet:
        for number, text in enumerate(("first", "second", "third \u202e`x`"), 1):
            await fleet.accept(Message("ana", text, f"m-{number}"))
            await fleet.idle()
    with Home(tmp_path).read_ledger() as ledger:
        parts = raw_parts(ledger, explain(ledger, "m-3"))
    *_, refused, retried = router.requests
    assert texts(parts, "router: system prompt") == [retried.system]
    assert texts(parts, "router: transcript") == [refused.messages[0]["content"]]
    assert [each["content"] for each in retried.messages] == [
        *texts(parts, "router: transcript"),
        *texts(parts, "router: shown as its answer 1"),
        *texts(parts, "router: told about answer 1 (empty_output)"),
    ]
    assert texts(parts, "router: answer 1") == [" \n"]
    *_, asked, told = worker.requests
    assert texts(parts, "agent: system prompt") == [asked.system]
    (earlier,) = texts(parts, "agent: earlier messages")
    assert [*json.loads(earlier), {"role": "user", "content": texts(parts, "agent: transcript and")[0]}] == [
        *asked.messages
    ]
    assert 1 < len(asked.messages) < 6  # cut to the setting, from a message of the user on
    answer, result = told.messages[-2:]
    assert json.loads(texts(parts, "agent: answer 1")[0]) == answer["content"]
    assert texts(parts, "agent: told about call_") == [result["content"][0]["content"]]


async def test_raw_parts_of_a_dispatch(tmp_path: Path) -> None:
    worker = ScriptedModel(work, name="test:worker")
    models = {"test:router": ScriptedModel(route, name="test:router"), "test:worker": worker}
    async with open_fleet(tmp_path, helper_app(tools=[look]), models=models) as fleet:
        made = await fleet.dispatch("helper", user="ana", text="look at it", by="ben", mode="sync")
    with Home(tmp_path).read_ledger() as ledger:
        parts = raw_parts(ledger, explain(ledger, made.id))
    assert texts(parts, "router") == []
    assert texts(parts, "agent: transcript and") == [worker.requests[0].messages[0]["content"]]
    assert texts(parts, "agent: system prompt") == [worker.requests[0].system]

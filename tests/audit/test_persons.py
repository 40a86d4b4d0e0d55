"""What `fleet why` tells of calls that waited for a person, and of those that a person looked into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.commands import call
from support.fleets import helper_app, open_fleet, scripted, use

from fleet import Message, tool
from fleet.audit.explain import explain
from fleet.audit.explanation import Explanation
from fleet.audit.raw import raw_parts
from fleet.audit.spans import spans_of
from fleet.llm.base import Request
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home


@tool
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def work(request: Request) -> Any:
    last = request.messages[-1]["content"]
    return [use("pay", amount=5)] if isinstance(last, str) else "Done."


def explained(home: Path, message_id: str) -> Explanation:
    with Home(home).read_ledger() as ledger:
        return explain(ledger, message_id)


def lines(home: Path, message_id: str) -> list[str]:
    """The timeline's words and details, without times."""
    page = call("why", message_id, "--home", home).stdout.split("What followed\n")[1].split("\n\n")[0]
    return [" ".join(line.split()) for line in page.splitlines()]


async def talk(home: Path, *texts: str) -> ScriptedModel:
    worker = ScriptedModel(work, name="test:worker")
    async with open_fleet(home, helper_app(tools=[pay]), models=scripted(worker=worker)) as fleet:
        for number, text in enumerate(texts, 1):
            await fleet.accept(Message("ana", text, f"m-{number}"))
            await fleet.idle()
    return worker


async def test_a_question_and_the_message_that_answers_it(tmp_path: Path) -> None:
    worker = await talk(tmp_path, "pay it", "yes")
    asked, answer = explained(tmp_path, "m-1"), explained(tmp_path, "m-2")
    kinds = [step.kind for step in asked.steps]
    assert kinds.index("step.model") < kinds.index("confirm.asked") < kinds.index("turn.ended")
    assert kinds[-1] == "confirm.settled"
    (question,) = [step for step in asked.steps if step.kind == "confirm.asked"]
    confirm_id = question.data["confirm_id"]
    (settled,) = [step for step in asked.steps if step.kind == "confirm.settled"]
    assert (settled.data["verdict"], settled.data["message_id"]) == ("approved", "m-2")
    assert settled.took_us == settled.at - question.at
    assert [step.data["confirm_id"] for step in answer.steps if step.kind == "confirm.settled"] == [confirm_id]
    (ran,) = [step.data["content"] for step in answer.steps if step.kind == "tool.returned"]
    assert ran.endswith('Result: "paid 5"')
    said = lines(tmp_path, "m-1")
    assert any(line.endswith(f'approval asked {confirm_id} of the user for pay {{"amount": 5}}') for line in said)
    assert any(line.endswith(f"approved {confirm_id} by user, in message m-2") for line in said)
    assert json.loads(call("why", "m-1", "--home", tmp_path, "--json").stdout)["timeline"][-1]["verdict"] == "approved"
    with Home(tmp_path).read_ledger() as ledger:
        parts = raw_parts(ledger, answer)
        _, decided, *_ = ledger.read_stream("message:m-1")
        spans = spans_of(ledger, decided)
    sent = worker.requests[-1]
    found = {part.what: part.text for part in parts}
    assert found["agent: system prompt"] == sent.system
    *earlier, newest = sent.messages
    assert json.loads(found["agent: earlier messages of the thread"]) == earlier
    assert [each["text"] for each in newest["content"]] == [
        found["agent: transcript and message"],
        found["agent: and in the same message"],
    ]
    assert found["agent: and in the same message"] == ran
    (turn,) = [span for span in spans if span.name.startswith("invoke_agent")]
    assert [each.name for each in turn.events] == ["fleet.confirm.asked"]
    assert spans[0].end < settled.at, "a person's time is no part of the trace"


async def test_an_operators_no(tmp_path: Path) -> None:
    await talk(tmp_path, "pay it")
    (waiting,) = [
        json.loads(line) for line in call("confirm", "list", "--home", tmp_path, "--json").stdout.splitlines()
    ]
    assert call("confirm", "deny", "--home", tmp_path, "--by", "olga", waiting["id"]).returncode == 0
    assert lines(tmp_path, "m-1")[-1].endswith(f"denied {waiting['id']} by olga")
    assert explained(tmp_path, "m-1").steps[-1].trouble

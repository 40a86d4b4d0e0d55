"""Turns: the tool loop, what goes wrong in it, and how each turn ends."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.fleets import decisions, events_of, helper_app, last_words, open_fleet, scripted, use

from fleet import App, AppEvent, DialogAgent, Message, ToolContext, ToolError, reducer, tool
from fleet.errors import ModelUnavailableError
from fleet.ledger.events import (
    AppEventRecorded,
    ModelAnswered,
    ToolIntended,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.llm.base import Answer, Usage
from fleet.llm.scripted import ScriptedModel


class Ordered(AppEvent):
    NAME = "test_turns.ordered"
    item: str
    count: int = 1


@reducer(Ordered)
def add_order(state, event):
    orders = state.get("orders") or {}
    state["orders"] = {**dict(orders.items()), event.item: (orders.get(event.item) or 0) + event.count}


@tool(effect="read")
def look(q: str) -> str:
    """Look something up."""
    return f"found {q}"


@tool(effect="read", timeout_s=0.05)
async def wait(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "waited"


@tool(effect="write", confirm="never")
def order(context: ToolContext, item: str, count: int = 1) -> dict[str, object]:
    """Order something."""
    context.emit(Ordered(item=item, count=count))
    return {"ordered": item, "count": count}


@tool(effect="read")
def peek(context: ToolContext) -> str:
    """Pretend to read."""
    context.emit(Ordered(item="sneaked"))
    return "peeked"


@tool(effect="write", confirm="never")
async def count_orders(context: ToolContext) -> int:
    """Say how much was ordered."""
    return sum(dict((context.state.get("orders") or {}).items()).values())


@tool(confirm="never")
async def mail(to: str, context: ToolContext) -> str:
    """Send a mail."""
    return f"sent to {to} under {context.idempotency_key[:8]}"


@tool(effect="read")
def fail(how: str) -> str:
    """Fail in one of many ways."""
    if how == "tool":
        raise ToolError("The shop is closed on Sundays.")
    if how == "exit":
        raise SystemExit(3)
    if how == "cancel":
        raise asyncio.CancelledError
    if how == "surrogate":
        return "a\ud800b\x00c"
    raise ValueError("secret detail")


TOOLS = [look, wait, order, peek, count_orders, mail, fail]


async def run(tmp_path, *answers, text="hi", settings=(), check=lambda fleet: None):
    """One turn with these answers; (the turn's end, tool results by call, the requests)."""
    model = ScriptedModel(list(answers), name="test:worker")
    async with open_fleet(
        tmp_path / "home", helper_app(tools=TOOLS), models=scripted(worker=model), **dict(settings)
    ) as fleet:
        await fleet.accept(Message("ana", text))
        await fleet.idle()
        (ended,) = [each.event for each in events_of(fleet, TurnEnded)]
        results = {each.event.call_id: each.event for each in events_of(fleet, ToolReturned)}
        check(fleet)
        assert fleet.ledger.verify().ok
    return ended, results, model.requests


def said_of(request, call_id):
    """The tool_result block that a request holds for a call."""
    for message in request.messages:
        if not isinstance(message["content"], str):
            for block in message["content"]:
                if block.get("tool_use_id") == call_id:
                    return block
    raise AssertionError(f"no result of {call_id} in the request")


async def test_a_turn_asks_calls_and_answers(tmp_path):
    ended, results, requests = await run(tmp_path, [use("look", q="x")], "It is x.", text="what is it?")
    assert (ended.result, ended.reply, ended.turn) == ("success", "It is x.", 1)
    assert (results["call_1"].content, results["call_1"].error) == ("found x", False)
    first, second = requests
    assert last_words(first) == "what is it?"
    assert first.messages[0]["content"].startswith("Current UTC time:")
    assert [block["name"] for block in first.tools] == [each.__name__ for each in TOOLS]
    assert first.tools[0]["input_schema"]["additionalProperties"] is False
    assert second.messages[1]["content"] == [use("look", q="x")]
    assert said_of(second, "call_1") == {"type": "tool_result", "tool_use_id": "call_1", "content": "found x"}
    assert first.system == second.system


async def test_parallel_calls_run_in_order_and_are_answered_in_one_message(tmp_path):
    answer = [{"type": "text", "text": "Let me see."}, use("look", "a", q="1"), use("order", "b", item="tea")]
    ended, results, requests = await run(tmp_path, [*answer, use("look", "c", q="3")], "Done.")
    assert list(results) == ["a", "b", "c"]
    last = requests[-1].messages[-1]
    assert [block["tool_use_id"] for block in last["content"]] == ["a", "b", "c"]
    assert said_of(requests[-1], "b")["content"] == '{"ordered": "tea", "count": 1}'
    assert ended.reply == "Done."


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (use("nothing"), "There is no tool 'nothing'."),
        (use("look"), "look was not run: q: Field required"),
        (use("look", q="x", secret="hunter2"), "look was not run: secret: Extra inputs are not permitted"),
        (use("order", item="tea", count="hunter2"), "order was not run: count: Input should be a valid integer"),
        (use("fail", how="tool"), "The shop is closed on Sundays."),
        (use("fail", how="other"), "fail failed: ValueError"),
        (use("fail", how="exit"), "fail failed: SystemExit"),
        (use("fail", how="cancel"), "fail failed: CancelledError"),
        (use("peek"), 'peek is declared effect="read" and emitted an event; nothing was changed'),
        (use("wait", seconds=60.0), "wait gave no result within 0.05 s"),
    ],
)
async def test_what_goes_wrong_in_a_tool_is_told_to_the_model_and_the_turn_goes_on(tmp_path, call, told):
    def check(fleet):
        assert events_of(fleet, AppEventRecorded) == []

    ended, results, requests = await run(tmp_path, [call], "Sorry.", check=check)
    assert results["call_1"].error
    assert results["call_1"].content == told
    assert "hunter2" not in results["call_1"].content
    assert said_of(requests[1], "call_1") == {
        "type": "tool_result", "tool_use_id": "call_1", "content": told, "is_error": True,
    }  # fmt: skip
    assert (ended.result, ended.reply) == ("success", "Sorry.")


async def test_a_result_that_is_no_valid_text_is_stored_as_near_as_can_be(tmp_path):
    ended, results, _ = await run(tmp_path, [use("fail", how="surrogate")], "a\ud800b\x00c")
    assert results["call_1"].content.startswith("a")
    assert results["call_1"].content.endswith("c")
    assert not results["call_1"].error
    assert ended.result == "success"
    assert "\x00" not in ended.reply


async def test_an_emitted_event_and_its_result_are_recorded_together(tmp_path):
    def check(fleet):
        (emitted,), (returned, _) = events_of(fleet, AppEventRecorded), events_of(fleet, ToolReturned)
        assert (emitted.stream, emitted.version + 1) == (returned.stream, returned.version)
        assert emitted.event.data == {"item": "tea", "count": 2}
        assert (emitted.event.name, emitted.event.user) == ("test_turns.ordered", "ana")

    ended, results, _ = await run(
        tmp_path, [use("order", item="tea", count=2)], [use("count_orders", "call_2")], "Done.", check=check
    )
    assert results["call_2"].content == "2"
    assert ended.result == "success"


async def test_an_external_tools_intent_is_durable_before_it_runs(tmp_path):
    def check(fleet):
        intended, returned = events_of(fleet, ToolIntended, ToolReturned)
        assert isinstance(intended.event, ToolIntended)
        assert intended.event.arguments == {"to": "bo"}
        assert returned.event.content == f"sent to bo under {intended.event.idempotency_key[:8]}"

    await run(tmp_path, [use("mail", to="bo")], "Sent.", check=check)


async def test_calls_that_share_an_id_in_different_turns_have_keys_of_their_own(tmp_path):
    def work(request):
        last = request.messages[-1]["content"]
        return [use("mail", "same", to="bo")] if isinstance(last, str) else "Sent."

    async with open_fleet(tmp_path / "home", helper_app(tools=TOOLS), models=scripted(worker=work)) as fleet:
        for n in range(2):
            accepted = await fleet.accept(Message("ana", f"mail {n}"))
            await fleet.reply_to(accepted.message_id)
        keys = [each.event.idempotency_key for each in events_of(fleet, ToolIntended)]
        assert len(set(keys)) == 2


@pytest.mark.parametrize(("idempotent", "hangs", "ran"), [(True, 1, 2), (True, 2, 2), (False, 1, 1)])
async def test_a_call_outside_that_gave_no_result_runs_again_with_its_key_or_is_for_a_person(
    tmp_path, idempotent, hangs, ran
):
    keys = []

    @tool(confirm="never", idempotent=idempotent, timeout_s=0.1)
    async def charge(context: ToolContext) -> str:
        """Charge."""
        keys.append(context.idempotency_key)
        if len(keys) <= hangs:
            await asyncio.Event().wait()
        return "charged"

    model = ScriptedModel([[use("charge")], "Done."], name="test:worker")
    async with open_fleet(tmp_path, helper_app(tools=[charge]), models=scripted(worker=model)) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        (ended,), (returned,) = events_of(fleet, TurnEnded), events_of(fleet, ToolReturned)
        assert (len(keys), len(set(keys))) == (ran, 1)
        assert [each.event.idempotency_key for each in events_of(fleet, ToolIntended)] == keys[:1]
        if ran > hangs:
            assert (ended.event.reply, returned.event.content) == ("Done.", "charged")
        else:
            assert (ended.event.result, returned.event.unknown) == ("blocked", True)
            assert ended.event.reason == "charge may have run: call_1"
            assert "it gave no result within 0.1 s: it is not known whether it took effect" in ended.event.reply


def answer(*blocks, stop="end_turn"):
    return Answer(tuple(blocks), stop, "m", Usage(10, 5))


TEXT = {"type": "text", "text": "Half an ans"}


@pytest.mark.parametrize(
    ("last", "result", "reply", "reason"),
    [
        ("Done.", "success", "Done.", ""),
        ("Which day suits you?", "need_input", "Which day suits you?", ""),
        ("Ĉu vendredo taŭgas？ ", "need_input", "Ĉu vendredo taŭgas？", ""),
        ('Shall I submit "Friday?"', "need_input", 'Shall I submit "Friday?"', ""),
        (answer(TEXT, stop="max_tokens"), "failed", "Half an ans", "the answer was cut off at max_tokens"),
        (answer(stop="max_tokens"), "failed", None, "the answer was cut off at max_tokens"),
        (answer(TEXT, use("look", q="x"), stop="max_tokens"), "failed", "Half an ans", "cut off"),
        (answer(stop="refusal"), "blocked", "I cannot help with that.", "the model refused"),
        (answer({"type": "thinking", "thinking": "…", "signature": "s"}), "failed", None, "ended without a text"),
        (ModelUnavailableError("no answer in 60 s"), "failed", None, "test:worker: no answer in 60 s"),
    ],
)
async def test_every_turn_comes_to_a_uniform_result(tmp_path, last, result, reply, reason):
    ended, _, _ = await run(tmp_path, last)
    assert ended.result == result
    assert ended.reply == reply if reply is not None else "try again" in ended.reply
    assert reason in ended.reason


async def test_a_conversation_goes_on_after_any_end(tmp_path):
    """Whatever a turn ended with, the Messages API takes the next request: roles alternate, calls are answered."""
    ends = [
        "Which day?",
        answer(TEXT, use("look", "cut", q="x"), stop="max_tokens"),
        ModelUnavailableError("down"),
        answer(stop="refusal"),
        answer({"type": "thinking", "thinking": "…", "signature": "s"}),
        "Done.",
    ]
    model = ScriptedModel(ends, name="test:worker")
    async with open_fleet(tmp_path / "home", helper_app(tools=TOOLS), models=scripted(worker=model)) as fleet:
        for n in range(len(ends)):
            accepted = await fleet.accept(Message("ana", f"message {n}"))
            await fleet.reply_to(accepted.message_id)
        assert len(decisions(fleet)) == len(ends)
    for request in model.requests:
        check_request(request)
    assert len(model.requests[-1].messages) >= 2 * len(ends) - 1


def check_request(request):
    roles = [message["role"] for message in request.messages]
    assert roles[0] == "user"
    assert roles == ["user" if n % 2 == 0 else "assistant" for n in range(len(roles))], roles
    open_calls = set()
    for message in request.messages:
        blocks = [] if isinstance(message["content"], str) else message["content"]
        assert message["content"], "the API takes no empty message"
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        assert open_calls == results
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    assert not open_calls


async def test_a_turn_that_comes_to_no_end_is_stopped(tmp_path):
    ended, results, _ = await run(
        tmp_path, *[[use("look", f"call_{n}", q="x")] for n in range(9)], settings={"max_steps": 6}
    )
    assert ended.result == "failed"
    assert ended.reason == "no end after 6 steps"
    assert len(results) == 3


async def test_the_record_of_a_turn_is_complete(tmp_path):
    def check(fleet):
        (started,), (stepped,) = events_of(fleet, TurnStarted), events_of(fleet, ModelAnswered)
        assert fleet.ledger.blob(started.event.transcript).decode().startswith("Current UTC time:")
        assert b"You are one specialist of small" in fleet.ledger.blob(started.event.prompt)
        assert started.event.prompt_name == "<default>"
        assert (stepped.event.input_tokens, stepped.event.output_tokens) == (10, 5)
        assert stepped.event.content == (TEXT,)

    ended, _, _ = await run(tmp_path, answer(TEXT), check=check)
    assert ended.reply_id == f"rep_{ended.job_id.removeprefix('job_')}.1"


async def test_a_warmup_that_raises_is_replaced_and_on_record(tmp_path):
    app = App(name="small", agents=[DialogAgent(role="helper", warmup="print('half')\n1 / 0")])
    async with open_fleet(tmp_path / "home", app) as fleet:
        accepted = await fleet.accept(Message("ana", "hi"))
        assert await fleet.reply_to(accepted.message_id) == "You said: hi"
        (started,) = [each.event for each in events_of(fleet, TurnStarted)]
        assert started.trouble.startswith("warmup <code>, line 2: ZeroDivisionError")
        assert "half" not in fleet.ledger.blob(started.transcript).decode()


async def test_the_conversation_shown_is_bounded_and_begins_with_the_users_words(tmp_path):
    model = ScriptedModel(lambda request: f"Answer {len(request.messages)}", name="test:worker")
    async with open_fleet(tmp_path / "home", models=scripted(worker=model), history=6, compact_model="none") as fleet:
        for n in range(8):
            accepted = await fleet.accept(Message("ana", f"message {n}"))
            await fleet.reply_to(accepted.message_id)
    last = model.requests[-1]
    assert len(last.messages) <= 6
    assert json.loads(last.messages[0]["content"].splitlines()[-1]) == "message 5"
    assert "Current UTC time" not in last.messages[0]["content"]
    assert "Current UTC time" in last.messages[-1]["content"]


async def test_agents_have_models_and_examples_of_their_own(tmp_path):
    folder = tmp_path / "data" / "examples_db" / "helper"
    folder.mkdir(parents=True)
    (folder / "2-swap.md").write_text("---\nname: Swap\n---\nUser: swap?\nReply: yes\n")
    app = App(name="small", agents=[DialogAgent(role="helper", model="test:own")], data=tmp_path / "data")
    own = ScriptedModel(["My own."], name="test:own")
    router = '```python\nstart_new_thread(agent="helper", language="eo", default_example_id=2)\n```'
    async with open_fleet(tmp_path / "home", app, models={**scripted([router]), "test:own": own}) as fleet:
        accepted = await fleet.accept(Message("ana", "hi"))
        assert await fleet.reply_to(accepted.message_id) == "My own."
    shown = own.requests[0].messages[0]["content"]
    assert "Reply: yes" in shown
    assert "eo" in shown

"""The trace that a message's record amounts to: its spans, their times, their events."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from support.audited import DAY, audited_fleet, work

from fleet import Message
from fleet.audit import semconv
from fleet.audit.content import Content
from fleet.audit.span import Span, span_id, trace_id
from fleet.audit.spans import spans_of
from fleet.ledger.events import ModelAnswered, ToolReturned, TurnStarted
from fleet.ledger.sqlite import SqliteLedger
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.dispatches import cancel_now
from fleet.runtime.home import Home
from fleet.runtime.trace import TRACES, traces


def trace(ledger: SqliteLedger, message_id: str, *, content: bool = False) -> list[Span]:
    _, decided, *_ = ledger.read_stream(f"message:{message_id}")
    return spans_of(ledger, decided, Content(ledger) if content else None)


def tree(spans: list[Span]) -> list[tuple[str, str]]:
    """Each span's parent's name and its own."""
    names = {span.part: span.name for span in spans}
    return [(names.get(span.parent, ""), span.name) for span in spans]


def named(spans: list[Span], name: str) -> Span:
    return next(span for span in spans if span.name == name)


def events(spans: list[Span]) -> list[str]:
    return [each.name for each in spans[0].events]


def test_one_trace_has_every_part_of_a_message(ledger: SqliteLedger) -> None:
    assert tree(trace(ledger, "m-call")) == [
        ("", "fleet.message"),
        ("fleet.message", "fleet.route"),
        ("fleet.route", "fleet.queue"),
        ("fleet.route", "fleet.gate"),
        ("fleet.route", "fleet.warmup"),
        ("fleet.route", "chat claude-haiku-4-5"),
        ("fleet.route", "fleet.parse"),
        ("fleet.route", "fleet.apply"),
        ("fleet.message", "invoke_agent clerk"),
        ("invoke_agent clerk", "chat test:worker"),
        ("invoke_agent clerk", "execute_tool call_out"),
        ("invoke_agent clerk", "chat test:worker"),
        ("fleet.message", "fleet.deliver"),
    ]


def test_times_are_those_of_the_ledger(ledger: SqliteLedger) -> None:
    spans = trace(ledger, "m-call")
    accepted, decided, *_ = ledger.read_stream("message:m-call")
    route = named(spans, "fleet.route")
    assert (route.start, route.end) == (accepted.at, decided.at)
    latency = decided.event.decision.latency_us  # type: ignore[attr-defined]
    for stage in ("queue", "gate", "warmup", "parse"):
        span = named(spans, f"fleet.{stage}")
        assert span.end - span.start == latency[stage]
    assert named(spans, "fleet.apply").end == decided.at
    job = ledger.read_stream(f"job:{named(spans, 'invoke_agent clerk').attributes['fleet.job.id']}")
    began = next(each for each in job if isinstance(each.event, TurnStarted))
    steps = [each for each in job if isinstance(each.event, (ModelAnswered, ToolReturned))]
    found = [span for span in spans if span.part.startswith("step ")]
    assert [span.end for span in found] == [each.at for each in steps]
    for span, each in zip(found, steps, strict=True):
        assert span.start == max(began.at, each.at - each.event.latency_us)  # type: ignore[attr-defined]


def test_every_span_lies_within_its_parent_and_has_ids_of_its_own(ledger: SqliteLedger) -> None:
    ids = set()
    for message_id, *_ in DAY:
        spans = trace(ledger, message_id)
        by_part = {span.part: span for span in spans}
        assert len(by_part) == len(spans)
        for span in spans:
            assert span.start <= span.end
            if span.parent:
                assert by_part[span.parent].start <= span.start
                assert span.end <= by_part[span.parent].end
            ids.add((trace_id(message_id), span_id(message_id, span.part)))
    assert len({trace for trace, _ in ids}) == len(DAY)
    assert len({span for _, span in ids}) == len(ids)
    assert trace_id("m-call") == int(hashlib.sha256(b"m-call").hexdigest()[:32], 16)


@pytest.mark.parametrize(
    ("message_id", "expected", "error"),
    [
        ("m-friday", ["scheduled", "completed"], ""),
        ("m-outage", ["scheduled", "completed"], ""),
        ("m-lost", ["taken_over"], ""),
        ("m-spam", ["completed"], ""),
        ("m-gate-error", ["failed"], "the gate ended it as an error"),
        ("m-worker-down", ["scheduled", "failed"], "the turn ended as failed"),
        ("m-unreachable", ["scheduled", "completed"], "the reply was not delivered"),
    ],
)
def test_the_events_of_a_dispatch(ledger: SqliteLedger, message_id: str, expected: list[str], error: str) -> None:
    spans = trace(ledger, message_id)
    always = ["request.created", "decision.made"]
    assert events(spans) == [f"dispatch.{each}" for each in always + expected]
    assert spans[0].error == error
    made = spans[0].events[1].attributes
    assert made["fleet.by"] in ("model", "gate", "fallback")
    told = [(each.name, each.at) for each in traces(ledger, message=message_id)]
    assert [(each.name, each.at) for each in spans[0].events] == told, "as `fleet dispatch trace` tells it"


def test_the_events_have_the_names_that_transitions_have() -> None:
    ours = {value for value in vars(semconv).values() if str(value).startswith("dispatch.")}
    assert ours == set(TRACES)


def test_answers_with_verdicts_tokens_and_errors(ledger: SqliteLedger) -> None:
    refused, accepted = (span for span in trace(ledger, "m-hesitate")[1:8] if span.name.startswith("chat "))
    assert (refused.attributes["fleet.verdict"], refused.kind) == ("thread_index_out_of_range", "internal")
    assert refused.end <= accepted.start
    got = accepted.attributes
    assert (accepted.kind, got["gen_ai.provider.name"], got["fleet.confidence"]) == ("client", "anthropic", 0.875)
    assert (got["gen_ai.usage.input_tokens"], got["gen_ai.usage.cache_read.input_tokens"]) == (2000, 800)
    assert got["gen_ai.usage.output_tokens"] == 30
    down = named(trace(ledger, "m-outage"), "chat test:router")
    assert (down.attributes["error.type"], down.error) == ("no_answer", "the model gave no answer")
    turn = named(trace(ledger, "m-worker-down"), "invoke_agent clerk")
    assert (turn.attributes["error.type"], turn.error) == ("failed", "the turn ended as failed")
    assert named(trace(ledger, "m-swap"), "invoke_agent clerk").attributes["gen_ai.provider.name"] == "test"
    lost = named(trace(ledger, "m-unknown"), "execute_tool look_up")
    assert (lost.attributes["error.type"], lost.error) == ("tool_error", "the tool failed")


def test_names_are_those_of_the_conventions() -> None:
    there = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    ours = {value for name, value in vars(semconv).items() if name.isupper() and str(value).startswith("gen_ai.")}
    assert len(ours) > 15
    assert ours <= there
    operations = {each.value for each in gen_ai_attributes.GenAiOperationNameValues}
    assert {semconv.CHAT, semconv.INVOKE_AGENT, semconv.EXECUTE_TOOL} <= operations
    assert gen_ai_attributes.GenAiProviderNameValues.ANTHROPIC.value == "anthropic"


def test_no_attribute_is_of_another_vocabulary(ledger: SqliteLedger) -> None:
    known = {value for name, value in vars(semconv).items() if name.isupper()}
    for message_id, *_ in DAY:
        for span in trace(ledger, message_id, content=True):
            for name, value in span.attributes.items():
                assert name in known or name.startswith("fleet."), name
                assert value not in ("", None, [])


def test_texts_are_in_it_only_where_asked_for(ledger: SqliteLedger) -> None:
    for message_id, _, text, _ in DAY:
        spans = trace(ledger, message_id)
        said = json.dumps([[span.attributes, [each.attributes for each in span.events]] for span in spans])
        assert text not in said
        assert "known about shifts" not in said
        assert "It is done." not in said
        assert "advertising" not in said
        assert text == trace(ledger, message_id, content=True)[0].attributes["fleet.text"]


def test_the_texts_are_those_that_were_sent(ledger: SqliteLedger) -> None:
    def texts(span: Span, name: str) -> list[Any]:
        return [
            (each["role"], [part["content"] for part in each["parts"]]) for each in json.loads(span.attributes[name])
        ]

    _, decided, *_ = ledger.read_stream("message:m-hesitate")
    decision = decided.event.decision  # type: ignore[attr-defined]
    shown, first = ledger.blob(decision.transcript).decode(), decision.attempts[0]
    _, retried = (span for span in trace(ledger, "m-hesitate", content=True)[1:8] if span.name.startswith("chat "))
    assert texts(retried, "gen_ai.input.messages") == [
        ("user", [shown]),
        ("assistant", [first.answer]),
        ("user", [first.told]),
    ]
    assert texts(retried, "gen_ai.output.messages") == [("assistant", [decision.attempts[1].answer])]
    prompt = ledger.blob(decision.prompt).decode()
    assert json.loads(retried.attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": prompt}]
    spans = trace(ledger, "m-swap", content=True)
    tool = named(spans, "execute_tool look_up").attributes
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"topic": "shifts"}
    assert tool["gen_ai.tool.call.result"] == "known about shifts"
    asked = named(spans, "chat test:worker")
    ((role, [said]),) = texts(asked, "gen_ai.input.messages")
    assert role == "user"
    assert said.endswith('User message:\n"Can I swap my Friday shift?"')
    (answer,) = json.loads(asked.attributes["gen_ai.output.messages"])
    assert answer["finish_reason"] == "tool_use"
    assert [(part["type"], part["name"], part["arguments"]) for part in answer["parts"]] == [
        ("tool_call", "look_up", {"topic": "shifts"})
    ]


async def test_a_turn_of_several_messages_is_whole_in_one_trace(tmp_path: Path) -> None:
    async with audited_fleet(tmp_path, workers=False) as fleet:
        for each in ("m-1", "m-2"):
            await fleet.accept(Message("cid", f"say {each}", each, "vip"))
        await fleet.idle()
    async with audited_fleet(tmp_path) as fleet:
        await fleet.idle()
    with Home(tmp_path).read_ledger() as ledger:
        first, second = trace(ledger, "m-1"), trace(ledger, "m-2")
    turn, linked = named(first, "invoke_agent clerk"), named(second, "invoke_agent clerk")
    assert (turn.link, linked.link) == (None, ("m-1", turn.part))
    assert (turn.start, turn.end) == (linked.start, linked.end)
    assert [span.name for span in first if span.parent == turn.part] == ["chat test:worker"]
    assert [span.name for span in second if span.parent == linked.part] == []


async def test_a_turn_that_another_process_finished_says_so(tmp_path: Path) -> None:
    slow = ScriptedModel(work, name="test:worker", latency_s=60.0)
    async with audited_fleet(tmp_path, slow, drain_s=0.01) as fleet:
        asked = asyncio.Event()
        fleet.on(lambda stored: asked.set() if isinstance(stored.event, TurnStarted) else None)
        await fleet.accept(Message("ana", "hello", "m-1"))
        await asked.wait()
    with Home(tmp_path).read_ledger() as ledger:
        assert events(trace(ledger, "m-1"))[-1] == "dispatch.scheduled"
    async with audited_fleet(tmp_path) as fleet:
        await fleet.idle()
    with Home(tmp_path).read_ledger() as ledger:
        spans = trace(ledger, "m-1")
    assert events(spans)[-2:] == ["fleet.worker.started", "dispatch.completed"]


async def test_an_explicit_dispatch_has_a_trace_too(tmp_path: Path) -> None:
    async with audited_fleet(tmp_path, workers=False) as fleet:
        off = await fleet.dispatch("clerk", user="ana", text="never mind", by="ben")
        await fleet.idle()
        with Home(tmp_path).open_ledger() as other:
            cancel_now(other, off.id, by="ben")
        made = await fleet.dispatch("clerk", user="ana", text="hello", by="ben")
    async with audited_fleet(tmp_path) as fleet:
        await fleet.idle()
    with Home(tmp_path).read_ledger() as ledger:
        called_off, done = trace(ledger, off.id), trace(ledger, made.id)
    assert "dispatch.failed" in events(called_off)  # it was in its thread's line, and its turn ended with that
    assert events(done)[2:] == ["dispatch.scheduled", "fleet.worker.started", "dispatch.completed"]
    assert done[0].attributes["fleet.by"] == "dispatch"
    assert done[0].attributes["fleet.gate"] == "ben"
    assert [span.name for span in done if span.name.startswith("chat ")] == ["chat test:worker"]

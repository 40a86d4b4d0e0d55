"""What `explain` makes of a day in which about everything happens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.audited import DAY, audited_fleet, work

from fleet import Message
from fleet.audit.explain import explain
from fleet.audit.explanation import Explanation
from fleet.errors import InputError
from fleet.ledger.base import Draft
from fleet.ledger.events import ModelAnswered, TurnStarted
from fleet.ledger.sqlite import SqliteLedger
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home


def kinds(found: Explanation) -> list[str]:
    return [step.kind for step in found.steps]


def step(found: Explanation, kind: str) -> dict[str, Any]:
    return dict(next(each.data for each in found.steps if each.kind == kind))


def test_a_short_answer_went_to_the_older_of_two_threads(ledger: SqliteLedger) -> None:
    found = explain(ledger, "m-friday")
    swap = explain(ledger, "m-swap")
    assert [(each.index, each.name, each.chosen) for each in found.candidates] == [
        (0, "What is on my bill?", False),
        (1, "Can I swap my Friday shift?", True),
    ]
    assert found.decision is not None
    assert swap.decision is not None
    assert found.decision.thread_id == swap.decision.thread_id == found.candidates[1].thread_id
    thread = f'{found.decision.thread_id} "Can I swap my Friday shift?" of clerk'
    assert found.where == (f"It continues thread {thread}, printed as threads[1]; the model claude-haiku-4-5 decided.")
    assert '"User: Can I swap my Friday shift?"' in found.candidates[1].printed
    assert found.state == "answered"
    assert found.turn == 2
    assert found.reply == "Which day suits you?"


def test_the_timeline_is_that_of_its_own_turn(ledger: SqliteLedger) -> None:
    found = explain(ledger, "m-swap")
    assert kinds(found) == [
        "message.accepted",
        "message.decided",
        "turn.started",
        "step.model",
        "tool.returned",
        "step.model",
        "turn.ended",
        "reply.delivered",
    ]
    assert [each.seq for each in found.steps] == sorted(each.seq for each in found.steps)
    assert step(found, "turn.started")["message_ids"] == ["m-swap"]
    tool = step(found, "tool.returned")
    assert (tool["tool"], tool["arguments"], tool["content"]) == ("look_up", {"topic": "shifts"}, "known about shifts")
    assert found.answering.calls == 2


def test_tokens_and_cost_are_summed(ledger: SqliteLedger) -> None:
    found = explain(ledger, "m-swap").routing
    assert (found.calls, found.input_tokens, found.cache_read_tokens, found.output_tokens) == (1, 1200, 800, 30)
    assert found.cost_usd == pytest.approx((1200 * 1.0 + 800 * 0.1 + 30 * 5.0) / 1e6)


def test_a_refused_answer_shows_its_verdict_and_what_the_model_was_told(ledger: SqliteLedger) -> None:
    found = explain(ledger, "m-hesitate")
    assert found.decision is not None
    first, second = found.decision.attempts
    assert (first.verdict, second.verdict) == ("thread_index_out_of_range", "ok")
    assert first.message.startswith("threads[7] was not printed")
    assert found.decision.by == "model"


@pytest.mark.parametrize(
    ("message_id", "state", "where"),
    [
        ("m-outage", "answered", "the fallback router test:fallback decided"),
        ("m-stumble", "answered", "the fallback router test:fallback decided"),
        ("m-lost", "human", "To a person: nothing could place it."),
        ("m-spam", "dropped", "Nowhere: the application's gate decided, which dropped it."),
        ("m-gate-error", "error", "Nowhere: the application's gate decided, as an error."),
        ("m-vip", "answered", "the application's gate decided"),
        ("m-vip-again", "answered", "It continues thread"),
        ("m-waiting", "inbox", "Nowhere yet: it is accepted and waits in the inbox"),
        ("m-worker-down", "failed", "It starts the new thread"),
        ("m-unreachable", "failed", "It starts the new thread"),
    ],
)
def test_where_it_went_and_what_came_of_it(ledger: SqliteLedger, message_id: str, state: str, where: str) -> None:
    found = explain(ledger, message_id)
    assert found.state == state
    assert where in found.where


def test_why_a_fallback_decided(ledger: SqliteLedger) -> None:
    outage, stumble, lost = (explain(ledger, each).decision for each in ("m-outage", "m-stumble", "m-lost"))
    assert outage is not None
    assert stumble is not None
    assert lost is not None
    assert outage.fallback_reason == "test:router: the provider is down"
    assert stumble.fallback_reason == 'warmup <code>, line 3: ValueError: "the warmup stumbled"'
    assert lost.fallback_reason == "test:router: the provider is down; test:fallback: the fallback is down too"


def test_what_tools_did(ledger: SqliteLedger) -> None:
    booked, called, unknown = (explain(ledger, each) for each in ("m-book", "m-call", "m-unknown"))
    assert step(booked, "app.event") == {"name": "audited.booked", "version": 1, "data": {"day": "Friday"}}
    assert kinds(called).index("tool.intended") < kinds(called).index("tool.returned")
    failed = next(each for each in unknown.steps if each.kind == "tool.returned")
    assert failed.trouble
    assert failed.data["content"] == "nothing is known about that"


def test_how_a_turn_can_end(ledger: SqliteLedger) -> None:
    down, research, unreachable = (explain(ledger, each) for each in ("m-worker-down", "m-research", "m-unreachable"))
    assert 'as failed: "test:worker: the worker\'s provider is down"' in down.outcome
    assert research.outcome.endswith("the result is on record and goes to nobody.")
    assert step(research, "turn.started")["note"].startswith("warmup <code>, line 1: KeyError")
    assert unreachable.outcome.endswith("the reply was not delivered (2 attempts: ConnectionError).")
    assert kinds(unreachable)[-1] == "reply.failed"


def test_every_explanation_is_one_json_object(ledger: SqliteLedger) -> None:
    for message_id, user, text, _ in DAY:
        found = json.loads(json.dumps(explain(ledger, message_id).as_dict()))
        assert (found["message_id"], found["user"], found["text"]) == (message_id, user, text)
        assert found["timeline"][0]["kind"] == "message.accepted"
        assert found["decision"]["decided_at"].endswith("Z")


def test_a_message_that_is_not_there(ledger: SqliteLedger) -> None:
    with pytest.raises(InputError, match="there is no message m-none in this ledger"):
        explain(ledger, "m-none")


async def test_a_turn_that_goes_on_and_is_finished_by_the_next_worker(tmp_path: Path) -> None:
    home = tmp_path / "home"
    slow = ScriptedModel(work, name="test:worker", latency_s=60.0)
    async with audited_fleet(home, slow, drain_s=0.01) as fleet:
        asked = asyncio.Event()
        fleet.on(lambda stored: asked.set() if isinstance(stored.event, TurnStarted) else None)
        await fleet.accept(Message("ana", "hello", "m-1"))
        await asked.wait()
    with Home(home).read_ledger() as ledger:
        cut_off = explain(ledger, "m-1")
    assert cut_off.state == "working"
    assert cut_off.outcome.startswith("Not yet answered: turn 1 began at ")
    async with audited_fleet(home) as fleet:
        await fleet.idle()
    with Home(home).read_ledger() as ledger:
        found = explain(ledger, "m-1")
    assert found.state == "answered"
    assert kinds(found) == [
        "message.accepted",
        "message.decided",
        "turn.started",
        "fleet.started",
        "step.model",
        "turn.ended",
        "reply.delivered",
    ]


async def test_messages_that_wait_for_a_turn_and_are_answered_by_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with audited_fleet(home, workers=False) as fleet:
        for each in ("m-1", "m-2"):
            await fleet.accept(Message("cid", f"say {each}", each, "vip"))
        await fleet.idle()
    with Home(home).read_ledger() as ledger:
        waiting = explain(ledger, "m-2")
    assert (waiting.state, waiting.outcome) == (
        "routed",
        "Not yet answered: no turn of its thread has taken it up.",
    )
    async with audited_fleet(home) as fleet:
        await fleet.idle()
    with Home(home).read_ledger() as ledger:
        first, second = explain(ledger, "m-1"), explain(ledger, "m-2")
    assert first.state == second.state == "answered"
    assert step(first, "turn.started")["message_ids"] == step(second, "turn.started")["message_ids"] == ["m-1", "m-2"]
    assert first.reply_id == second.reply_id


def test_a_long_job_costs_no_more_than_one_message(day: Path, tmp_path: Path) -> None:
    """A thousand later steps of the same job and user are not read for an old message."""
    copied = tmp_path / "ledger.db"
    with SqliteLedger.open(day / "ledger.db", readonly=True) as ledger:
        decision = explain(ledger, "m-swap").decision
    assert decision is not None
    copied.write_bytes((day / "ledger.db").read_bytes())
    stream = f"job:{decision.job_id}"
    with SqliteLedger.open(copied) as ledger:
        answered = ModelAnswered(
            job_id=decision.job_id, turn=3, content=({"type": "text", "text": "x"},), stop_reason="end_turn", model="m"
        )
        ledger.append_now(Draft(stream, ledger.version(stream), (answered,) * 1000, "ana"))
        read: list[int] = []
        original = ledger.read

        def counted(**given: Any) -> Any:
            for stored in original(**given):
                read.append(stored.seq)
                yield stored

        ledger.read = counted  # type: ignore[method-assign]
        found = explain(ledger, "m-swap")
    assert found.state == "answered"
    assert len(read) < 20

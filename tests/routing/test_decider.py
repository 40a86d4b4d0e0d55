"""One decision: the gate, the router, its corrective retry, and each rung of the fallback ladder."""

from __future__ import annotations

import asyncio

import pytest
from support.facts import decider, facts, small_app, thread
from support.fleets import go_on, start

from fleet import DispatchAction, DispatchResult
from fleet.errors import ModelAnswerError, ModelRefusedError, ModelUnavailableError
from fleet.llm.base import Answer, Usage
from fleet.sandbox import VERDICTS

MINE = (thread(0), thread(1, agent="billing"))


async def decide(app, router, fallback=(), threads=MINE, queue_us=0, **options):
    return await decider(app, router, fallback).decide(facts(app, threads=threads, **options), queue_us)


async def test_the_record_of_a_continuation_is_complete():
    router = [Answer(({"type": "text", "text": go_on(1)},), "end_turn", "claude-haiku-4-5", Usage(1000, 20, 300, 40))]
    decided = await decide(small_app(), router, queue_us=1234)
    decision = decided.decision
    assert (decision.by, decision.outcome, decision.thread_index, decision.thread_id) == (
        "model",
        "dispatch_to",
        1,
        "thr_1",
    )
    assert (decision.agent, decision.name, decision.language) == ("billing", "Topic 1", "en")
    assert decision.reason == "It carries on."
    assert [(each.thread_id, each.agent, each.name) for each in decision.candidates] == [
        ("thr_0", "helper", "Topic 0"),
        ("thr_1", "billing", "Topic 1"),
    ]
    assert decision.agents == ("helper", "billing")
    assert decision.code_version == "1.2.3"
    assert decision.prompt_name == "<default>"
    bodies = {blob.hash: blob.body.decode() for blob in decided.blobs}
    assert "threads[1]:" in bodies[decision.transcript]
    assert "You route one incoming message" in bodies[decision.prompt]
    (attempt,) = decision.attempts
    assert (attempt.answer, attempt.verdict, attempt.stop_reason) == (go_on(1), "ok", "end_turn")
    assert (attempt.input_tokens, attempt.output_tokens) == (1000, 20)
    assert (attempt.cache_read_tokens, attempt.cache_write_tokens) == (300, 40)
    assert attempt.cost_usd > 0
    assert decision.latency_us["queue"] == 1234
    assert set(decision.latency_us) == {"queue", "warmup", "model", "parse"}
    assert all(took >= 0 for took in decision.latency_us.values())


async def test_a_new_thread_is_as_the_router_said():
    decision = (await decide(small_app(), [start("billing", "Invoice 7", "pt-BR")])).decision
    assert (decision.outcome, decision.agent, decision.name, decision.language) == (
        "start_new_thread", "billing", "Invoice 7", "pt-BR",
    )  # fmt: skip
    assert (decision.thread_id, decision.job_id, decision.default_example_id) == ("", "", None)


async def test_an_agents_locale_wins_over_the_routers_language():
    assert (await decide(small_app(locale="de"), [start("billing")])).decision.language == "de"


async def test_a_refused_answer_is_sent_back_once_with_its_verdict():
    app = small_app()
    asked = decider(app, ["Sure!\n" + go_on(), go_on()])
    decision = (await asked.decide(facts(app, threads=MINE))).decision
    assert [each.verdict for each in decision.attempts] == ["prose_outside_block", "ok"]
    assert decision.attempts[0].message == VERDICTS["prose_outside_block"]
    first, second = asked._router.requests
    assert second.system == first.system
    assert second.messages[0] == first.messages[0]
    assert [each["role"] for each in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1]["content"] == "Sure!\n" + go_on()
    said = second.messages[2]["content"]
    assert said == f"That answer was refused: {VERDICTS['prose_outside_block']} Answer again, as instructed."


@pytest.mark.parametrize("empty", ["", "  \n"])
async def test_an_empty_answer_can_be_sent_back_too(empty):
    decision = (await decide(small_app(), [empty, go_on()])).decision
    assert [each.verdict for each in decision.attempts] == ["empty_output", "ok"]


async def test_an_answer_that_no_store_can_keep_is_on_record_as_near_as_can_be():
    decision = (await decide(small_app(), ["a\ud800b\x00", go_on()])).decision
    assert [(each.verdict, each.answer) for each in decision.attempts] == [
        ("illegal_character", "a?b"),
        ("ok", go_on()),
    ]
    decision.model_dump_json().encode()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (go_on(2), "thread_index_out_of_range"),
        (start("admin_agent"), "unknown_agent"),
        (start("helper", example=0), "example_not_printed"),
        (Answer(({"type": "text", "text": go_on()},), "max_tokens", "m"), "truncated_output"),
        ("I would say Friday.", "no_code_block"),
    ],
)
async def test_two_refused_answers_end_in_the_deterministic_router(answer, verdict):
    decision = (await decide(small_app(), [answer, answer], [go_on()])).decision
    assert (decision.by, decision.fallback, decision.outcome) == ("fallback", "router", "dispatch_to")
    assert decision.fallback_reason == f"test:router: answer refused, {verdict}"
    assert [each.verdict for each in decision.attempts] == [verdict, verdict, "ok"]
    assert decision.attempts[-1].model == "test:fallback"


@pytest.mark.parametrize(
    "error", [ModelUnavailableError("down"), ModelRefusedError("no quota"), ModelAnswerError("odd")]
)
async def test_a_model_that_fails_is_not_asked_again(error):
    decision = (await decide(small_app(), [error], [start("billing")])).decision
    assert (decision.fallback, decision.outcome, decision.agent) == ("router", "start_new_thread", "billing")
    assert decision.attempts[0].error == error.message
    assert decision.fallback_reason == f"test:router: {error.message}"


async def test_when_no_router_decides_the_default_agent_gets_the_message():
    app = small_app(default_agent="billing")
    decision = (await decide(app, ["no", "no"], ["no", "no"], language="eo")).decision
    assert (decision.by, decision.fallback, decision.outcome) == ("fallback", "agent", "start_new_thread")
    assert (decision.agent, decision.language) == ("billing", "eo")
    assert len(decision.attempts) == 4
    assert decision.fallback_reason.count("answer refused, no_code_block") == 2


async def test_without_a_default_agent_a_person_must_decide():
    decision = (await decide(small_app(), ["no", "no"], [ModelUnavailableError("down")])).decision
    assert (decision.by, decision.fallback, decision.outcome) == ("fallback", "human", "human")
    assert decision.fallback_reason == "test:router: answer refused, no_code_block; test:fallback: down"
    assert (decision.thread_id, decision.agent) == ("", "")


async def test_a_warmup_that_fails_leaves_the_decision_to_the_deterministic_router():
    app = small_app()
    app.dispatcher.update_warmup_def("print(message)\nraise KeyError('nobody')")
    asked = decider(app, ["unused"], [go_on()])
    decided = await asked.decide(facts(app, threads=MINE))
    assert asked._router.requests == []
    assert (decided.decision.fallback, decided.decision.thread_id) == ("router", "thr_0")
    assert decided.decision.fallback_reason.startswith("warmup <code>, line 2: KeyError")
    shown = {blob.hash: blob.body.decode() for blob in decided.blobs}[decided.decision.transcript]
    assert shown.startswith("Current UTC time: ")
    assert '"Friday is better"' in shown


class Gate:
    """A gate that says one thing and keeps what it was asked."""

    def __init__(self, said):
        self.said, self.asked = said, []

    def __call__(self, message):
        self.asked.append(message)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


async def gated(said, **options):
    gate = Gate(said)
    app = small_app(gate=gate, **options)
    asked = decider(app, [go_on()])
    decided = await asked.decide(facts(app, threads=MINE))
    assert gate.asked[0].text == "Friday is better"
    assert gate.asked[0].sender.id == "ana"
    assert asked._router.requests == [] or said is None
    return decided


async def test_a_gate_that_passes_leaves_the_decision_to_the_router():
    decision = (await gated(None)).decision
    assert decision.by == "model"
    assert "gate" in decision.latency_us


async def test_an_asynchronous_gate_is_waited_for():
    async def gate(message):
        await asyncio.sleep(0)
        return DispatchResult("", DispatchAction.DROP, reason="spam")

    decision = (await decide(small_app(gate=gate), [])).decision
    assert (decision.by, decision.outcome, decision.gate_reason) == ("gate", "drop", "spam")


@pytest.mark.parametrize(
    ("said", "outcome", "agent", "keyed"),
    [
        (DispatchResult("c-1", DispatchAction.ROUTE, agent="billing"), "start_new_thread", "billing", True),
        (DispatchResult("c-1", DispatchAction.ROUTE), "start_new_thread", "helper", True),
        (DispatchResult("c-1", DispatchAction.CREATE_AGENT, agent="billing"), "start_new_thread", "billing", False),
        (DispatchResult("c-1", "CREATE_AGENT", agent="billing"), "start_new_thread", "billing", False),
        (DispatchResult("", DispatchAction.DROP), "drop", "", False),
        (DispatchResult("", "DROP"), "drop", "", False),
        (DispatchResult("", DispatchAction.ERROR, reason="no contract"), "error", "", False),
        (DispatchResult("c", DispatchAction.ROUTE, agent="nobody"), "error", "", False),
    ],
)
async def test_what_a_gate_says_is_done_without_a_model(said, outcome, agent, keyed):
    decided = await gated(said)
    decision = decided.decision
    assert (decision.by, decision.outcome, decision.agent, bool(decided.thread_key)) == ("gate", outcome, agent, keyed)
    assert decision.attempts == ()
    assert decision.gate_reason == (
        "the gate named the agent 'nobody', which is not declared"
        if said.agent == "nobody"
        else said.reason or said.action
    )


@pytest.mark.parametrize(
    "said", [True, "ROUTE", DispatchResult(None, DispatchAction.ROUTE), DispatchResult("", "MAYBE")]
)
async def test_a_gate_that_says_something_else_is_an_error_on_record(said):
    decision = (await gated(said)).decision
    assert (decision.by, decision.outcome) == ("gate", "error")
    assert "Error" in decision.gate_reason


async def test_a_gate_that_raises_is_an_error_on_record_with_its_traceback():
    decision = (await gated(LookupError("no such contract"))).decision
    assert (decision.by, decision.outcome) == ("gate", "error")
    assert "LookupError: no such contract" in decision.gate_reason


async def test_a_gates_key_names_the_thread_in_one_printable_line():
    decided = await gated(DispatchResult("order\n7\x00" + "x" * 100, DispatchAction.ROUTE))
    assert decided.decision.name == "order7" + "x" * 74
    assert len(decided.thread_key) == 16

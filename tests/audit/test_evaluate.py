"""Scoring the real dispatcher over cases, with routers whose answers are known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.fleets import go_on, printed_message, start

from fleet import Settings
from fleet.audit.cases import CONVERSATION, Case
from fleet.audit.evaluate import decider_for, evaluate
from fleet.audit.scoring import Outcome, Score
from fleet.audit.significance import wilson
from fleet.errors import ConfigError, ModelError, ModelUnavailableError
from fleet.llm.base import Request
from fleet.llm.scripted import ScriptedModel
from fleet.prompting.views import AgentView

OFFERED = {role: AgentView(role, f"Does {role}") for role in ("planner", "clerk", CONVERSATION)}


def case(
    number: int, message: str, gold: dict[str, Any], *strata: str, agents: tuple[str, ...] = ("planner", "clerk")
) -> Case:
    threads = [
        {"id": f"t{index}", "agent": "planner", "summary": "s", "latest_activity_at": "2026-03-10T14:05:00Z"}
        for index in range(7)
    ]
    return Case.model_validate(
        {
            "id": f"c{number}",
            "now": "2026-03-10T15:00:00Z",
            "message": message,
            "threads": threads,
            "agents": agents,
            "gold": gold,
            "strata": strata,
        }
    )


def obey(request: Request) -> Any:
    """A router that does what the message says: an index, a role, `prose`, `retry` or `down`."""
    said = printed_message(request)
    if said == "down":
        raise ModelUnavailableError("the provider is down")
    if said == "prose" or (said == "retry" and len(request.messages) == 1):
        return "I think it belongs to the planner."
    if said == "retry":
        return go_on(0)
    return go_on(int(said)) if said.isdigit() else start(said)


def run(cases: list[Case], router: Any = obey, concurrency: int = 1) -> list[Outcome]:
    decider = decider_for(OFFERED, ScriptedModel(router), ScriptedModel(lambda _: go_on(0)), Settings(candidates=5))
    return asyncio.run(evaluate(cases, OFFERED, decider, concurrency=concurrency))


CONTINUE = {"action": "continue", "thread": 0}


def test_right_and_wrong_by_action_and_agent() -> None:
    outcomes = run(
        [
            case(0, "0", CONTINUE, "easy"),
            case(1, "1", CONTINUE, "easy"),
            case(2, "clerk", CONTINUE),
            case(3, "planner", {"action": "new", "agent": "planner"}, "fresh", "easy"),
            case(4, "clerk", {"action": "new", "agent": "planner"}, "fresh"),
            case(5, "2", {"action": "new", "agent": "planner"}, "fresh"),
            case(6, "6", {"action": "continue", "thread": 6}),
        ]
    )
    assert [(each.action, each.agent, each.joint) for each in outcomes] == [
        (True, None, True),
        (False, None, False),
        (False, None, False),
        (True, True, True),
        (True, False, False),
        (False, False, False),
        (True, None, True),
    ]
    score = Score.of(outcomes)
    assert (score.n, score.action_accuracy, score.joint_accuracy) == (7, 4 / 7, 3 / 7)
    assert score.agent_accuracy_given_new == 1 / 3
    assert score.strata == {"easy": (3, 2 / 3), "fresh": (3, 1 / 3)}
    assert score.invalid_answers == 0


def test_where_no_agent_is_asked_for_only_the_action_counts() -> None:
    new = {"action": "new", "agent": None}
    outcomes = run([case(0, CONVERSATION, new, agents=()), case(1, "0", new, agents=())])
    assert [(each.action, each.agent, each.joint) for each in outcomes] == [(True, None, True), (False, None, False)]
    assert Score.of(outcomes).agent_accuracy_given_new is None


def test_a_refused_answer_is_wrong_whatever_comes_after_it() -> None:
    outcomes = run(
        [
            case(0, "retry", CONTINUE),
            case(1, "prose", CONTINUE),  # the fallback is right about it
            case(2, "nobody", {"action": "new", "agent": "clerk"}),
            case(3, "0", CONTINUE),
        ]
    )
    assert [(each.invalid, each.joint) for each in outcomes] == [(True, False)] * 3 + [(False, True)]
    assert outcomes[2].agent is False
    score = Score.of(outcomes)
    assert (score.invalid_answers, score.joint_accuracy) == (3, 0.25)


def test_an_outage_is_told_and_counts_as_wrong() -> None:
    outcomes = run([case(0, "0", CONTINUE), case(1, "down", CONTINUE)])
    assert [(each.joint, each.error) for each in outcomes] == [(True, ""), (False, "the provider is down")]
    assert Score.of(outcomes).errors == ("the provider is down",)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_model_that_cannot_be_had_ends_the_run(concurrency: int) -> None:
    cases = [case(number, "down", CONTINUE) for number in range(50)]
    with pytest.raises(ModelError, match="the first 5 cases got no answer: the provider is down"):
        run(cases, concurrency=concurrency)


def test_decisions_at_a_time_are_bounded_and_come_back_in_order() -> None:
    now = most = 0

    async def slow(request: Request) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(3):
            await asyncio.sleep(0)
        now -= 1
        return go_on(int(printed_message(request)) % 5)

    cases = [case(number, str(number), {"action": "continue", "thread": number % 5}) for number in range(40)]
    outcomes = run(cases, slow, concurrency=8)
    assert [each.case_id for each in outcomes] == [each.id for each in cases]
    assert all(each.joint for each in outcomes)
    assert most == 8


def test_each_case_is_told_as_it_is_done() -> None:
    told: list[str] = []
    decider = decider_for(OFFERED, ScriptedModel(obey), ScriptedModel(obey), Settings())
    cases = [case(number, "0", CONTINUE) for number in range(3)]
    asyncio.run(evaluate(iter(cases), OFFERED, decider, done=lambda each: told.append(each.case_id)))
    assert told == ["c0", "c1", "c2"]


def test_a_role_that_cannot_be_one() -> None:
    with pytest.raises(ConfigError, match="a role is a plain name"):
        decider_for({"a b": AgentView("a b", "")}, ScriptedModel(obey), ScriptedModel(obey), Settings())


def test_the_json_of_a_score() -> None:
    outcomes = [
        Outcome("a", ("s",), True, None, True, False, 1000),
        Outcome(
            "b", (), False, False, False, True, 3000, wanted="new clerk", chosen="no valid answer", message="Hello"
        ),
        Outcome("c", (), True, True, True, False, 2000),
    ]
    assert Score.of(outcomes).as_dict() == {
        "n": 3,
        "action_accuracy": 2 / 3,
        "agent_accuracy_given_new": 0.5,
        "joint_accuracy": 2 / 3,
        "joint_interval": list(wilson(2, 3)),
        "strata": {"s": {"n": 1, "joint_accuracy": 1.0, "interval": list(wilson(1, 1))}},
        "calibration": None,
        "confusions": [
            {
                "wanted": "new clerk",
                "chosen": "no valid answer",
                "n": 1,
                "worst": [{"id": "b", "message": "Hello", "confidence": None}],
            }
        ],
        "invalid_answers": 1,
        "latency_ms": {"p50": 2.0, "p95": 3.0},
    }

"""The trained scorer: what its file says of itself, what it makes of messages, what it leaves to the rules."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from benchmarks.routing.dialogues import interleave, read_trades

from fleet.audit.cases import read_cases, read_offered
from fleet.audit.evaluate import decider_for, evaluate
from fleet.audit.scoring import Score
from fleet.llm.offline import rules
from fleet.llm.offline.choice import choose
from fleet.llm.offline.printed import Printed, PrintedAgent, PrintedThread
from fleet.llm.offline.router import OfflineRouter
from fleet.llm.offline.scorer import shipped_scorer
from fleet.llm.offline.weights import load_weights, pack_weights, unpack_weights
from fleet.settings import Settings

DATA = Path(__file__).parents[1] / "data"
PACKAGE = resources.files("fleet.llm.offline")
NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)

GARDEN = PrintedAgent(
    "garden_help",
    "Gives advice on plants, lawns and hedges",
    ("Say when to plant", "Name a weed"),
    ((0, "When do I sow?"),),
)
KITCHEN = PrintedAgent("kitchen_help", "Finds recipes and plans meals", ("Find a recipe", "Plan a week of meals"))
POND = PrintedThread(
    0, "garden_help", summary="User: My hedge is brown.", latest_activity=NOW - timedelta(minutes=2),
    last_assistant_message="It lacks water. Shall I remind you to water it every evening?",
)  # fmt: skip
SOUP = PrintedThread(
    1, "kitchen_help", summary="User: I want to cook a soup for six.", latest_activity=NOW - timedelta(hours=1),
    last_assistant_message="Which vegetables do you have?",
)  # fmt: skip


def asked(message: str, **changed: object) -> Printed:
    return replace(Printed(message, NOW, "en", (GARDEN, KITCHEN), (POND, SOUP)), **changed)


def test_the_weights_say_where_they_come_from_and_stay_small():
    head = load_weights().head
    assert "Schema-Guided Dialogue" in head["trained_on"]
    assert "Kummerfeld" in head["trained_on"]
    assert "CC BY-SA 4.0" in head["licence"]
    assert head["version"] >= 1
    assert head["scores"]
    assert all(0.5 < each <= 1 for each in head["scores"].values())
    assert len(PACKAGE.joinpath("router.weights").read_bytes()) <= 1_000_000
    notice = PACKAGE.joinpath("router.weights.NOTICE").read_text("utf-8")
    for said in ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "Rastogi", "Kummerfeld", "changed"):
        assert said in notice


def test_a_packed_file_is_read_back_and_another_refused():
    rows, scales = np.array([[1, -2], [3, 0]], np.int8), np.array([0.5, 2], np.float16)
    packed = pack_weights({"version": 3}, {"rows": rows, "rows:scales": scales, "none": np.zeros((0, 4), np.float16)})
    found = unpack_weights(packed)
    assert found.head["version"] == 3
    assert found.arrays["rows"].tolist() == [[1, -2], [3, 0]]
    assert found.floats("rows").tolist() == [[0.5, -1], [6, 0]]
    assert found.floats("none").shape == (0, 4)
    with pytest.raises(ValueError, match="no weights of offline:router"):
        unpack_weights(b"PK\x03\x04")
    with pytest.raises(ValueError, match="cut or damaged"):
        unpack_weights(packed[:-5])


@pytest.mark.parametrize(
    ("message", "thread"),
    [("yes please", 0), ("Yes, every evening is fine", 0), ("I have carrots and a few other vegetables", 1)],
)
def test_an_answer_goes_where_it_was_asked_for(message, thread):
    assert choose(asked(message))[0].thread == thread


@pytest.mark.parametrize(
    ("message", "agent"),
    [("I am looking for a recipe with lentils", "kitchen_help"), ("Which plants grow in the shade?", "garden_help")],
)
def test_a_request_alone_goes_to_the_agent_that_does_such_things(message, agent):
    assert choose(asked(message, threads=()))[0].agent == agent


def test_probabilities_are_of_all_choices_and_sum_to_one():
    choices = choose(asked("what about roses?"))
    assert len(choices) == 4
    assert sum(each.probability for each in choices) == pytest.approx(1)
    assert choices == sorted(choices, key=lambda each: -each.probability)
    assert choose(asked("what about roses?")) == choices


def test_the_reason_names_words_that_are_shared_and_how_sure_it_is():
    first = choose(asked("Find me a recipe for a week of meals", threads=()))[0]
    assert first.agent == "kitchen_help"
    assert first.reasons[0].startswith("A fresh request; it fits what kitchen_help does: both speak of ")
    assert "recipe" in first.reasons[0]
    assert first.reasons[1].startswith(f"Sure to {first.probability:.2f}; next best: a new thread with garden_help, ")


def test_an_agent_that_is_known_to_wait_is_answered_sooner():
    def of_soup(status: str, message: str) -> float:
        waiting = asked(message, threads=(POND, replace(SOUP, status=status)))
        return next(each.probability for each in choose(waiting) if each.thread == 1)

    assert of_soup("need_input", "no, leave it") > of_soup("success", "no, leave it")


def test_nothing_to_choose_from_is_no_choice():
    assert choose(asked("hello", agents=(), threads=())) == []


@pytest.mark.parametrize(
    "message", ["Ja, bitte jeden Abend gießen", "да, пожалуйста, каждый вечер", "はい、お願いします"]
)
def test_words_that_it_does_not_know_are_left_to_the_rules(message):
    ours, theirs = choose(asked(message)), rules.choose(asked(message))
    assert {each.thread: round(each.probability, 6) for each in ours} == {
        each.thread: round(each.probability, 6) for each in theirs
    }
    assert ours[0].reasons[0] == theirs[0].reasons[0]


@pytest.mark.parametrize("prior", [0.05, 0.95])
def test_a_prior_moves_the_newest_thread_and_no_other_balance(prior):
    plain = {(each.thread, each.agent): each.probability for each in choose(asked("and the soil?"))}
    moved = {(each.thread, each.agent): each.probability for each in choose(asked("and the soil?"), prior)}
    assert (moved[0, None] > plain[0, None]) is (prior > 0.3)
    assert moved[1, None] / moved[None, "garden_help"] == pytest.approx(plain[1, None] / plain[None, "garden_help"])


def test_the_scorer_is_made_once():
    assert shipped_scorer() is shipped_scorer()


def test_messages_to_agents_of_six_trades_it_never_met():
    """Written before anything was trained, never trained on; 47 were right when these weights were made."""
    cases = DATA / "routing_own_cases.jsonl"
    offered = read_offered(cases, DATA / "routing_own_agents.json")
    router = OfflineRouter()
    decider = decider_for(offered, router, router, Settings.load({}))
    score = Score.of(asyncio.run(evaluate(read_cases(cases, offered), offered, decider)))
    assert score.n == 60
    assert score.invalid_answers == 0
    assert score.joint_accuracy >= 0.75, json.dumps(score.as_dict()["strata"])


def test_it_says_less_sure_what_it_knows_less_about():
    """Of agents it never met it is right half the time; it said 0.77 on average before it was told to doubt."""
    cases = interleave(list(read_trades().values()), 250, random.Random(3))
    said, right = 0.0, 0
    for printed, gold in cases:
        first = choose(printed)[0]
        place = (
            first.thread
            if first.thread is not None
            else len(printed.threads) + [each.role for each in printed.agents].index(first.agent or "")
        )
        said, right = said + first.probability, right + (place == gold)
    assert right / len(cases) > 0.4
    assert said / len(cases) < right / len(cases) + 0.17


def test_conversations_become_cases_that_hold_their_right_answer():
    trades = read_trades()
    for printed, gold in interleave([trades["museum"], trades["theatre"]], 100, random.Random(1)):
        count = len(printed.threads)
        assert gold < count + len(printed.agents)
        ages = [each.latest_activity for each in printed.threads if each.latest_activity]
        assert ages == sorted(ages, reverse=True)
        assert {each.agent for each in printed.threads} <= {each.role for each in printed.agents}
        said = [turns for agents in trades.values() for each in agents for turns in each.dialogues]
        first = {turns[0].lower().strip(".!") for turns in said}
        assert (printed.message.lower().strip(".!") in first) == (gold >= count)

"""Limits: what is reached ends the turn, with a reply that says so and the reason on record."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import events_of, open_fleet, scripted, use

from fleet import App, DialogAgent, Message, Policy, tool
from fleet.errors import ConfigError
from fleet.ledger.events import ModelAnswered, TurnEnded
from fleet.llm.base import Answer, Usage
from fleet.llm.scripted import ScriptedModel

PRICED = "claude-haiku-4-5"  # in the price table: a call below costs 0.0015 US dollars


@tool(effect="read")
async def look() -> str:
    """Look."""
    await asyncio.sleep(0.05)
    return "seen"


@tool(effect="read")
async def dig() -> str:
    """Take longer than a turn of one second."""
    await asyncio.sleep(1.1)
    return "found"


def answer(*blocks):
    return Answer(tuple(blocks) or ({"type": "text", "text": "Done."},), "tool_use" if blocks else "end_turn", PRICED,
                  Usage(1000, 100))  # fmt: skip


async def run(tmp_path, texts, *, app=None, agent=None, work=None, **settings):
    """Say these, one after the other; the turns' ends, and how many model calls there were."""
    helper = DialogAgent(role="helper", tools=[look, dig], policy=agent)
    worker = ScriptedModel(work or (lambda request: answer()), name="test:worker")
    async with open_fleet(
        tmp_path / "home", App(name="small", agents=[helper], policy=app), models=scripted(worker=worker), **settings
    ) as fleet:
        for user, text in texts:
            accepted = await fleet.accept(Message(user, text))
            await fleet.reply_to(accepted.message_id)
        await fleet.idle()
        assert fleet.ledger.verify().ok
        return [each.event for each in events_of(fleet, TurnEnded)], len(events_of(fleet, ModelAnswered))


def looks(request):
    return answer(use("look", f"call_{len(request.messages)}"))


def digs(request):
    return answer(use("dig", f"call_{len(request.messages)}"))


ONE = [("ana", "hi")]
TWO = [("ana", "hi"), ("ana", "hi again")]
NEW = [("ana", "hi"), ("ana", "new thing")]


@pytest.mark.parametrize(
    ("texts", "policy", "work", "reason", "said", "calls"),
    [
        (ONE, Policy(max_steps=4), looks, "no end after 4 steps", "did not get to an end", 2),
        (ONE, Policy(turn_timeout_s=1.0), digs, "no end after 1 s", "did not get to an end", 1),
        (ONE, Policy(turn_tokens=2000), looks, "budget of the turn: 2200 of 2000 tokens are used", "this turn", 2),
        (ONE, Policy(turn_usd=0.002), looks, "budget of the turn: 0.003000 of 0.002000 USD are spent", "this turn", 2),
        (TWO, Policy(job_tokens=1000), None, "budget of the conversation: 1100 of 1000 tokens", "a new one", 1),
        (TWO, Policy(job_usd=0.001), None, "budget of the conversation: 0.001500 of 0.001000 USD", "a new one", 1),
        (NEW, Policy(day_tokens=1000), None, "budget of the day: 1100 of 1000 tokens are used", "tomorrow", 1),
        (NEW, Policy(day_usd=0.001), None, "budget of the day: 0.001500 of 0.001000 USD are spent", "tomorrow", 1),
    ],
)
@pytest.mark.parametrize("whose", ["app", "agent"])
async def test_a_limit_ends_the_turn_and_says_so(tmp_path, texts, policy, work, reason, said, calls, whose):
    ended, asked = await run(tmp_path, texts, work=work, **{whose: policy})
    assert (ended[-1].result, asked) == ("failed", calls)
    assert ended[-1].reason.startswith(reason)
    assert said in ended[-1].reply
    assert [each.result for each in ended[:-1]] == ["success"] * (len(texts) - 1)


async def test_a_new_conversation_has_its_own_budget_and_another_user_their_own_day(tmp_path):
    ended, asked = await run(tmp_path, NEW, agent=Policy(job_tokens=1000))
    assert ([each.result for each in ended], asked) == (["success", "success"], 2)
    ended, asked = await run(tmp_path / "b", [("ana", "hi"), ("bob", "hi")], agent=Policy(day_tokens=1000))
    assert ([each.result for each in ended], asked) == (["success", "success"], 2)


async def test_tomorrow_is_another_day(tmp_path):
    from freezegun import freeze_time

    limits = {"agent": Policy(day_tokens=1000), "turn_timeout_s": 1e6}
    with freeze_time("2026-11-20 23:59:00", ignore=["asyncio"]):
        ended, _ = await run(tmp_path, TWO, **limits)
        assert [each.result for each in ended] == ["success", "failed"]
    with freeze_time("2026-11-21 00:01:00", ignore=["asyncio"]):
        ended, _ = await run(tmp_path, ONE, **limits)
        assert ended[-1].result == "success"


async def test_an_agents_word_wins_over_the_applications_and_both_over_the_settings(tmp_path):
    ended, asked = await run(tmp_path, ONE, work=looks, app=Policy(max_steps=2), agent=Policy(max_steps=6), max_steps=9)
    assert (ended[0].reason, asked) == ("no end after 6 steps", 3)


async def test_a_model_call_has_no_more_time_than_its_turn(tmp_path):
    asked = []

    def work(request):
        asked.append(request.timeout_s)
        return "Done."

    await run(tmp_path, ONE, work=work, agent=Policy(turn_timeout_s=5.0, model_timeout_s=30.0))
    assert 0 < asked[0] <= 5.0


async def test_an_agent_says_how_often_its_turns_are_tried(tmp_path):
    def work(request):
        raise RuntimeError("broken")

    for attempts, policy in ((1, Policy(max_attempts=1)), (3, Policy(max_attempts=3, retry_backoff_s=0.01))):
        home = tmp_path / str(attempts)
        ended, asked = await run(home, ONE, work=work, app=Policy(max_attempts=9), agent=policy, max_attempts=2)
        assert ended[0].reason.startswith(f"to the dead letters after {attempts} attempt")
        assert asked == 0


@pytest.mark.parametrize("wrong", [0, -1, "5", True, 2.5])
def test_a_limit_is_a_number_above_zero(wrong):
    with pytest.raises(ConfigError, match="a policy's max_steps is a whole number above 0"):
        Policy(max_steps=wrong)


@pytest.mark.parametrize("wrong", [-1, False, 0.5])
def test_retries_are_none_or_some(wrong):
    with pytest.raises(ConfigError, match="a policy's model_retries is a whole number above 0"):
        Policy(model_retries=wrong)
    assert Policy(model_retries=0).over(Policy(model_retries=3)).model_retries == 0

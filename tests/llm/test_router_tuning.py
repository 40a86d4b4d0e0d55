"""What a home's labels taught the router: the file, and what it changes."""

import asyncio
from pathlib import Path

import pytest

from fleet.errors import ConfigError
from fleet.llm.base import Answer, Request
from fleet.llm.offline.router import OfflineRouter
from fleet.llm.offline.tuning import TUNING_FILE, Tuning, read_tuning
from fleet.llm.registry import resolve_model
from fleet.settings import Settings

TRANSCRIPT = """\
Current UTC time: 2026-03-10T15:00:00+00:00
Incoming message:
"Which plums are ripe in July?"
Available agents:
- garden_help: Gives advice on plants, lawns and hedges
- kitchen_help: Finds recipes and plans meals
Recent threads:
threads[0]:
agent: garden_help
"User: My hedge is brown. Agent: It lacks water."
latest_activity: 2026-03-10 14:58:00+00:00
last_assistant_message: "Shall I remind you to water it every evening?"
"""


def ask(router: object) -> Answer:
    request = Request("rules", ({"role": "user", "content": TRANSCRIPT},), purpose="route")
    return asyncio.run(router.complete(request))  # type: ignore[attr-defined]


def shares(answer: Answer) -> dict[object, float]:
    return {each.get("agent", each.get("thread")): each["probability"] for each in answer.extra["choices"]}


def test_a_role_gains_by_what_was_learned_for_it() -> None:
    plain = shares(ask(OfflineRouter()))
    tuned = ask(OfflineRouter(tuning=Tuning(agents={"kitchen_help": 9.0})))
    assert "agent='kitchen_help'" in tuned.text.replace('"', "'")
    assert shares(tuned)["kitchen_help"] > max(0.9, plain["kitchen_help"])
    assert sum(shares(tuned).values()) == pytest.approx(1, abs=0.001)


def test_the_threshold_between_carrying_on_and_starting_moves() -> None:
    assert "dispatch_to(threads[0])" in ask(OfflineRouter(tuning=Tuning(new=-12.0))).text
    assert "start_new_thread(" in ask(OfflineRouter(tuning=Tuning(new=12.0))).text


def test_sharpness_changes_how_sure_it_is_and_not_what_it_says() -> None:
    plain, blunt = ask(OfflineRouter()), ask(OfflineRouter(tuning=Tuning(sharpness=0.3)))
    assert blunt.extra["confidence"] < plain.extra["confidence"]
    assert max(shares(blunt), key=lambda each: shares(blunt)[each]) == max(
        shares(plain), key=lambda each: shares(plain)[each]
    )


def test_who_decided_is_on_record() -> None:
    tuning = Tuning(new=0.1)
    assert ask(OfflineRouter(tuning=tuning)).extra["tuned"] == tuning.id
    assert "tuned" not in ask(OfflineRouter()).extra


def test_a_prior_that_is_set_wins_over_the_one_learned() -> None:
    low, high = Tuning(prior=0.01), Tuning(prior=0.99)
    assert shares(ask(OfflineRouter(tuning=low)))[0] < shares(ask(OfflineRouter(tuning=high)))[0]
    assert shares(ask(OfflineRouter(0.5, low))) == shares(ask(OfflineRouter(0.5, high)))


@pytest.mark.parametrize("name", ["offline:router", "offline-first:offline:router"])
def test_the_home_has_the_file_and_the_model_reads_it(tmp_path: Path, name: str) -> None:
    tuning = Tuning(prior=0.4, new=-0.25, agents={"garden_help": 0.5}, labels=40)
    (tmp_path / TUNING_FILE).write_text(tuning.text)
    assert read_tuning(tmp_path) == tuning
    settings = Settings(home=tmp_path, router_sure=0.01)
    assert ask(resolve_model(name, settings)).extra["tuned"] == tuning.id
    (tmp_path / TUNING_FILE).unlink()
    assert "tuned" not in ask(resolve_model(name, settings)).extra


@pytest.mark.parametrize("text", ["", "{", '{"sharpness": 0}', '{"prior": 2}', '{"fleet_tune": 2}', '{"gain": 1}'])
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / TUNING_FILE).write_text(text)
    with pytest.raises(ConfigError, match=r"router\.json is no tuning as `fleet tune` writes it") as caught:
        resolve_model("offline:router", Settings(home=tmp_path))
    assert "\n" not in caught.value.message

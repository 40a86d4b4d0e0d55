"""`offline-first`: what offline:router is sure of costs no call; the rest is the other model's."""

import pytest

from fleet.errors import ConfigError, ModelUnavailableError
from fleet.llm.base import Answer, Request
from fleet.llm.offline.first import OfflineFirst
from fleet.llm.offline.router import OfflineRouter
from fleet.llm.registry import FAST_MODEL, resolve_model
from fleet.llm.scripted import ScriptedModel
from fleet.settings import Settings

TRANSCRIPT = """\
Current UTC time: 2026-03-10T15:00:00+00:00
Incoming message:
"{message}"
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
HOSTED = "```python\n# As the model said.\ndispatch_to(threads[0])\n```"


def request(message: str, *more: dict[str, str]) -> Request:
    return Request("rules", ({"role": "user", "content": TRANSCRIPT.format(message=message)}, *more), purpose="route")


async def asked(message: str, sure: float, *more: dict[str, str]) -> tuple[Answer, int]:
    model = ScriptedModel([HOSTED])
    answer = await OfflineFirst(OfflineRouter(), model, sure).complete(request(message, *more))
    return answer, len(model.requests)


async def test_what_it_is_sure_of_asks_no_model():
    answer, calls = await asked("yes please", 0.6)
    assert (answer.model, calls) == ("offline:router", 0)
    assert answer.extra["confidence"] >= 0.6


async def test_what_it_is_unsure_of_goes_to_the_model_and_its_opinion_stays_on_record():
    answer, calls = await asked("and the roses?", 1.0)
    assert (answer.text, calls) == (HOSTED, 1)
    assert answer.extra["first"] == (await OfflineRouter().complete(request("and the roses?"))).extra
    assert 0 < answer.extra["first"]["confidence"] < 1


async def test_a_corrective_retry_is_the_models():
    told = ({"role": "assistant", "content": "dispatch_to(threads[9])"}, {"role": "user", "content": "Refused."})
    answer, calls = await asked("yes please", 0.1, *told)
    assert (answer.text, calls) == (HOSTED, 1)


async def test_a_failure_is_the_models_own():
    def fail(_: Request) -> str:
        raise ModelUnavailableError("scripted: down")

    with pytest.raises(ModelUnavailableError):
        await OfflineFirst(OfflineRouter(), ScriptedModel(fail), 1.0).complete(request("and the roses?"))


async def test_its_name_says_who_is_asked_about_the_rest():
    settings = Settings.load({"ANTHROPIC_API_KEY": "sk-ant-x", "FLEET_ROUTER_SURE": "0.5", "FLEET_ROUTER_PRIOR": "0.6"})
    for name, full in (("offline-first", FAST_MODEL), ("offline-first:anthropic:claude-x", "anthropic:claude-x")):
        model = resolve_model(name, settings)
        assert model.name == f"offline-first:{full}"
        await model.aclose()


@pytest.mark.parametrize("name", ["offline-first", "offline-first:anthropic:x"])
def test_without_a_key_there_is_nobody_to_ask(name):
    with pytest.raises(ConfigError, match="needs a key"):
        resolve_model(name, Settings.load({}))


@pytest.mark.parametrize("variable", ["FLEET_ROUTER_SURE", "FLEET_ROUTER_PRIOR"])
def test_a_share_is_at_most_one(variable):
    with pytest.raises(ConfigError, match=f"{variable} must be at most 1"):
        Settings.load({variable: "1.5"})

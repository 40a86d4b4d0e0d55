"""The demo's words fit its code: prompts, warmup, examples and tools are joined by role."""

import re

import pytest

from fleet.demo import DAY, app
from fleet.llm.offline.worker_read import read_tools
from fleet.llm.offline.worker_scripts import read_script
from fleet.prompting.examples import examples_of
from fleet.prompting.prompts import default_prompt, render_prompt
from fleet.runtime.load import load_catalog
from fleet.sandbox import parse_action

ROLES = ("information_retriever", "schedule_assistant", "preferences_assistant", "sounding_board")
CATALOG = load_catalog(app)
STEP = re.compile(r"^(User|Call|Reply|Ask(?: \w+)?): (.+)$", re.M)


def test_the_roles_are_the_guides():
    assert tuple(app.agents) == ROLES
    assert [agent.KIND for agent in app.agents.values()] == ["dialog", "dialog", "dialog", "supervised"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_its_own_prompt_that_names_its_tools_and_no_others(role):
    definition = CATALOG.roles[role]
    assert definition.prompt.source == f"prompts/{role}.md"
    assert definition.warmup.source == "warmup/worker.py"
    prompt = render_prompt(definition, CATALOG)
    assert default_prompt("worker") not in prompt
    own = {tool.name for tool in app.agents[role].tools}
    others = {tool.name for agent in app.agents.values() for tool in agent.tools} - own
    assert all(f"`{name}(" in prompt for name in own)
    assert not [name for name in others if name in prompt]
    assert "context" not in "".join(re.findall(r"^- `.*?`", prompt, re.M))


@pytest.mark.parametrize("role", ROLES)
def test_every_example_demonstrates_tools_of_its_role(role):
    examples = examples_of(CATALOG.roles[role])
    assert list(examples) == list(range(len(examples)))
    assert len(examples) >= 2
    tools = read_tools([tool.as_block() for tool in app.agents[role].tools])
    for example in examples.values():
        assert example.request
        script = read_script(str(example.id), example.name, STEP.findall(example.body), tools)
        assert script is not None, example.name
        for before, stage in zip((None, *script.stages), script.stages, strict=False):
            asks = all(call.asks for call in stage.calls if call.acts)
            assert not stage.acts or (before is not None and (asks or before.reply.endswith("?"))), example.name
        known = {slot.name for slot in script.slots} | {"result", "change", *tools}
        used = {name for stage in script.stages for name in re.findall(r"\{(\w+)", stage.reply)}
        assert used <= known, example.name


def test_the_dispatchers_prompt_is_static_and_shows_answers_that_are_accepted():
    prompt = render_prompt(CATALOG.dispatcher, CATALOG)
    blocks = re.findall(r"^```python\n.*?^```$", prompt, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        printed = {role: tuple(examples_of(CATALOG.roles[role])) for role in ROLES}
        assert parse_action(block, n_threads=1, agents=ROLES, printed_examples=printed)
    assert [int(number) for number in re.findall(r"^(\d)\. \*\*", prompt, re.M)] == [1, 2, 3, 4, 5, 6, 7]


def test_the_day_is_the_day_that_was_asked_for():
    assert len(DAY) >= 14
    assert {line.user for line in DAY} == {"ana", "ben"}
    assert "Friday is better" in [line.text for line in DAY]
    assert {line.agent for line in DAY} == set(ROLES)
    starts = [(line.user, line.agent) for line in DAY if line.continues is None]
    assert max(starts.count(each) for each in starts) >= 2  # two threads with the same agent
    for number, line in enumerate(DAY):
        if line.continues is not None:
            start = DAY[line.continues]
            assert line.continues < number
            assert (start.user, start.agent, start.continues) == (line.user, line.agent, None)

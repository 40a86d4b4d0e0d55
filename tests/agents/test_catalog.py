"""Agents joined with their files by role: what code says wins, then files, then defaults."""

from __future__ import annotations

import pytest

from fleet import App, DialogAgent, MessageDispatcher
from fleet.errors import ConfigError, WarmupError
from fleet.prompting.examples import examples_of
from fleet.prompting.prompts import render_prompt
from fleet.runtime.load import load_catalog


def look(q: str) -> str:
    """Look something up. Quickly."""
    return q


def catalog(tmp_path, *agents, **options):
    return load_catalog(App(name="shop", agents=agents or [DialogAgent(role="helper")], data=tmp_path, **options))


def put(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_code_wins_over_files_and_files_over_defaults(tmp_path):
    bare = catalog(tmp_path).roles["helper"]
    assert (bare.prompt.source, bare.warmup.source, bare.description) == ("<default>", "<default>", "")
    put(tmp_path, "prompts/helper.md", "ROLE: Helper.\nGOAL: Help with shifts.\n")
    put(tmp_path, "warmup/worker.py", "print('for all')")
    filed = catalog(tmp_path).roles["helper"]
    assert (filed.prompt.source, filed.warmup.source) == ("prompts/helper.md", "warmup/worker.py")
    assert filed.description == "Help with shifts."
    put(tmp_path, "warmup/helper.py", "print('for one')")
    assert catalog(tmp_path).roles["helper"].warmup.source == "warmup/helper.py"
    coded = DialogAgent(role="helper", prompt="P", warmup="print(1)", description="D")
    found = catalog(tmp_path, coded).roles["helper"]
    assert (found.prompt.body, found.warmup.body, found.description) == ("P", "print(1)", "D")
    assert found.prompt.source == "<code>"


def test_capabilities_default_to_what_the_tools_say_of_themselves(tmp_path):
    found = catalog(tmp_path, DialogAgent(role="helper", tools=[look])).roles["helper"]
    assert found.capabilities == ("Look something up",)


def test_the_hash_changes_with_whatever_is_declared(tmp_path):
    hashes = {catalog(tmp_path).roles["helper"].hash}
    for change in (
        {"description": "x"},
        {"tools": [look]},
        {"model": "offline:worker"},
        {"prompt": "p"},
        {"warmup": "1"},
    ):
        hashes.add(catalog(tmp_path, DialogAgent(role="helper", **change)).roles["helper"].hash)
    put(tmp_path, "examples_db/helper/0-x.md", "---\nname: X\n---\nbody")
    hashes.add(catalog(tmp_path).roles["helper"].hash)
    assert len(hashes) == 7
    assert catalog(tmp_path).roles["helper"].hash in hashes


def test_examples_have_their_number_and_front_matter(tmp_path):
    put(tmp_path, "examples_db/helper/10-late.md", "---\nname: Late\n---\nUser: late")
    put(
        tmp_path, "examples_db/helper/2-swap.md", "---\r\nname: Swap a shift\r\nrequest: swap?\r\n---\r\nUser: swap\r\n"
    )
    found = examples_of(catalog(tmp_path).roles["helper"])
    assert [(number, each.name, each.request, each.body) for number, each in found.items()] == [
        (2, "Swap a shift", "swap?", "User: swap"),
        (10, "Late", "", "User: late"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "error", "why"),
    [
        ("examples_db/helper/swap.md", "---\nname: X\n---\n", ConfigError, "named <number>-<name>.md"),
        ("examples_db/helper/1-a.md", "no front matter", ConfigError, "begins with front-matter"),
        ("examples_db/helper/1-a.md", "---\nname\n---\n", ConfigError, "front-matter line 'name' is no"),
        ("examples_db/helper/1-a.md", "---\nrequest: x\n---\n", ConfigError, "needs a `name:`"),
        ("prompts/helper.md", b"\xff\xfe", ConfigError, "not UTF-8 text"),
        ("prompts/helper.md", "{{ missing }}", ConfigError, "prompts/helper.md of helper: 'missing' is undefined"),
        ("prompts/helper.md", "line\n{% for %}", ConfigError, "prompts/helper.md of helper, line 2"),
        ("prompts/dispatcher.md", "{{ tools[0].name }}", ConfigError, "prompts/dispatcher.md of dispatcher"),
        ("warmup/helper.py", "print(\n", WarmupError, "warmup/helper.py, line 1"),
        ("warmup/dispatcher.py", "if:\n", WarmupError, "warmup/dispatcher.py, line 1"),
        ("warmup/worker.py", "a\x00b", WarmupError, "warmup/worker.py"),
    ],
)
def test_a_file_that_does_not_fit_is_named_in_one_line(tmp_path, name, text, error, why):
    put(tmp_path, name, text)
    with pytest.raises(error) as refused:
        catalog(tmp_path)
    assert why in refused.value.message
    assert "\n" not in refused.value.message


def test_two_examples_of_one_number_are_refused(tmp_path):
    put(tmp_path, "examples_db/helper/1-a.md", "---\nname: A\n---\n")
    put(tmp_path, "examples_db/helper/1-b.md", "---\nname: B\n---\n")
    with pytest.raises(ConfigError, match=r"1-a\.md has the number 1 too"):
        catalog(tmp_path)


def test_a_data_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no data folder"):
        catalog(tmp_path / "nowhere")


def test_a_prompt_is_rendered_with_what_is_declared(tmp_path):
    prompt = (
        "{{ app }} / {{ role }} / {{ description }}\n"
        "{% for tool in tools %}{{ tool.signature }} ({{ tool.effect }}): {{ tool.description }}\n{% endfor %}"
        "{% for agent in agents %}{{ agent.role }}: {{ agent.description }}\n{% endfor %}"
    )
    agent = DialogAgent(role="helper", prompt=prompt, description="Helps", tools=[look])
    found = catalog(tmp_path, agent)
    shown = render_prompt(found.roles["helper"], found).splitlines()
    assert shown[0] == "shop / helper / Helps"
    assert shown[1].startswith("look(q: ")
    assert shown[1].endswith(" (external): Look something up. Quickly.")
    assert shown[2] == "helper: Helps"


def test_the_default_prompts_are_rendered_for_anything(tmp_path):
    found = catalog(tmp_path, DialogAgent(role="helper", tools=[look]), DialogAgent(role="other"))
    assert "look(" in render_prompt(found.roles["helper"], found)
    assert "Your tools" not in render_prompt(found.roles["other"], found)
    routing = render_prompt(found.dispatcher, found)
    assert routing.index("1. An answer") < routing.index("7. Give `default_example_id`")


def test_the_dispatcher_is_joined_too(tmp_path):
    put(tmp_path, "prompts/dispatcher.md", "Route.")
    put(tmp_path, "warmup/dispatcher.py", "print(message)")
    found = catalog(tmp_path).dispatcher
    assert (found.prompt.body, found.warmup.source) == ("Route.", "warmup/dispatcher.py")
    coded = MessageDispatcher(prompt="Mine", warmup="print(1)")
    assert catalog(tmp_path, dispatcher=coded).dispatcher.prompt.body == "Mine"

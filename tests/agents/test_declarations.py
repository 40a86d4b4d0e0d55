"""Agents, dispatchers and applications as code declares them, and what is refused at once."""

from __future__ import annotations

import sys

import pytest

from fleet import Agent, App, DialogAgent, MessageDispatcher, SupervisedAgent, create_tool, db0, memo
from fleet.agents.app import import_app
from fleet.errors import ConfigError


def look(q: str) -> str:
    """Look something up. Quickly."""
    return q


@pytest.mark.parametrize("role", ["", "a b", "a/b", "../x", "a:b", "x.md", 'a"b', "a\nb", "a`b"])
def test_a_role_is_a_plain_name(role):
    with pytest.raises(ConfigError, match="a role is a plain name"):
        DialogAgent(role=role)


def test_the_guides_spellings_of_options_are_taken():
    agent = SupervisedAgent(role="a", _system_prompt="Hello", _tools=[look], _metadata={"MODEL": "offline:worker"})
    assert (agent.prompt, agent.tools[0].name, agent.model) == ("Hello", "look", "offline:worker")
    assert SupervisedAgent(role="a", system_prompt="x").prompt == "x"
    with pytest.raises(ConfigError, match="an agent has no option 'colour'"):
        DialogAgent(role="a", colour="red")


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: DialogAgent(role="a", tools=[look, look]), "two tools share the name 'look'"),
        (lambda: DialogAgent(role="a", send_message="mail"), "send_message must be a function, not str"),
        (lambda: App(name="x", agents=[]), "declares no agents"),
        (lambda: App(name="x", agents=["a"]), "'a' is no agent"),
        (lambda: App(name="x", agents=[DialogAgent(role="a"), DialogAgent(role="a")]), "two agents have the role 'a'"),
        (lambda: App(name="x", agents=[DialogAgent(role="a")], default_agent="b"), "default_agent 'b' is none of a"),
        (lambda: create_tool(tool_name="a b", callable=look, docstring="", context={}), "must be an identifier"),
        (lambda: memo(type("Loose", (), {})), "needs an id"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(build, why):
    with pytest.raises(ConfigError) as refused:
        build()
    assert why in refused.value.message
    assert "\n" not in refused.value.message


def test_memo_leaves_declarations_as_they_are():
    @db0.memo
    class Mine(DialogAgent):
        pass

    @memo
    class MyDispatcher(MessageDispatcher):
        pass

    assert isinstance(Mine(role="a"), Agent)
    assert isinstance(MyDispatcher(), MessageDispatcher)


def test_an_applications_root_is_made_once_and_again_after_a_failure():
    made = []

    @db0.memo(singleton=True)
    class Root:
        def __init__(self, name="x"):
            made.append(name)
            if name == "bad":
                raise ValueError(name)
            self.name = name

    with pytest.raises(ValueError, match="bad"):
        Root("bad")
    assert Root("good") is Root("other")
    assert Root().name == "good"
    assert made == ["bad", "good"]


def test_a_verb_has_its_name_help_and_signature():
    names = {}
    create_tool(tool_name="find", callable=look, docstring="Find it.", context=names)
    assert names["find"]("x") == "x"
    assert (names["find"].__name__, names["find"].__doc__) == ("find", "Find it.")


def test_a_dispatchers_model_has_a_provider():
    dispatcher = MessageDispatcher()
    dispatcher._metadata = {"MODEL": "fast-routing-model"}
    assert dispatcher.model == ""
    dispatcher._metadata = {"MODEL": "anthropic:claude-haiku-4-5"}
    assert dispatcher.model == "anthropic:claude-haiku-4-5"
    assert MessageDispatcher(model="offline:router").model == "offline:router"


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "own_app.py").write_text(
        "from fleet import App, DialogAgent\n"
        "app = App(name='own', agents=[DialogAgent(role='a')])\n"
        "def build():\n    return app\n"
        "number = 5\n"
    )
    (tmp_path / "needy_app.py").write_text("import not_installed_anywhere\n")
    yield
    for name in ("own_app", "needy_app"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("module")
def test_an_application_is_found_by_its_path():
    assert import_app("own_app:app").name == "own"
    assert import_app("own_app:build").name == "own"


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("own_app", "named MODULE:ATTR"),
        (":app", "named MODULE:ATTR"),
        ("nowhere_app:app", "there is no module 'nowhere_app'"),
        ("own_app.sub:app", "there is no module 'own_app.sub'"),
        ("needy_app:app", "needs the module 'not_installed_anywhere'"),
        ("own_app:nothing", "has no attribute 'nothing'"),
        ("own_app:number", "number is a int, not an App"),
    ],
)
def test_a_wrong_path_says_which_half_is_wrong(path, why):
    with pytest.raises(ConfigError) as refused:
        import_app(path)
    assert why in refused.value.message
    assert "\n" not in refused.value.message

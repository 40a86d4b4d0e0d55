"""`fleet check`: each join that does not hold fails its own check, and no other."""

from __future__ import annotations

import json

import pytest
from support.commands import call, refused, run

from fleet import App, DialogAgent, MessageDispatcher, Settings, create_tool, tool
from fleet.cli.joins import check_app


@tool(effect="read")
def look_up(what: str, limit: int = 3) -> str:
    """Look something up."""
    return what * limit


FILES = {
    "prompts/dispatcher.md": "Route for {{ app }}.\n```python\ndispatch_to(threads[0])\n```\n",
    "prompts/helper.md": "GOAL: Helps with everything.\n`look_up(what=…)` finds, `show_example(id)` shows.\n",
    "warmup/dispatcher.py": 'print("Incoming message:")\nprint(message)\n',
    "warmup/worker.py": 'print("User:")\nprint(user)\nlist_of_examples()\n',
    "examples_db/helper/0-find.md": "---\nname: Find it\n---\nUser: Find it\nCall: look_up(what={what})\n",
}
OWN_SECTIONS = """\
threads = recent_chat_threads(count=3)
print("Incoming message:")
print(message)
print("Available agents:")
for role, agent in find_agents().items():
    print(f"- {role}: {agent.description}")
print("Recent threads:")
for i, thread in enumerate(threads):
    print(f"threads[{i}]:")
    print(thread)
    print("last_assistant_message:", thread.last_assistant_message)
"""


def _app(folder, files=None, *, agent=None, **app):
    for name, text in {**FILES, **(files or {})}.items():
        if text is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    given = agent or DialogAgent(role="helper", tools=[look_up], send_message=lambda text: None)
    return App(name="checked", agents=[given], data=folder, **app)


def _failed(app, **settings):
    return [
        (f"{each.subject}: {each.check}", each.detail) for each in check_app(app, Settings(**settings)) if not each.ok
    ]


def test_an_application_that_fits_has_no_failed_check(tmp_path):
    found = list(check_app(_app(tmp_path), Settings()))
    assert [each.detail for each in found if not each.ok] == []
    assert {each.subject for each in found} == {"application", "dispatcher", "helper", "models"}


@pytest.mark.parametrize(
    ("files", "check", "words"),
    [
        ({"prompts/helprr.md": "x"}, "application: orphans", "prompts/helprr.md belongs to no role (helper)"),
        ({"warmup/nobody.py": "x"}, "application: orphans", "warmup/nobody.py"),
        ({"examples_db/nobody/0-x.md": "x"}, "application: orphans", "examples_db/nobody/0-x.md"),
        ({"examples_db/helper/first.md": "x"}, "application: files", "first.md"),
        ({"prompts/dispatcher.md": "{{ nobody }}"}, "dispatcher: prompt", "'nobody' is undefined"),
        ({"prompts/helper.md": "GOAL: x.\n{% if %}"}, "helper: prompt", "line 2"),
        ({"prompts/dispatcher.md": "`dispatch(threads[0])`"}, "dispatcher: verbs", "dispatch(…) is no verb"),
        ({"prompts/dispatcher.md": "`start_new_thread(role='x')`"}, "dispatcher: verbs", "no argument 'role'"),
        (
            {"prompts/dispatcher.md": "`look_up(what='x')`"},
            "dispatcher: verbs",
            "look_up(…) is no verb of the dispatcher",
        ),
        ({"prompts/helper.md": "GOAL: x.\n`lookup(what='x')`"}, "helper: verbs", "lookup(…) is no verb of helper"),
        ({"prompts/helper.md": "GOAL: x.\n`look_up(query: str)`"}, "helper: verbs", "no argument 'query'"),
        ({"prompts/helper.md": "Helps."}, "helper: description", "cannot know what it is for"),
        (
            {"examples_db/helper/1-more.md": "---\nname: More\n---\nCall: look_down(what='x')\n"},
            "helper: examples",
            "examples_db/helper/1-more.md: look_down(…) is no verb of helper",
        ),
    ],
)
def test_a_file_that_does_not_fit_fails_its_check_alone(tmp_path, files, check, words):
    ((failed, detail),) = _failed(_app(tmp_path, files))
    assert failed == check
    assert words in detail


@pytest.mark.parametrize(
    ("files", "checks"),
    [
        ({"warmup/dispatcher.py": "print("}, {"dispatcher: warmup", "dispatcher: dry run"}),
        ({"warmup/dispatcher.py": "print(mesage)"}, {"dispatcher: dry run"}),
        ({"warmup/dispatcher.py": 'print("Incoming message:")\nprint(message.text.raw)'}, {"dispatcher: dry run"}),
        ({"warmup/dispatcher.py": 'print("Message:", message)'}, {"dispatcher: dry run"}),
        ({"examples_db/helper/0-find.md": "no front-matter"}, {"helper: examples", "dispatcher: dry run"}),
        ({"warmup/worker.py": "print("}, {"helper: warmup", "helper: dry run"}),
        ({"warmup/worker.py": "print(usr)"}, {"helper: dry run"}),
        ({"warmup/helper.py": "raise SystemExit(3)"}, {"helper: dry run"}),
    ],
)
def test_warmup_is_compiled_and_tried_on_a_message_that_forges_lines(tmp_path, files, checks):
    assert {failed for failed, _ in _failed(_app(tmp_path, files))} == checks


def test_threads_and_agents_that_an_application_prints_itself_must_read_back(tmp_path):
    assert _failed(_app(tmp_path, {"warmup/dispatcher.py": OWN_SECTIONS})) == []
    raw = OWN_SECTIONS.replace("print(thread)", "print(thread.summary.raw)")
    ((check, detail),) = _failed(_app(tmp_path, {"warmup/dispatcher.py": raw}))
    assert check == "dispatcher: dry run"
    assert "read back" in detail or "reads back" in detail


def test_what_the_dispatchers_code_promises_must_be_there(tmp_path):
    class Dispatcher(MessageDispatcher):
        def init_context(self):
            super().init_context()
            create_tool(tool_name="own_verb", callable=lambda user: None, docstring="", context=self._X__context)

    dispatcher = Dispatcher(start_new_thread=lambda agent, language: None, dispatch_to=lambda thread: None)
    dispatcher.append_tool("find_agents")
    dispatcher.append_tool("own_verb")
    dispatcher.append_tool("other_verb")
    failed = dict(_failed(_app(tmp_path, {"prompts/dispatcher.md": "`own_verb(user)`"}, dispatcher=dispatcher)))
    assert set(failed) == {"dispatcher: actions", "dispatcher: tool names"}
    assert "start_new_thread takes (agent, language)" in failed["dispatcher: actions"]
    assert "'other_verb'" in failed["dispatcher: tool names"]
    assert "own_verb" not in failed["dispatcher: tool names"]


def test_a_dispatcher_whose_own_code_raises_is_a_failed_check(tmp_path):
    def history(count):
        raise ValueError("no store here")

    class Raising(MessageDispatcher):
        def init_context(self):
            raise KeyError("nothing")

    reading = 'threads = recent_chat_threads(count=3)\nprint("Incoming message:")\nprint(message)\n'
    app = _app(tmp_path, {"warmup/dispatcher.py": reading}, dispatcher=MessageDispatcher(chat_history=history))
    ((check, detail),) = _failed(app)
    assert (check, "no store here" in detail) == ("dispatcher: dry run", True)
    ((check, detail),) = _failed(_app(tmp_path, dispatcher=Raising()))
    assert (check, detail) == ("dispatcher: context", "KeyError: 'nothing'")


def test_a_channel_that_asks_for_what_a_reply_does_not_have(tmp_path):
    def send(text, colour):
        return None

    ((check, detail),) = _failed(_app(tmp_path, agent=DialogAgent(role="helper", tools=[look_up], send_message=send)))
    assert check == "application: channels"
    assert "'colour'" in detail


def test_models_must_resolve_and_it_says_for_whom(tmp_path):
    failed = _failed(_app(tmp_path), router_model="anthropic:claude-haiku-4-5", worker_model="gpt")
    assert [check for check, _ in failed] == ["models: anthropic:claude-haiku-4-5", "models: gpt"]
    assert "set ANTHROPIC_API_KEY" in failed[0][1]


def test_the_command_exits_0_for_the_demo_and_1_for_a_failed_check_and_2_for_no_application(tmp_path):
    done = call("check")
    assert done.returncode == 0
    assert done.stdout.endswith("checks of fleet.demo:app: all hold\n")
    (tmp_path / "unfit.py").write_text(
        "from fleet import App, DialogAgent\n"
        "app = App(name='unfit', agents=[DialogAgent(role='helper', description='Helps.', prompt='`nothing(1)`')])\n"
    )
    done = run("check", "--app", "unfit:app", "--json", modules=(tmp_path,))
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert found["ok"] is False
    (failed,) = [each for each in found["checks"] if not each["ok"]]
    assert (failed["subject"], failed["check"]) == ("helper", "verbs")
    assert "nothing(…)" in failed["detail"]
    assert "there is no module" in refused(call("check", "--app", "nowhere:app"))

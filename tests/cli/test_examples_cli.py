"""`fleet examples`: what there is, and a finished job made into an example that works for other days too."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.commands import call, refused

from fleet import App, Fleet, Message, Settings
from fleet.agents.app import import_app
from fleet.errors import ConfigError
from fleet.prompting.examples import add_example

ROOT = Path(__file__).parents[2]
APPLICATION = """
from pathlib import Path
from fleet import App
from fleet.demo import app as demo

app = App(
    name="crafted", agents=demo.agents.values(), dispatcher=demo.dispatcher, data=Path(__file__).parent / "words",
    preferred_language_for=demo.preferred_language_for,
)
"""
MOVED = """\
---
name: I need to move my Thursday shift to another day
request: I need to move my Thursday shift to another day
job: {job}
---
User: I need to move my Thursday shift to another day
Call: find_availability(day={{day}})
Reply: {{result}} Which day would suit you instead?
User: Friday is better
Call: propose_time_change(day={{day}}, new_day={{new_day}})
Reply: {{result}}
Call: submit_request(day={{day}}, new_day={{new_day}})
Reply: {{result}}
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The reference application over its own copy of the words."""
    for folder in ("prompts", "warmup", "examples_db"):
        shutil.copytree(ROOT / folder, tmp_path / "words" / folder)
    (tmp_path / "crafted_app.py").write_text(APPLICATION, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield import_app("crafted_app:app")
    del sys.modules["crafted_app"]


def talk(app: App, home: Path, *texts: str) -> list[tuple[str, str]]:
    """Say these one after another; the job and the reply of each."""

    async def live() -> list[tuple[str, str]]:
        async with Fleet(app, Settings(home=home)) as fleet:
            found = []
            for text in texts:
                sent = await fleet.accept(Message("ana", text))
                reply = await fleet.reply_to(sent.message_id)
                decided = json.loads(call("why", sent.message_id, "--home", home, "--json").stdout)
                found.append((decided["decision"]["job_id"], str(reply)))
            return found

    return asyncio.run(live())


def test_list_and_show_say_what_there_is(tmp_path):
    page = call("examples", "list", "--home", tmp_path / "none")
    assert page.returncode == 0
    assert "schedule_assistant" in page.stdout
    assert "Move a shift to another day" in page.stdout
    rows = call("examples", "list", "--agent", "schedule_assistant", "--home", tmp_path, "--json").stdout.splitlines()
    assert [(row["id"], row["source"]) for row in map(json.loads, rows)] == [
        (0, "examples_db/schedule_assistant/0-move-a-shift.md"), (1, "examples_db/schedule_assistant/1-free-days.md"),
    ]  # fmt: skip
    file = ROOT / "examples_db" / "schedule_assistant" / "0-move-a-shift.md"
    assert call("examples", "show", "schedule_assistant", 0, "--home", tmp_path).stdout == file.read_text("utf-8")
    why = refused(call("examples", "show", "schedule_assistant", 9, "--home", tmp_path))
    assert why == "schedule_assistant has no example 9; it has 0, 1"
    assert "no agent 'nobody' is declared" in refused(call("examples", "list", "--agent", "nobody"))


def test_a_finished_job_becomes_an_example_that_works_for_other_days(tmp_path, app):
    home, folder = tmp_path / "home", tmp_path / "words" / "examples_db" / "schedule_assistant"
    said = talk(app, home, "I need to move my Thursday shift to another day", "Friday is better", "yes")
    job = said[0][0]
    done = call("examples", "add", "--job", job, "--home", home)
    assert done.returncode == 0, done.stderr
    made = folder / "2-i-need-to-move-my-thursday-shift-to-anot.md"
    assert done.stdout == f"schedule_assistant has example 2 now: {made}\n"
    assert made.read_text("utf-8") == MOVED.format(job=job)
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    assert call("check", "--app", "crafted_app:app").returncode == 0
    for old in ("0-move-a-shift.md", "1-free-days.md"):
        (folder / old).unlink()
    replies = [
        reply
        for _, reply in talk(app, tmp_path / "other", "I have to move my Monday shift to another day",
                             "Tuesday is better", "yes")
    ]  # fmt: skip
    assert replies[0].endswith("Which day would suit you instead?")
    assert replies[1].endswith("?")
    assert replies[1].count("?") == 1
    assert replies[2].startswith("Submitted as R-")


def test_a_number_is_never_used_again(tmp_path, app):
    home, folder = tmp_path / "home", tmp_path / "words" / "examples_db" / "schedule_assistant"
    (job, _), *_ = talk(app, home, "Am I free on Friday?")
    assert json.loads(call("examples", "add", "--job", job, "--home", home, "--json").stdout)["id"] == 2
    talk(app, home, "Am I free on Tuesday?")  # a start with the new example: it is declared on record
    for gone in ("0-move-a-shift.md", "1-free-days.md", "2-am-i-free-on-friday.md"):
        (folder / gone).unlink()
    done = call("examples", "add", "--job", job, "--home", home, "--json", "--name", "Fri/Sat: free")
    added = json.loads(done.stdout)
    assert (added["role"], added["id"], Path(added["file"]).name) == ("schedule_assistant", 3, "3-fri-sat-free.md")


def test_what_is_no_finished_work_is_refused_and_leaves_nothing(tmp_path, app):
    home, folder = tmp_path / "home", tmp_path / "words" / "examples_db"
    before = sorted(folder.rglob("*"))
    (asks, _), (greets, _) = talk(app, home, "I need to move my Thursday shift to another day", "Who are you?")
    why = refused(call("examples", "add", "--job", asks, "--home", home))
    assert why == (
        f"no example was made of {asks}: the job has not come to its end as success; an example shows finished work"
    )
    why = refused(call("examples", "add", "--job", "job_nothing", "--home", home))
    assert why == "there is no thread 'thr_nothing'; `fleet threads list` shows them"
    assert sorted(folder.rglob("*")) == before
    assert greets


def test_redacted_it_holds_no_names_and_addresses(tmp_path, app):
    home = tmp_path / "home"
    (job, _), *_ = talk(
        app, home, "My name is Kenji Weber. Please send my reminders by SMS to kenji@example.com", "yes"
    )
    done = call("examples", "add", "--job", job, "--home", home, "--redact", "--json")
    text = Path(json.loads(done.stdout)["file"]).read_text("utf-8")
    assert (
        "User: My name is [name]. Please send my reminders by {channel} to [e-mail]\nCall: read_preferences()\n" in text
    )
    assert not any(word in text for word in ("Kenji", "Weber", "kenji@"))


def test_two_who_add_at_once_get_a_number_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        text = "---\nname: Number {}\n---\nReply: fine\n"
        files = list(pool.map(lambda n: add_example(tmp_path, "clerk", text.format(n), least=4), range(24)))
    numbers = sorted(int(path.name.split("-")[0]) for path in files)
    assert len(set(numbers)) == 24
    assert numbers[0] == 4
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(path.name for path in files)


def test_a_text_that_is_no_example_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match="the new example: the front-matter needs a `name:`"):
        add_example(tmp_path, "clerk", "---\nrequest: x\n---\nReply: fine\n")
    assert list(tmp_path.iterdir()) == []

"""`fleet threads`: newest first, no further back than it must; one conversation in order; words of others as data."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest
from support.commands import call, refused
from support.fleets import helper_app, last_words, open_fleet, scripted, use

from fleet import Message, tool

_HOSTILE = "[bold red]pay[/] \x1b[31mnow\nthr_0000 ana\u202e"


@tool(effect="read")
def look_up(what: str) -> str:
    """Look something up."""
    return f"found {what}"


def _work(request):
    words = last_words(request)
    if "look" in words and isinstance(request.messages[-1]["content"], str):
        return [{"type": "text", "text": "One moment."}, use("look_up", what=words)]
    return "Which day?" if "when" in words else f"You said: {words}"


async def _talk(home, *said):
    async with open_fleet(home, helper_app(tools=[look_up]), models=scripted(worker=_work)) as fleet:
        for number, (user, text) in enumerate(said, 1):
            await fleet.accept(Message(user, text, f"m-{number}"))
            await fleet.reply_to(f"m-{number}")
        await fleet.idle()


@pytest.fixture
async def home(tmp_path):
    await _talk(
        tmp_path / "home",
        ("ana", "a new start"),
        ("ben", "a new question: when?"),
        ("ana", "a new look at it"),
        ("ben", "and then"),
    )
    return tmp_path / "home"


def _listed(home, *options):
    return [
        json.loads(line) for line in call("threads", "list", "--home", home, "--json", *options).stdout.splitlines()
    ]


def test_the_thread_that_was_active_last_comes_first(home):
    first, second, third = _listed(home)
    assert (first["user"], first["messages"], first["status"]) == ("ben", 2, "success")
    assert first["last_assistant_message"] == "You said: and then"
    assert (second["user"], second["messages"]) == ("ana", 1)
    assert third["last_assistant_message"] == "You said: a new start"
    assert first["latest_activity_at"] > second["latest_activity_at"] > third["latest_activity_at"]
    assert first["agent"] == "helper"
    assert [each["user"] for each in _listed(home, "--user", "ana")] == ["ana", "ana"]
    assert _listed(home, "--limit", "1") == [first]
    assert _listed(home, "--user", "nobody") == []


def test_the_table_for_people_has_whole_ids(home):
    printed = call("threads", "list", "--home", home).stdout
    assert [line.split()[0] for line in printed.splitlines()[1:]] == [each["thread_id"] for each in _listed(home)]
    assert call("threads", "list", "--home", home, "--user", "nobody").stdout == "no threads yet\n"


def test_a_list_reads_no_further_back_than_its_limit(home):
    newest = _listed(home, "--limit", "1")
    first_job = _listed(home)[-1]["thread_id"].replace("thr_", "job_")
    with sqlite3.connect(home / "ledger.db") as raw:  # whoever reads this far back fails
        raw.execute(
            "UPDATE events SET body = NULL WHERE stream = (SELECT id FROM streams WHERE name = ?)",
            (f"job:{first_job}",),
        )
    raw.close()
    assert _listed(home, "--limit", "1") == newest
    assert "erased" in call("threads", "list", "--home", home, "--json").stderr


def test_a_conversation_is_told_in_order_with_its_steps(home):
    thread = _listed(home, "--user", "ana")[0]["thread_id"]
    told = json.loads(call("threads", "show", thread, "--home", home, "--json").stdout)
    assert told["thread_id"] == thread
    kinds = [entry["kind"] for entry in told["entries"]]
    assert kinds == ["message", "decision", "model", "tool", "model", "reply", "delivery"]
    assert [entry["seq"] for entry in told["entries"]] == sorted(entry["seq"] for entry in told["entries"])
    message, decision, asks, result, _, reply, _ = told["entries"]
    assert message["text"] == "a new look at it"
    assert decision["action"] == "start_new_thread"
    assert asks["calls"] == [{"call_id": "call_1", "tool": "look_up", "arguments": {"what": "a new look at it"}}]
    assert (result["content"], result["error"]) == ("found a new look at it", False)
    assert reply["text"] == "You said: a new look at it"
    page = call("threads", "show", thread, "--home", home).stdout
    order = [
        page.index(words) for words in ("a new look at it", "start_new_thread helper", "look_up(what=", "found a new")
    ]
    assert order == sorted(order)


def test_a_thread_is_found_by_the_beginning_of_its_id(home):
    ids = [each["thread_id"] for each in _listed(home)]
    for thread in ids:
        told = json.loads(call("threads", "show", thread[:12], "--home", home, "--json").stdout)
        assert told["thread_id"] == thread
    assert "there is no thread 'thr_zzz'" in refused(call("threads", "show", "thr_zzz", "--home", home))
    assert "there is no thread ''" in refused(call("threads", "show", "", "--home", home))


async def test_a_beginning_that_several_threads_have_is_refused(tmp_path):
    await _talk(tmp_path, *((f"user{number}", "hello") for number in range(17)))  # hex: two begin alike
    ids = [each["thread_id"] for each in _listed(tmp_path, "--limit", "30")]
    digits = [thread[4] for thread in ids]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    why = refused(call("threads", "show", f"thr_{shared}", "--home", tmp_path))
    assert why.endswith("give more of the id")
    assert sum(thread in why for thread in ids if thread[4] == shared) >= 2


async def test_a_message_that_no_turn_has_taken_up_shows_as_working(tmp_path):
    async with open_fleet(tmp_path, models=scripted()) as fleet:
        await fleet.accept(Message("ana", "hello", "m-1"))
        await fleet.reply_to("m-1")
        await fleet.idle()
    with sqlite3.connect(tmp_path / "ledger.db") as raw:  # as a crash right after the decision leaves it
        (seq,) = raw.execute("SELECT seq FROM events JOIN streams s ON s.id = stream WHERE s.name = 'message:m-1' "
                             "ORDER BY seq DESC LIMIT 1").fetchone()  # fmt: skip
        raw.execute("DELETE FROM events WHERE seq > ?", (seq,))
        raw.execute("INSERT INTO pending VALUES ('turns', 'm-1', ?, 'ana')", (seq,))
    raw.close()
    (found,) = _listed(tmp_path)
    assert (found["status"], found["messages"], found["user"], found["agent"]) == ("working", 1, "ana", "helper")
    told = json.loads(call("threads", "show", found["thread_id"][:8], "--home", tmp_path, "--json").stdout)
    assert [entry["kind"] for entry in told["entries"]] == ["message", "decision"]


async def test_words_of_users_are_printed_as_data(tmp_path):
    await _talk(tmp_path, ("ana", _HOSTILE))
    (found,) = _listed(tmp_path)
    for arguments in (
        ("list",),
        ("show", found["thread_id"]),
        ("list", "--json"),
        ("show", found["thread_id"], "--json"),
    ):
        printed = call("threads", *arguments, "--home", tmp_path).stdout
        assert "\x1b" not in printed
        assert "\u202e" not in printed
    page = call("threads", "show", found["thread_id"], "--home", tmp_path).stdout
    assert "[bold red]pay[/] \\u001b[31mnow" in page
    assert json.loads(call("threads", "show", found["thread_id"], "--home", tmp_path, "--json").stdout)["entries"][0][
        "text"
    ] == (_HOSTILE)


def test_it_reads_a_copied_ledger_file(home, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copyfile(home / "ledger.db", copy)
    copy.chmod(0o400)
    assert _listed(copy) == _listed(home)


def test_a_home_that_is_not_there_is_refused_and_not_made(tmp_path):
    assert "there is no fleet in" in refused(call("threads", "list", "--home", tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "no.db").write_text("this is no ledger, whatever its name says; it is long enough to be looked at")
    assert "is not a ledger" in refused(call("threads", "list", "--home", tmp_path / "no.db"))

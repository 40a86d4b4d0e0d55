"""What a user is asked: asked and answered in a talk, told by `fleet why`, filtered, exported, erased."""

from __future__ import annotations

import csv
import io
import json

import pytest
from support.commands import call, refused, run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("asked") / "home"
    said = "I need to move my Thursday shift to another day.\n1\n/why\n/quit\n"
    done = run("chat", "--user", "ana", "--home", home, given=said.encode(), FLEET_ASK_BELOW="1")
    assert done.returncode == 0, done.stderr
    places = [
        done.stdout.index(words)
        for words in (
            'I am not sure what "I need to move my Thursday shift to another day." is about. Which one do you mean?',
            "1. Something new, for schedule assistant: Plans and requests changes of shifts",
            "2. Something new, for ", "0. None of these: something new, for ",
            "→ new thread thr_", "→ answers the question about msg_", "Which day would suit you instead?",
            "it answers what the user was asked about msg_",
        )
    ]  # fmt: skip
    assert places == sorted(places)
    return home


def rows(home, *arguments):
    said = call("audit", "list", "--home", home, "--json", *arguments)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_it_is_found_and_told(home):
    (asked,) = rows(home, "--asked")
    (answer,) = rows(home, "--action", "answer")
    assert (asked["by"], asked["asked"], asked["answered_by"]) == ("user", "answered", answer["message_id"])
    assert (answer["by"], answer["answer_to"]) == ("user", asked["message_id"])
    page = call("why", "--home", home, asked["message_id"]).stdout
    shown = ("the user, when asked, said so.", "What the user was asked", "→ 1", "← answered", '"1" in msg_')
    assert [words for words in shown if words not in page] == []
    told = json.loads(call("why", "--home", home, "--json", asked["message_id"]).stdout)
    assert told["asked"]["chosen"] == 1
    assert [each["number"] for each in told["asked"]["choices"]] == [1, 2]
    assert all(0 < each["probability"] < 1 for each in told["asked"]["choices"])
    assert told["decision"]["call"] == "", "it was no call of the router's"
    clean = json.loads(call("why", "--home", home, "--json", "--redact", asked["message_id"]).stdout)
    assert clean["asked"]["choices"] == told["asked"]["choices"]
    traced = call("dispatch", "trace", "--home", home, answer["message_id"]).stdout
    assert "dispatch.completed" in traced
    assert f"it answers what the user was asked about {asked['message_id']}" in traced


def test_replay_exports_and_the_graph_know_of_it(home, tmp_path):
    replayed = call("replay", "--home", home, "--all")
    assert (replayed.returncode, replayed.stdout.splitlines()[-1]) == (
        0, "2 decisions, 1 with an answer read again: 1 the same, 0 differ",
    )  # fmt: skip
    exported = call("audit", "export", "--home", home, "--format", "csv").stdout
    first, second = csv.DictReader(io.StringIO(exported))
    assert (first["action"], first["asked"]) == ("start_new_thread", "answered")
    assert (second["action"], second["answer_to"]) == ("answer", first["message_id"])
    assert len(call("audit", "export", "--home", home).stdout.splitlines()) == 2
    assert call("audit", "stats", "--home", home).returncode == 0
    verified = call("store", "verify", "--home", home)
    assert (verified.returncode, verified.stdout.splitlines()[-1]) == (0, "ok")
    assert "went nowhere" in refused(call("audit", "label", "--home", home, second["message_id"], "--right"))


def test_an_open_question_is_forgotten_with_its_user(tmp_path):
    home = tmp_path / "home"
    given = b"I need to move my Thursday shift to another day.\n"
    assert run("chat", "--user", "eve", "--home", home, given=given, FLEET_ASK_BELOW="1").returncode == 0
    listed = call("inbox", "list", "--home", home).stdout
    assert "asked" in listed
    assert run("forget", "eve", "--home", home, "--yes").returncode == 0
    assert "move" not in run("inbox", "list", "--home", home).stdout
    verified = run("store", "verify", "--home", home)
    assert (verified.returncode, verified.stdout.splitlines()[-1]) == (0, "ok")
    assert b"Thursday" not in b"".join(each.read_bytes() for each in home.rglob("*") if each.is_file())


def test_a_dispatch_that_is_asked_about(tmp_path):
    home = tmp_path / "home"
    create = ("dispatch", "create", "--home", home, "--user", "ana", "--mode", "ask_user")
    made = call(*create, "--agent", "helper", "--agent", "billing", "--id", "d", "Call them")
    assert (made.returncode, made.stdout) == (0, "d\n")
    assert "the message is empty" in refused(call(*create, "--id", "e"))
    assert "names no thread" in refused(call(*create, "--new-thread", "Call"))
    assert "the mode ask_user is no handoff" in refused(call(*create, "--handoff", "--agent", "helper", "Call"))

"""`fleet send`: durable, once per id, refused whole."""

from __future__ import annotations

import json

import pytest
from support.commands import call, refused, run

from fleet.audit.find import read_time
from fleet.clock import now_us
from fleet.ledger.events import MessageAccepted
from fleet.runtime.home import Home


def _accepted(home):
    with Home(home).read_ledger() as ledger:
        return [stored.event for stored in ledger.read() if isinstance(stored.event, MessageAccepted)]


def test_it_prints_the_id_of_a_message_that_is_durable_with_all_that_was_given(tmp_path):
    home = tmp_path / "home"
    done = run("send", "--home", home, "--user", "ana", "--channel", "mail", "--session", "s-1", "Friday is better")
    assert (done.returncode, done.stderr) == (0, "")
    (event,) = _accepted(home)
    assert event.message_id == done.stdout.strip()
    assert (event.user, event.text, event.channel, event.session_id) == ("ana", "Friday is better", "mail", "s-1")
    assert home.stat().st_mode & 0o777 == 0o700


def test_the_same_id_again_changes_nothing_and_says_so(tmp_path):
    arguments = ("send", "--home", tmp_path, "--user", "ana", "--id", "m-1", "hello")
    assert call(*arguments).stderr == ""
    again = call(*arguments)
    assert (again.returncode, again.stdout) == (0, "m-1\n")
    assert again.stderr == "fleet: already accepted; nothing changed\n"
    assert len(_accepted(tmp_path)) == 1


def test_an_id_that_another_message_has_is_refused(tmp_path):
    call("send", "--home", tmp_path, "--user", "ana", "--id", "m-1", "hello")
    for user, text in (("ana", "something else"), ("ben", "hello")):
        assert "m-1" in refused(call("send", "--home", tmp_path, "--user", user, "--id", "m-1", text))
    assert len(_accepted(tmp_path)) == 1


def test_json_is_one_object_on_standard_output(tmp_path):
    arguments = ("send", "--home", tmp_path, "--user", "ana", "--id", "m-1", "--json", "hello")
    first, again = call(*arguments), call(*arguments)
    assert json.loads(first.stdout) == {"message_id": "m-1", "new": True}
    assert json.loads(again.stdout) == {"message_id": "m-1", "new": False}
    assert again.stderr == ""


def test_a_dash_reads_standard_input_and_drops_the_newline_at_its_end(tmp_path):
    assert (
        call("send", "--home", tmp_path, "--user", "ana", "-", given="¿Qué día?\nline two\n".encode()).returncode == 0
    )
    assert _accepted(tmp_path)[0].text == "¿Qué día?\nline two"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"x" * 1_000_000, "more than 65536 bytes"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a\x00b", "NUL"),
    ],
)
def test_what_is_no_message_is_refused_before_a_home_is_made(tmp_path, given, why):
    home = tmp_path / "home"
    assert why in refused(call("send", "--home", home, "--user", "ana", "-", given=given))
    assert not home.exists()


def test_a_user_that_is_no_plain_line_is_refused(tmp_path):
    home = tmp_path / "home"
    assert "user" in refused(call("send", "--home", home, "--user", "ana\nben", "hello"))
    assert not home.exists()


def test_the_largest_message_goes_through(tmp_path):
    assert call("send", "--home", tmp_path, "--user", "ana", "-", given=b"x" * 65536 + b"\n").returncode == 0


@pytest.mark.parametrize("command", [("send", "--user", "ana", "hello"), ("worker",), ("threads", "list"), ("demo",)])
def test_a_home_that_cannot_be_one_is_refused_in_one_line(tmp_path, command):
    (tmp_path / "file").write_text("not a home")
    home = tmp_path / "file" / "home"
    assert str(home) in refused(run(*command, "--home", home))


def test_a_message_may_be_delayed_and_urgent(tmp_path):
    send = ("send", "--home", tmp_path, "--user", "ana")
    assert call(*send, "--not-before", "2099-01-02T03:04", "--priority", "7", "later").returncode == 0
    before = now_us()
    assert call(*send, "--in", "90s", "soon").returncode == 0
    later, soon = _accepted(tmp_path)
    assert (later.not_before, later.priority) == (read_time("2099-01-02T03:04Z"), 7)
    assert before + 90_000_000 <= soon.not_before <= now_us() + 90_000_000


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--in", "1h", "--not-before", "2099-01-01"), "give --not-before or --in, not both; nothing was sent"),
        (("--in", "a while"), 'a length of time looks like 90s, 10m, 2h or 1d, not "a while"'),
        (("--not-before", "someday"), "a time looks like"),
        (("--priority", "10"), "-9<=x<=9"),
    ],
)
def test_a_delay_or_priority_that_is_none_is_refused_before_a_home_is_made(tmp_path, given, why):
    home = tmp_path / "home"
    assert why in refused(call("send", "--home", home, "--user", "ana", *given, "hello"))
    assert not home.exists()

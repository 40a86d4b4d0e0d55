"""`fleet inbox` and `fleet outbox`: what waits and what failed, put back or dropped, on record, beside a worker too."""

from __future__ import annotations

import asyncio
import getpass
import json
import re

import pytest
from support.commands import call, refused, run
from support.fleets import (
    Outgoing,
    echo,
    helper_app,
    last_words,
    newest_else_new,
    open_fleet,
    printed_message,
    scripted,
)

from fleet import Message
from fleet.ledger.events import MessageDropped, MessageRetried, ReplyRetried
from fleet.runtime.home import Home

QUICK = {"retry_backoff_s": 0.001, "delivery_attempts": 2, "delivery_backoff_s": 0.001}


def broken_models():
    """Routing breaks for "poison", answering for "venom"."""

    def route(request):
        return 1 / 0 if "poison" in printed_message(request) else newest_else_new(request)

    def work(request):
        return [][1] if "venom" in last_words(request) else echo(request)

    return scripted(route, work)


def refusing(user, text):
    raise ConnectionError("no route")


async def live(home, models=None, app=None, *messages):
    async with open_fleet(home, app, models=models or scripted(), **QUICK) as fleet:
        for message in messages:
            await fleet.accept(message)
        await fleet.idle()


@pytest.fixture
def home(tmp_path):
    """Two dead letters of eve's, one at each stage; three messages that wait; a reply to bo that nobody takes."""
    place = tmp_path / "home"
    asyncio.run(
        live(
            place, broken_models(), helper_app(lambda user, text: refusing(user, text) if user == "bo" else None),
            Message("eve", "poison \x1b[31m", id="m-poison"), Message("eve", "venom", id="m-venom"),
            Message("bo", "hi", id="m-bo"),
        )
    )  # fmt: skip
    send = ("send", "--home", place, "--user", "ana", "--id")
    assert call(*send, "m-ana", "what about Friday?").returncode == 0
    assert call(*send, "m-later", "--in", "2h", "later").returncode == 0
    assert call(*send, "m-urgent", "--priority", "5", "now").returncode == 0
    return place


def rows(done):
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def recorded(home, *kinds):
    with Home(home).read_ledger() as ledger:
        return [stored for stored in ledger.read() if isinstance(stored.event, kinds)]


def test_inbox_list_shows_what_waits_oldest_first(home):
    said = call("inbox", "list", "--home", home)
    assert said.returncode == 0
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["message", "user", "since", "(UTC)", "for", "state", "about"]
    assert [line.split()[0] for line in lines[1:]] == ["m-ana", "m-later", "m-urgent"]
    assert re.search(r"until 20\d\d-\d\d-\d\dT", lines[2])
    assert "waiting, priority 5" in lines[3]
    assert "what about Friday?" in lines[1]
    listed = rows(call("inbox", "list", "--home", home, "--json"))
    assert [(each["message_id"], each["state"]) for each in listed] == [
        ("m-ana", "waiting"), ("m-later", "delayed"), ("m-urgent", "waiting"),
    ]  # fmt: skip
    assert [each["message_id"] for each in rows(call("inbox", "list", "--home", home, "--json", "--delayed"))] == [
        "m-later"
    ]
    assert len(rows(call("inbox", "list", "--home", home, "--json", "--due", "--limit", "1"))) == 1
    assert rows(call("inbox", "list", "--home", home, "--json", "--older", "1h")) == []
    assert rows(call("inbox", "list", "--home", home, "--json", "--user", "bo")) == []
    assert "there are more" in call("inbox", "list", "--home", home, "--limit", "2").stdout


def test_inbox_dead_says_where_and_why(home):
    said = call("inbox", "dead", "--home", home).stdout
    assert "dead at routing" in said
    assert "3 attempts: ZeroDivisionError: division by zero" in said
    assert "\x1b" not in said
    routing, turn = rows(call("inbox", "dead", "--home", home, "--json"))
    assert (routing["message_id"], routing["stage"], routing["attempts"]) == ("m-poison", "routing", 3)
    assert (turn["message_id"], turn["stage"], turn["error"]) == (
        "m-venom",
        "turn",
        "IndexError: list index out of range",
    )
    assert turn["thread_id"].startswith("thr_")
    assert rows(call("inbox", "dead", "--home", home, "--json", "--stage", "turn")) == [turn]


def test_why_tells_of_dead_letters_and_of_who_put_them_back(home):
    dead = call("why", "m-poison", "--home", home).stdout
    assert "To the dead letters: routing it failed in 3 attempts" in dead
    assert "fleet inbox retry m-poison" in dead
    assert "attempt 1: " in dead
    assert "attempt 2: " in dead
    turn = json.loads(call("why", "m-venom", "--home", home, "--json").stdout)
    assert turn["state"] == "dead"
    assert "to the dead letters after 3 attempts" in turn["outcome"]
    assert [each["kind"] for each in turn["timeline"]].count("turn.failed") == 2
    assert call("inbox", "retry", "m-venom", "--home", home, "--by", "otto").returncode == 0
    assert json.loads(call("why", "m-venom", "--home", home, "--json").stdout)["state"] == "routed"
    asyncio.run(live(home))
    again = json.loads(call("why", "m-venom", "--home", home, "--json").stdout)
    assert (again["state"], again["reply"]) == ("answered", "You said: venom")
    assert "by otto, who put it back" in call("why", "m-venom", "--home", home).stdout


def test_retry_puts_back_and_says_who(home):
    done = call("inbox", "retry", "--all", "--home", home)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "m-poison: put back, to be routed"
    assert re.fullmatch(r"m-venom: put back, to be answered in thr_\w+", done.stdout.splitlines()[1])
    assert {each.event.by for each in recorded(home, MessageRetried)} == {getpass.getuser()}
    assert {each.user for each in recorded(home, MessageRetried)} == {"eve"}
    asyncio.run(live(home))
    with Home(home).read_ledger() as ledger:
        assert ledger.pending_count("dead") == 0
        assert [each.key for each in ledger.pending("inbox")] == ["m-later"]
        assert ledger.verify().problems == ()


def test_a_retried_message_that_fails_again_is_dead_again_after_as_many_attempts(home):
    call("inbox", "retry", "m-poison", "m-venom", "--home", home)
    asyncio.run(live(home, broken_models()))
    dead = rows(call("inbox", "dead", "--home", home, "--json"))
    assert sorted((each["message_id"], each["attempts"]) for each in dead) == [("m-poison", 3), ("m-venom", 3)]


def test_drop_takes_out_for_good(home):
    said = call("inbox", "drop", "m-ana", "m-poison", "--home", home, "--reason", "a test", "--by", "otto", "--json")
    assert [(each["message_id"], each["by"], each["reason"]) for each in rows(said)] == [
        ("m-ana", "otto", "a test"), ("m-poison", "otto", "a test"),
    ]  # fmt: skip
    why = call("why", "m-ana", "--home", home).stdout
    assert 'Nowhere: otto dropped it: "a test".' in why
    asyncio.run(live(home))
    assert json.loads(call("why", "m-ana", "--home", home, "--json").stdout)["state"] == "dropped"
    assert json.loads(call("why", "m-urgent", "--home", home, "--json").stdout)["state"] == "answered"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("inbox", "retry", "m-ana"), "message m-ana is no dead letter: it waits in the inbox; nothing was put back"),
        (("inbox", "retry", "m-bo"), "message m-bo is no dead letter: it has been routed; nothing was put back"),
        (("inbox", "retry", "m-poison", "m-bo"), "message m-bo is no dead letter"),
        (("inbox", "retry", "nothing"), "there is no message"),
        (("inbox", "retry"), "name them one by one, or ask for all of them"),
        (("inbox", "retry", "m-poison", "--all"), "name them one by one"),
        (("inbox", "retry", "m-poison", "--user", "eve"), "name them one by one"),
        (
            ("inbox", "drop", "m-ana", "m-bo"),
            "message m-bo neither waits in the inbox nor is a dead letter: it has been routed; nothing was dropped",
        ),
        (("inbox", "drop", "m-ana", "--reason", "two\nlines"), "a reason is one printable line"),
        (("inbox", "list", "--older", "soon"), 'a length of time looks like 90s, 10m, 2h or 1d, not "soon"'),
        (("outbox", "retry", "rep_nothing.1"), "reply rep_nothing.1 is none that failed: there is no such reply"),
    ],
)
def test_a_refusal_is_one_line_and_nothing_is_done(home, arguments, why):
    with Home(home).read_ledger() as ledger:
        before = ledger.head()
    assert why in refused(call(*arguments, "--home", home))
    with Home(home).read_ledger() as ledger:
        assert ledger.head() == before


def test_what_was_done_already_is_told(home):
    call("inbox", "drop", "m-poison", "--home", home, "--by", "otto")
    call("inbox", "retry", "m-venom", "--home", home, "--by", "otto")
    assert "otto has dropped it" in refused(call("inbox", "retry", "m-poison", "--home", home))
    assert "otto has put it back" in refused(call("inbox", "retry", "m-venom", "--home", home))


@pytest.mark.parametrize("verb", [("inbox", "list"), ("inbox", "retry", "--all"), ("outbox", "list")])
def test_a_home_without_a_fleet_is_refused_and_not_made(tmp_path, verb):
    assert "there is no fleet in" in refused(call(*verb, "--home", tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_outbox_lists_what_failed_and_puts_it_back(home):
    (failed,) = rows(call("outbox", "list", "--home", home, "--json"))
    assert (failed["user"], failed["state"], failed["attempts"]) == ("bo", "failed", 2)
    assert (failed["error"], failed["text"]) == ("ConnectionError", "You said: hi")
    assert "2 attempts: ConnectionError" in call("outbox", "list", "--home", home).stdout
    assert rows(call("outbox", "list", "--home", home, "--json", "--state", "waiting")) == []
    said = call("outbox", "retry", failed["reply_id"], "--home", home, "--by", "otto")
    assert said.stdout == f"{failed['reply_id']}: put back, to be delivered\n"
    assert [each.event.by for each in recorded(home, ReplyRetried)] == ["otto"]
    (waiting,) = rows(call("outbox", "list", "--home", home, "--json"))
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 0)
    assert "it waits in the outbox" in refused(call("outbox", "retry", failed["reply_id"], "--home", home))
    out = Outgoing()
    asyncio.run(live(home, None, helper_app(out)))
    assert ("bo", "You said: hi") in out.sent
    assert rows(call("outbox", "list", "--home", home, "--json")) == []
    assert call("outbox", "list", "--home", home).stdout == "every reply is delivered\n"
    assert "it was delivered" in refused(call("outbox", "retry", failed["reply_id"], "--home", home))
    assert "the reply was delivered (1 attempt)" in call("why", "m-bo", "--home", home).stdout


def test_all_of_it_works_beside_a_running_fleet(tmp_path):
    home = tmp_path / "home"
    well = asyncio.Event()

    async def route(request):
        if not well.is_set():
            raise RuntimeError("not well")
        return newest_else_new(request)

    async def beside(*arguments):
        return await asyncio.to_thread(run, *arguments, "--home", home)

    async def go():
        async with open_fleet(home, models=scripted(route), **QUICK) as fleet:
            first = await fleet.accept(Message("ana", "one", id="m-1"))
            await fleet.reply_to(first.message_id)
            assert (await beside("inbox", "dead")).stdout.count("m-1") == 1
            assert (await beside("send", "--user", "ana", "--in", "1h", "--id", "m-2", "two")).returncode == 0
            dropped = asyncio.Event()
            fleet.on(lambda stored: isinstance(stored.event, MessageDropped) and dropped.set())
            assert (await beside("inbox", "drop", "m-2")).returncode == 0
            await dropped.wait()
            assert fleet.ledger.pending_count("inbox") == 0
            well.set()
            assert (await beside("inbox", "retry", "m-1")).returncode == 0
            assert await fleet.reply_to("m-1") == "You said: one"

    asyncio.run(go())
    assert len(recorded(home, MessageRetried, MessageDropped)) == 2

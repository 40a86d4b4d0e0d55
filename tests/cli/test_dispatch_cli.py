"""`fleet dispatch`: create, list, show, cancel, retry, beside a worker and without one."""

from __future__ import annotations

import getpass
import json
import signal

import pytest
from support.commands import Running, call, refused, run

from fleet.runtime.home import Home


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def create(home, *arguments, **options):
    return call("dispatch", "create", "--home", home, "--user", "ana", *arguments, **options)


def listed(home, *arguments):
    said = call("dispatch", "list", "--home", home, "--json", *arguments)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def shown(home, dispatch_id):
    return json.loads(call("dispatch", "show", "--home", home, "--json", dispatch_id).stdout)


def test_create_list_and_show(home):
    made = create(
        home, "--agent", "helper", "--metadata", '{"user_id": "12345"}', "--id", "d-1", "--name", "First", "Hi"
    )
    assert (made.returncode, made.stdout, made.stderr) == (0, "d-1\n", "")
    again = create(
        home, "--agent", "helper", "--metadata", '{"user_id": "12345"}', "--id", "d-1", "--name", "First", "Hi"
    )
    assert (again.returncode, again.stdout) == (0, "d-1\n")
    assert again.stderr == "fleet: already accepted; nothing changed\n"
    unnamed = create(home, "--agent", "other", "--json")
    assert json.loads(unnamed.stdout)["id"].startswith("dsp_")
    assert [each["agent"] for each in listed(home)] == ["other", "helper"], "the newest first"
    (one,) = listed(home, "--agent", "helper")
    assert one == shown(home, "d-1")
    assert (one["state"], one["metadata"], one["by"], one["name"], one["ended_at"]) == (
        "requested", {"user_id": "12345"}, getpass.getuser(), "First", None,
    )  # fmt: skip
    assert listed(home, "--user", "bo") == listed(home, "--state", "failed") == []
    assert len(listed(home, "--limit", "1")) == 1
    table = call("dispatch", "list", "--home", home).stdout.splitlines()
    assert table[0].split() == ["dispatch", "requested", "(UTC)", "user", "agent", "state", "reason"]
    assert "d-1" in table[2]
    page = call("dispatch", "show", "--home", home, "d-1").stdout
    assert "state         requested\n" in page
    assert 'metadata      {"user_id": "12345"}\n' in page


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "a dispatch needs an agent, or a thread; nothing was sent"),
        (("--agent", "a", "--agent", "b"), "several agents are for a workflow, mode workflow, or for mode ask_user"),
        (("--mode", "workflow"), "a workflow names its agents, in their order; nothing was sent"),
        (("--mode", "workflow", "--agent", "a", "--handoff"), "the mode workflow is no handoff; nothing was sent"),
        (("--agent", "a", "--id", "w.step2"), "an id that ends in .stepN is of a workflow's step; nothing was sent"),
        (("--agent", "a", "--metadata", "{"), "--metadata is not JSON: "),
        (("--agent", "a", "--metadata", "[1]"), '--metadata is a JSON object such as {"order": 7}; nothing was sent'),
        (("--agent", "a", "--thread", "thr_1"), "there is no thread 'thr_1'; `fleet threads list` shows them"),
        (("--agent", "a\x1b[0m"), "a role is 0 to 128 printable characters; nothing was sent"),
        (("--agent", "a", "--thread", "t", "--new-thread"), "a dispatch goes to a thread or to a new one, not both"),
    ],
)
def test_what_is_no_dispatch_is_refused_in_one_line(home, arguments, why):
    assert why in refused(create(home, *arguments))
    assert not home.exists() or listed(home) == []


@pytest.mark.parametrize("verb", ["show", "cancel", "retry"])
def test_a_dispatch_that_is_not_there_is_refused(home, verb):
    assert "there is no fleet in" in refused(call("dispatch", verb, "--home", home, "d-1"))
    assert not home.exists()
    call("send", "--home", home, "--user", "ana", "--id", "m-1", "hi")
    for given in ("d-1", "m-1"):
        said = refused(call("dispatch", verb, "--home", home, given))
        assert said == f"there is no dispatch {given}; `fleet dispatch list` shows those there are"


def test_a_dispatch_is_called_off_and_made_again(home):
    create(home, "--agent", "helper", "--id", "d-1", "Hi")
    off = call("dispatch", "cancel", "--home", home, "--by", "ops", "--reason", "a mistake", "--json", "d-1")
    assert (off.returncode, json.loads(off.stdout)["state"]) == (0, "cancelled")
    assert shown(home, "d-1")["reason"] == "called off by ops: a mistake"
    said = refused(call("dispatch", "cancel", "--home", home, "d-1"))
    assert said == "dispatch d-1 has ended as cancelled; there is nothing to call off"
    assert "one printable line" in refused(call("dispatch", "cancel", "--home", home, "--reason", "a\nb", "d-1"))
    made = call("dispatch", "retry", "--home", home, "d-1")
    assert made.stdout == "d-1.r1\n"
    assert (shown(home, "d-1.r1")["retry_of"], shown(home, "d-1.r1")["text"]) == ("d-1", "Hi")
    assert refused(call("dispatch", "retry", "--home", home, "d-1.r1")) == (
        "dispatch d-1.r1 is requested and has not ended; there is nothing to try again"
    )
    why = call("why", "--home", home, "d-1").stdout
    assert "Nowhere: ops called it off before it was assigned." in why
    assert "called off" in call("audit", "list", "--home", home).stdout


def test_beside_a_worker_it_waits_for_the_end_and_knows_the_roles(home):
    with Running("worker", "--home", home) as worker:
        worker.read_until("serving", err=True)
        done = run(
            "dispatch", "create", "--home", home, "--user", "ana", "--agent", "sounding_board", "--wait",
            "--metadata", '{"mood": "low"}', "I am tired of it all",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
        assert "ended as " in done.stderr
        unknown = create(home, "--agent", "nobody")
        assert "no agent 'nobody' is declared on this home; there are information_retriever, " in refused(unknown)
        (one,) = listed(home)
        assert (one["state"] in ("success", "need_input"), one["reply"]) == (True, done.stdout.strip())
        beginning = one["thread_id"][:10]
        more = run("dispatch", "create", "--home", home, "--user", "ana", "--thread", beginning, "--wait", "And more")
        assert more.returncode == 0, more.stderr
        assert listed(home)[0]["thread_id"] == one["thread_id"]
        wrong = run("dispatch", "create", "--home", home, "--user", "bo", "--thread", beginning, "--wait", "Mine?")
        assert wrong.returncode == 1
        assert "ended as error: the user has no thread" in wrong.stderr
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    why = call("why", "--home", home, one["id"]).stdout
    assert f"{getpass.getuser()} dispatched it" in " ".join(why.split())
    assert 'metadata  {"mood": "low"}' in why
    rows = [json.loads(line) for line in call("audit", "list", "--home", home, "--json").stdout.splitlines()]
    assert [(each["by"], each["gate"]) for each in rows] == [("dispatch", getpass.getuser())] * 3
    with Home(home).read_ledger() as ledger:
        assert ledger.verify().ok


def test_a_workflow_is_one_record_that_tells_where_it_stands(home):
    roles = ("--agent", "information_retriever", "--agent", "sounding_board")
    asked = (*roles, "--mode", "workflow", "--id", "w-1", "How do I get a ticket reimbursed?")
    assert create(home, *asked).stdout == "w-1\n"
    assert [each["agent"] for each in shown(home, "w-1")["steps"]] == ["information_retriever"]
    with Running("worker", "--home", home) as worker:
        worker.read_until("serving", err=True)
        done = run("dispatch", "create", "--home", home, "--user", "ana", "--wait", *asked)
        assert done.returncode == 0, done.stderr
        assert "dispatch w-1 ended as success: step 2 of 2, sounding_board: the turn ended" in done.stderr
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    (one,) = listed(home)
    assert (one["id"], one["workflow"]) == ("w-1", ["information_retriever", "sounding_board"])
    assert one["reply"] == done.stdout.strip()
    page = call("dispatch", "show", "--home", home, "w-1").stdout
    assert "workflow      information_retriever → sounding_board\n" in page
    assert "step 2        sounding_board success w-1.step2 the turn ended\n" in page
    why = " ".join(call("why", "--home", home, "w-1.step2").stdout.split())
    assert "workflow w-1 dispatched it" in why
    assert refused(call("dispatch", "cancel", "--home", home, "w-1.step2")) == (
        "w-1.step2 is a step of the workflow w-1; name that one"
    )

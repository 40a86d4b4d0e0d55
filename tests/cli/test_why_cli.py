"""`fleet why`, as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.audited import make_day

from fleet.cli.main import fleet
from fleet.clock import iso
from fleet.ledger.sqlite import SqliteLedger

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


@pytest.fixture
def why(day: Path) -> Run:
    def run(*words: str, home: Path = day) -> Result:
        return CliRunner().invoke(fleet, ["why", *words, "--home", str(home)])

    return run


def first(result: Result) -> str:
    """The id in the page's first section."""
    assert result.exit_code == 0, result.stderr
    return result.stdout.split("\n")[1].split()[1]


def test_a_page_by_id_by_beginning_by_last_and_by_user(why: Run) -> None:
    assert first(why("m-friday")) == "m-friday"
    assert first(why("m-fr")) == "m-friday"
    assert first(why("--last")) == "m-waiting"
    assert first(why("--last", "--user", "ana")) == "m-friday"
    assert first(why("--user", "ben")) == "m-lost"


def test_a_page_by_user_and_time(why: Run, day: Path) -> None:
    with SqliteLedger.open(day / "ledger.db", readonly=True) as ledger:
        (accepted,) = ledger.read_stream("message:m-hesitate")[:1]
    assert first(why("--user", "ben", "--at", iso(accepted.at))) == "m-hesitate"
    assert first(why("--user", "ben", "--at", "2020-01-01")) == "m-hesitate"
    assert first(why("--user", "ben", "--at", "2999-01-01T00:00")) == "m-lost"


def test_the_page_is_plain_text_where_no_terminal_is(why: Run) -> None:
    out = why("m-friday").stdout
    assert "\x1b" not in out
    assert "Where it went\n  decision  It continues thread " in out
    assert not any(line != line.rstrip() for line in out.split("\n"))


def test_json_is_one_object(why: Run) -> None:
    found = json.loads(why("m-hesitate", "--json").stdout)
    assert (found["message_id"], found["state"]) == ("m-hesitate", "answered")
    assert [each["verdict"] for each in found["decision"]["attempts"]] == ["thread_index_out_of_range", "ok"]
    assert "raw" not in found


def test_raw_is_what_the_models_saw_and_said(why: Run, day: Path) -> None:
    found = json.loads(why("m-hesitate", "--json", "--raw").stdout)
    parts = {each["what"]: each for each in found["raw"]}
    assert list(parts) == [
        "router: system prompt",
        "router: transcript",
        "router: answer 1 of test:router",
        "router: told about answer 1 (thread_index_out_of_range)",
        "router: answer 2 of claude-haiku-4-5",
        "agent: system prompt",
        "agent: transcript and message",
        "agent: answer 1 of test:worker",
    ]
    assert parts["router: told about answer 1 (thread_index_out_of_range)"]["text"] == (
        "That answer was refused: threads[7] was not printed; no thread was, so only start_new_thread is possible."
        " Answer again, as instructed."
    )
    with SqliteLedger.open(day / "ledger.db", readonly=True) as ledger:
        for what, field in (("router: system prompt", "prompt"), ("router: transcript", "transcript")):
            recorded = found["decision"][field]
            hash_ = recorded["hash"] if isinstance(recorded, dict) else recorded
            assert parts[what]["hash"] == hash_
            assert parts[what]["text"].encode() == ledger.blob(hash_)
    out = why("m-hesitate", "--raw").stdout
    for part in found["raw"]:
        assert f"=== {part['what']}, {len(part['text'].encode())} bytes" in out
        assert part["text"] in out


def test_raw_of_an_outage_and_of_tools(why: Run) -> None:
    outage = json.loads(why("m-outage", "--json", "--raw").stdout)["raw"]
    assert {"what": "router: no answer 1 of test:router", "hash": "", "text": "the provider is down"} in outage
    called = json.loads(why("m-call", "--json", "--raw").stdout)["raw"]
    assert {"what": "agent: told about call_1 (call_out)", "hash": "", "text": "called 112"} in called


@pytest.mark.parametrize("message_id", ["m-spam", "m-waiting"])
def test_raw_where_no_model_was_asked_says_so(why: Run, message_id: str) -> None:
    assert why(message_id, "--raw").stdout == f"No model has been asked about {message_id}.\n"
    assert json.loads(why(message_id, "--raw", "--json").stdout)["raw"] == []


def test_what_people_said_would_have_been_right(why: Run, day: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(day, home)
    thread = json.loads(why("m-swap", "--json").stdout)["decision"]["thread_id"]

    def label(*words: str) -> None:
        given = ["audit", "label", *words, "--home", str(home)]
        assert CliRunner().invoke(fleet, given).exit_code == 0

    label("m-bill", "--thread", thread, "--by", "ana", "--note", "it was about the swap")
    label("m-bill", "--new", "researcher", "--by", "ben")
    label("m-bill", "--right", "--by", "cid")
    page = why("m-bill", home=home).stdout.split("\n\n")
    (said,) = [" ".join(part.split()) for part in page if part.startswith("What would have been right")]
    found = json.loads(why("m-bill", "--json", home=home).stdout)["labels"]
    at = [each["at"] for each in found]
    assert said == (
        "What would have been right, as people said "
        f'{at[0]} ana: it should have continued {thread} "Can I swap my Friday shift?", printed as threads[0] '
        '(superseded) note: "it was about the swap" '
        f"{at[1]} ben: it should have started a new thread with researcher (superseded) "
        f"{at[2]} cid: it went where it should"
    )
    assert [(each["by"], each["was_right"], each["thread_id"], each["agent"], each["note"]) for each in found] == [
        ("ana", False, thread, "", "it was about the swap"),
        ("ben", False, "", "researcher", ""),
        ("cid", True, "", "clerk", ""),
    ]
    label("m-friday", "--new", "researcher", "--by", "x\x1b[2J")
    assert 'Z  "x\\u001b[2J": it should have started' in why("m-friday", home=home).stdout


def test_a_copied_ledger_file_will_do(why: Run, day: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.db"
    shutil.copy(day / "ledger.db", copied)
    copied.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        result = why("m-friday", home=copied)
        assert first(result) == "m-friday"
        assert sorted(each.name for each in tmp_path.iterdir()) == ["copied.db"]
    finally:
        tmp_path.chmod(0o700)
    assert result.stdout == why("m-friday").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m-none"], 'there is no message "m-none" in this ledger'),
        (["m-s"], '"m-s" begins the ids of several messages: m-spam, m-stumble, m-swap'),
        ([], "name one message: MESSAGE, or --last, or --user U --at TIME"),
        (["m-friday", "--last"], "name one message"),
        (["m-friday", "--user", "ana"], "name one message"),
        (["--at", "14:05"], "name one message"),
        (["--last", "--user", "ana", "--at", "14:05"], "name one message"),
        (["--user", "ana", "--at", "soon"], "a time looks like"),
        (["--user", "nobody"], 'there is no message of user "nobody"'),
        (["a\x1b[2Jb"], 'there is no message "a\\u001b[2Jb"'),
    ],
)
def test_what_cannot_be_found_is_one_line_and_exit_code_2(why: Run, words: list[str], said: str) -> None:
    result = why(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fleet: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_home_without_a_fleet(why: Run, tmp_path: Path) -> None:
    result = why("--last", home=tmp_path / "none")
    assert result.exit_code == 2
    assert result.stderr.startswith("fleet: there is no fleet in ")
    assert not (tmp_path / "none").exists()


def test_times_are_those_of_the_ledger(why: Run, day: Path) -> None:
    found = json.loads(why("m-friday", "--json").stdout)
    with SqliteLedger.open(day / "ledger.db", readonly=True) as ledger:
        accepted, decided = ledger.read_stream("message:m-friday")
    assert (found["accepted_at"], found["decision"]["decided_at"]) == (iso(accepted.at), iso(decided.at))
    assert found["timeline"][1]["after_us"] == decided.at - accepted.at

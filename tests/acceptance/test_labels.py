"""Labels, the regression set that they make, and a fix that it proves; and threads as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import call, refused, run
from support.history import History
from support.messages_server import MessagesServer
from support.obedient import BETTER, MODEL, WORSE, command, label_truth, obedient, write

from fleet.audit.labels import labels
from fleet.clock import iso
from fleet.ledger.events import DecisionLabelled, MessageDecided, TurnEnded
from fleet.runtime.home import Home


@pytest.fixture(scope="module")
def labelled(history: History, tmp_path_factory: pytest.TempPathFactory) -> History:
    """A copy of the history with every wrong decision labelled, and a tenth of the others."""
    import shutil

    home = tmp_path_factory.mktemp("labelled") / "home"
    shutil.copytree(history.home, home)
    copy = History(home, history.planned)
    assert label_truth(copy, lambda planned, event: planned.fault == "wrong" or planned.id.endswith("7"))
    return copy


async def test_a_labelled_set_proves_a_fix(labelled: History, tmp_path: Path) -> None:
    cases, before, after = tmp_path / "cases", tmp_path / "before.json", tmp_path / "after.json"
    made = run("audit", "cases", cases, "--home", labelled.home)
    assert made.returncode == 0, made.stderr
    lines = [json.loads(line) for line in (cases / "cases.jsonl").read_text("utf-8").splitlines()]
    with Home(labelled.home).read_ledger() as ledger:
        wanted = labels(ledger)
    assert {each["id"] for each in lines} == set(wanted)
    assert made.stdout.startswith(f"{len(lines)} cases, ")
    for each in lines:  # the right answer is the labelled one
        label, gold = wanted[each["id"]], each["gold"]
        if gold["action"] == "continue":
            assert each["threads"][gold["thread"]]["id"] == label.thread_id
        else:
            assert gold["agent"] == label.agent
    wrong = sum("was_wrong" in each["strata"] for each in lines)
    assert wrong > 100
    bad, good = write(tmp_path, "bad.md", WORSE), write(tmp_path, "good.md", BETTER)
    evaluate = ("eval", cases / "cases.jsonl", "--model", MODEL)
    async with MessagesServer(obedient(labelled)) as server:
        assert (await command(server, *evaluate, "--prompt", bad, "--save", before)).returncode == 0
        fixed = await command(server, *evaluate, "--prompt", good, "--save", after, "--against", before, "--json")
        spoilt = await command(server, *evaluate, "--prompt", bad, "--against", after)
        same = await command(server, *evaluate, "--prompt", good, "--against", after, "--json")
    assert fixed.returncode == 0, fixed.stderr
    found = json.loads(fixed.stdout)["against"]
    assert found["n"] == len(lines)
    assert found["unpaired"] == 0
    assert found["verdict"] == "better"
    assert found["new_accuracy"] > 0.95
    assert found["strata"]["was_wrong"]["n"] == wrong
    assert spoilt.returncode == 1
    assert "the new one is worse, by more than noise" in spoilt.stdout
    assert same.returncode == 0
    assert json.loads(same.stdout)["against"]["verdict"] == "noise"


def test_redacted_cases_keep_ids_and_lose_persons(labelled: History, tmp_path: Path) -> None:
    plain, clean = tmp_path / "plain", tmp_path / "clean"
    assert call("audit", "cases", plain, "--home", labelled.home).returncode == 0
    assert call("audit", "cases", clean, "--redact", "--home", labelled.home).returncode == 0
    before, after = ((folder / "cases.jsonl").read_text("utf-8") for folder in (plain, clean))
    assert "@example.org" in before
    assert "@example.org" not in after
    assert "4111 1111 1111 1111" not in after
    for one, other in zip(map(json.loads, before.splitlines()), map(json.loads, after.splitlines()), strict=True):
        assert [one[key] for key in ("id", "gold", "strata", "agents")] == [
            other[key] for key in ("id", "gold", "strata", "agents")
        ]
        assert [each["id"] for each in one["threads"]] == [each["id"] for each in other["threads"]]


def wrong_one(history: History) -> tuple[str, str, str]:
    """A message that ought to have continued a thread and started one: its id, that thread, the one it started."""
    with Home(history.home).read_ledger() as ledger:
        for planned in history.planned:
            if planned.fault == "wrong" and not planned.opens:
                event = ledger.read_stream(f"message:{planned.id}")[1].event
                assert isinstance(event, MessageDecided)
                decision = event.decision
                place = next((each.thread_id for each in decision.candidates if each.name == planned.title), "")
                if place and decision.new_thread:
                    return planned.id, place, decision.thread_id
    raise AssertionError("the history has none")


def test_a_label_is_an_event_with_who_and_when_and_the_last_word_counts(history_copy: History) -> None:
    message, place, started = wrong_one(history_copy)
    home = ("--home", history_copy.home)
    done = run("audit", "label", message, "--thread", place[:12], "--note", "it said which", "--by", "ana", *home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{message}: right would be thread {place}, says ana\n"
    again = call("audit", "label", message, "--new", "billing", "--by", "ben", "--json", *home)
    assert json.loads(again.stdout)["agent"] == "billing"
    with Home(history_copy.home).read_ledger() as ledger:
        said = ledger.read_stream(f"label:{message}")
        assert [stored.event.by for stored in said if isinstance(stored.event, DecisionLabelled)] == ["ana", "ben"]
        assert said[0].at > 0
        assert labels(ledger)[message].agent == "billing"
        assert ledger.verify().ok
    assert started in refused(call("audit", "label", message, "--thread", started, *home))
    verified = run("store", "verify", *home, "--app", "support.history:app", modules=(Path(__file__).parents[1],))
    assert verified.returncode == 0, verified.stdout + verified.stderr  # the graph takes no notice of labels


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--thread", "thr_nowhere"), "the sender had no thread"),
        (("--new", "nobody"), "there was no agent"),
        ((), "say one thing"),
        (("--new", "billing", "--right"), "say one thing"),
    ],
)
def test_a_label_that_cannot_be_right_is_refused(small_history: History, words: tuple[str, ...], said: str) -> None:
    message = small_history.planned[-1].id
    assert said in refused(call("audit", "label", message, *words, "--home", small_history.home))


def test_without_labels_there_are_no_cases(small_history: History, tmp_path: Path) -> None:
    done = call("audit", "cases", tmp_path / "cases", "--home", small_history.home)
    assert "no message is labelled" in refused(done)


def test_a_thread_is_shown_as_it_was(history: History) -> None:
    with Home(history.home).read_ledger() as ledger:
        ends = [each for each in ledger.read(types=(TurnEnded.TYPE,)) if isinstance(each.event, TurnEnded)]
        by_thread: dict[str, list[int]] = {}
        for each in ends:
            by_thread.setdefault(each.event.thread_id, []).append(each.at)  # type: ignore[attr-defined]
        thread, times = next(item for item in by_thread.items() if len(item[1]) > 3)
    at = iso(times[1] + 1_000)
    done = call("threads", "show", thread, "--at", at, "--json", "--home", history.home)
    assert done.returncode == 0, done.stderr
    found, now = (
        json.loads(done.stdout),
        json.loads(call("threads", "show", thread, "--json", "--home", history.home).stdout),
    )
    assert found["messages"] == 2
    assert now["messages"] == len(times)
    assert all(each["at"] <= at for each in found["entries"])
    assert found["entries"] == now["entries"][: len(found["entries"])]
    replies = [each["text"] for each in found["entries"] if each["kind"] == "reply"]
    assert found["last_assistant_message"] == replies[-1]
    early = call("threads", "show", thread, "--at", "2026-01-01", "--home", history.home)
    assert "began later" in refused(early)

"""`fleet whatif` on thousands of messages, against a Messages API on loopback."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from support.claude import KEY
from support.commands import Running, call, refused
from support.history import MODELS, History
from support.messages_server import MessagesServer, error
from support.obedient import BETTER, MODEL, WORSE, command, label_truth, obedient, write

from fleet.agents.catalog import Text
from fleet.audit.declared import Declarations
from fleet.runtime.home import Home

LAST = 400


@pytest.fixture(scope="module")
def labelled(history: History, tmp_path_factory: pytest.TempPathFactory) -> History:
    """A copy of the history in which the last messages that a model was asked about are labelled."""
    home = tmp_path_factory.mktemp("labelled") / "home"
    shutil.copytree(history.home, home)
    copy = History(home, history.planned)
    rounds = {each.id for each in history.planned[-LAST - 100 :]}
    label_truth(copy, lambda planned, event: planned.id in rounds)
    return copy


def head(history: History) -> tuple[int, str]:
    with Home(history.home).read_ledger() as ledger:
        return ledger.head()


async def asked(server: MessagesServer, history: History, *words: object) -> dict[str, Any]:
    done = await command(server, "whatif", "--home", history.home, "--limit", LAST, "--json", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return dict(json.loads(done.stdout))


async def test_a_worse_prompt_is_shown_to_be_worse(labelled: History, tmp_path: Path) -> None:
    before = head(labelled)
    async with MessagesServer(obedient(labelled)) as server:
        found = await asked(server, labelled, "--model", MODEL, "--prompt", write(tmp_path, "worse.md", WORSE))
        assert len(server.requests) == LAST
        system = server.requests[0].json["system"]
        assert "Agents: 4." in json.dumps(system)  # rendered with the agents of then
    assert found["complete"] is True
    assert found["messages"] == LAST
    judged = found["labelled"]
    assert judged["n"] == LAST
    assert judged["verdict"] == "worse"
    assert judged["new_accuracy"] < 0.6 < 0.9 < judged["old_accuracy"]
    assert judged["interval"][1] < 0
    assert judged["p_value"] < 1e-6
    assert found["same"] + found["different"] == LAST == sum(each["n"] for each in found["confusion"])
    assert len(found["differences"]) == found["different"]
    lost = sum(each["n"] for each in found["confusion"] if each["old"].startswith("new ") and each["new"] == "continue")
    assert lost > 50
    assert found["old"]["cost_usd"] > 0
    assert found["new"]["cost_usd"] > 0
    assert found["new"]["latency_ms"]["p50"] > 0
    assert head(labelled) == before


async def test_a_better_prompt_is_proved_by_the_labels(labelled: History, tmp_path: Path) -> None:
    async with MessagesServer(obedient(labelled)) as server:
        done = await command(
            server, "whatif", "--home", labelled.home, "--limit", LAST, "--model", MODEL,
            "--prompt", write(tmp_path, "better.md", BETTER),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "better, by more than noise" in done.stdout
    assert f"of {LAST} labelled messages" in done.stdout
    assert f"{LAST} are now" in done.stdout
    assert "then ↓   now →" in done.stdout


async def test_the_stored_transcript_is_shown_again_word_for_word(history: History, tmp_path: Path) -> None:
    async with MessagesServer(obedient(history)) as server:
        found = await asked(server, history, "--model", MODEL, "--state", tmp_path / "state")
        seen = {request.json["messages"][0]["content"] for request in server.requests}
        systems = {json.dumps(request.json["system"]) for request in server.requests}
    with Home(history.home).read_ledger() as ledger:
        for each in found["differences"]:
            event = ledger.read_stream(f"message:{each['message_id']}")[1].event
            assert ledger.blob(event.decision.transcript).decode() in seen  # type: ignore[attr-defined]
    assert len(seen) == LAST
    assert len(systems) == 1


async def test_a_worse_warmup_is_shown_to_be_worse_and_the_same_one_changes_nothing(
    labelled: History, tmp_path: Path
) -> None:
    with Home(labelled.home).read_ledger() as ledger:
        warmup: Text = Declarations(ledger).at(ledger.head()[0]).dispatcher.warmup
    same, blind = write(tmp_path, "same.py", warmup.body), write(tmp_path, "blind.py", warmup.body + "\nthreads = []\n")
    async with MessagesServer(obedient(labelled)) as server:
        stored = await asked(server, labelled, "--model", MODEL)
        rebuilt = await asked(server, labelled, "--model", MODEL, "--warmup", same)
        worse = await asked(server, labelled, "--model", MODEL, "--warmup", blind)
    assert rebuilt["threads_not_rebuilt"] == 0
    assert rebuilt["confusion"] == stored["confusion"]
    assert rebuilt["labelled"] == stored["labelled"]
    assert worse["labelled"]["verdict"] == "worse"
    assert not any(each["new"] in ("continue", "another thread") for each in worse["confusion"])


async def test_killed_and_started_again_it_goes_on(labelled: History, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    words = (
        "whatif", "--home", labelled.home, "--limit", 200, "--model", MODEL, "--concurrency", 4, "--json",
        "--prompt", write(tmp_path, "killed.md", BETTER), "--state", state,
    )  # fmt: skip
    async with MessagesServer(obedient(labelled), latency_s=0.01) as server:
        with Running(*words, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=server.url) as running:
            await server.arrived(60)
            running.signal(signal.SIGKILL)
        kept = state.read_bytes().count(b"\n") - 1  # one line says which what-if it is
        with state.open("ab") as torn:
            torn.write(b'{"seq": 12, "outco')  # as a kill in the middle of a write leaves it
        await server.idle()
        first = len(server.requests)
        done = await command(server, *words)
        again = len(server.requests) - first
    found = json.loads(done.stdout)
    assert found["complete"] is True
    assert found["messages"] == 200
    assert 60 - 4 <= kept < 200
    assert again == 200 - kept
    assert first <= kept + 4


async def test_without_a_state_file_named_it_is_kept_in_the_home(small_history: History, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(small_history.home, home)
    copy = History(home, small_history.planned)
    words = ("whatif", "--home", home, "--model", MODEL, "--json")
    async with MessagesServer(obedient(copy)) as server:
        first = await command(server, *words)
        asked_once = len(server.requests)
        again = await command(server, *words)
        assert len(server.requests) == asked_once > 150
    (state,) = (home / "whatif").iterdir()
    assert state.stat().st_mode & 0o777 == 0o600
    assert json.loads(first.stdout) == json.loads(again.stdout)


async def test_a_budget_stops_it_and_a_larger_one_goes_on(labelled: History, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    words = ("--model", MODEL, "--prompt", write(tmp_path, "costly.md", BETTER), "--state", state)
    async with MessagesServer(obedient(labelled)) as server:
        few = await asked(server, labelled, *words, "--max-messages", 30)
        assert (few["messages"], few["complete"], len(server.requests)) == (30, False, 30)
        one = few["new"]["cost_usd"] / 30
        some = await asked(server, labelled, *words, "--max-usd", 100 * one)
        assert 90 <= some["messages"] <= 100
        assert some["new"]["cost_usd"] <= 100 * one
        assert len(server.requests) == some["messages"]
        stopped = await command(
            server, "whatif", "--home", labelled.home, "--limit", LAST, *words, "--max-usd", 100 * one
        )
        assert "the budget stopped it after" in stopped.stderr
        whole = await asked(server, labelled, *words)
        assert (whole["messages"], len(server.requests)) == (LAST, LAST)


async def test_a_model_that_gives_no_answer_is_given_up_soon(small_history: History, tmp_path: Path) -> None:
    async with MessagesServer(lambda _: error(401)) as server:
        done = await command(
            server, "whatif", "--home", small_history.home, "--model", MODEL, "--state", tmp_path / "state"
        )
    assert "got no answer" in refused(done)
    assert len(server.requests) < 20


def test_without_a_key_the_offline_router_is_asked(small_history: History, tmp_path: Path) -> None:
    done = call("whatif", "--home", small_history.ledger_file, "--model", "offline:router", "--state", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("What if: model offline:router\n")
    assert MODELS[0] not in done.stdout
    words = ("--prompt", write(tmp_path, "other.md", BETTER), "--model", "offline:router", "--state", tmp_path / "t")
    deaf = call("whatif", "--home", small_history.ledger_file, *words)
    note = "offline:router does not read prompts: another one changes nothing; name a --model that does"
    assert deaf.stdout.splitlines()[1] == note
    assert json.loads(call("whatif", "--home", small_history.ledger_file, *words, "--json").stdout)["note"] == note


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what is to be other: --prompt FILE, --model M or --warmup FILE"),
        (("--prompt", "nowhere.md"), "nowhere.md: No such file or directory"),
        (("--model", "anthropic:claude-haiku-4-5"), "needs a key"),
        (("--model", "offline:router", "--since", "2030-01-01"), "no message fits"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(small_history: History, words: tuple[str, ...], said: str) -> None:
    assert said in refused(call("whatif", "--home", small_history.home, *words))


def test_a_state_file_of_another_what_if_or_of_something_else_is_refused(
    small_history: History, tmp_path: Path
) -> None:
    state, other = tmp_path / "state", write(tmp_path, "other", "a letter\n")
    words = ("whatif", "--home", small_history.home, "--model", "offline:router", "--limit", 3, "--state")
    assert call(*words, state).returncode == 0
    prompt = write(tmp_path, "p.md", BETTER)
    assert "belongs to another what-if" in refused(call(*words, state, "--prompt", prompt))
    assert "is not the state of a what-if" in refused(call(*words, other))
    assert other.read_text() == "a letter\n"

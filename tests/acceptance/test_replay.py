"""`fleet replay` on thousands of messages, and on a decision that an older fleet read otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.commands import call, refused, run
from support.history import History
from support.obedient import ids

from fleet.ledger.base import Blob, Draft
from fleet.ledger.events import Attempt, Candidate, Decision, MessageDecided
from fleet.runtime.home import Home
from fleet.runtime.intake import Message, accept_now


def test_every_stored_answer_is_read_as_it_was(history: History) -> None:
    done = run("replay", "--all", "--home", history.home)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("5000 decisions, ")
    assert done.stdout.endswith(" the same, 0 differ\n")


def test_json_is_an_object_a_decision(small_history: History) -> None:
    done = call("replay", "--all", "--json", "--home", small_history.home)
    assert done.returncode == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert ids(done.stdout.splitlines()) == {each.id for each in small_history.planned}
    assert all(each["same"] and each["then"] == each["now"] for each in found)
    refusals = [each for each in found if len(each["answers"]) > 1]
    assert refusals
    assert all(each["answers"][0]["now"] != "ok" for each in refusals)


def test_named_messages_by_the_beginning_of_their_ids(small_history: History) -> None:
    one, two = small_history.planned[3].id, small_history.planned[-1].id
    done = call("replay", one, two, "--home", small_history.home)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("2 decisions, ")
    assert "begins the ids of several messages" in refused(call("replay", "m-", "--home", small_history.home))
    assert "name messages to replay, or say --all" in refused(call("replay", "--home", small_history.home))


@pytest.fixture
def older(small_history: History, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(small_history.home, home)
    return home


def decide(home: Path, message_id: str, attempts: tuple[Attempt, ...], **fields: Any) -> None:
    """A decision as an older fleet has recorded it."""
    transcript, prompt = Blob.of(f"what {message_id} was shown"), Blob.of("the prompt of then")
    given: dict[str, Any] = {
        "by": "model", "outcome": "dispatch_to", "thread_id": "thr_0", "job_id": "job_0", "agent": "billing",
        "thread_index": 0, "candidates": (Candidate(thread_id="thr_0", agent="billing"),), "agents": ("billing",),
        "transcript": transcript.hash, "prompt": prompt.hash,
    }  # fmt: skip
    with Home(home).open_ledger() as ledger:
        accept_now(ledger, Message("old", "an old one", message_id), 65536)
        decision = Decision(**given | fields, attempts=attempts)
        event = MessageDecided(message_id=message_id, user="old", text="an old one", decision=decision)
        ledger.append_now(Draft(f"message:{message_id}", 1, (event,), "old", (transcript, prompt)))


def test_an_answer_that_was_taken_and_would_be_refused_now(older: Path) -> None:
    decide(older, "old-prose", (Attempt(model="m", answer="dispatch_to(threads[0])"),))
    done = run("replay", "--all", "--home", older)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "old-prose  differs"
    assert lines[1].strip().startswith("answer 1 of m: ok then, ")
    assert lines[2].strip() == "dispatch_to(threads[0]) then, no action now"
    assert lines[-1].endswith(" 1 differ")


def test_an_answer_that_was_refused_and_would_be_taken_now(older: Path) -> None:
    first = Attempt(
        model="m", answer='```python\nstart_new_thread(agent="billing", language="en")\n```', verdict="no_block"
    )
    second = Attempt(model="m", answer="```python\ndispatch_to(threads[0])\n```")
    decide(older, "old-strict", (first, second))
    done = call("replay", "old-strict", "--json", "--home", older)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["then"] == {"action": "dispatch_to", "thread_index": 0}
    assert found["now"]["agent"] == "billing"
    assert [each["now"] for each in found["answers"]] == ["ok", "ok"]


def test_an_agent_whose_locale_won_over_the_answers_language_is_no_difference(older: Path) -> None:
    answer = Attempt(model="m", answer='```python\nstart_new_thread(agent="billing", language="en")\n```')
    decide(
        older, "old-locale", (answer,), outcome="start_new_thread", thread_index=None, thread_id="thr_x", language="de"
    )
    assert call("replay", "old-locale", "--home", older).returncode == 0


def test_a_message_that_waits_has_nothing_to_replay(older: Path) -> None:
    with Home(older).open_ledger() as ledger:
        accept_now(ledger, Message("old", "still waiting", "old-waiting"), 65536)
    assert "not decided yet" in refused(call("replay", "old-waiting", "--home", older))

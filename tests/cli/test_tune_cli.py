"""`fleet tune` on a home in which a real fleet routed, and people said what would have been right."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from support.commands import call
from support.fleets import decisions, echo, go_on, printed_message, scripted, start

from fleet import App, DialogAgent, Fleet, Message, Settings
from fleet.audit.labelling import label
from fleet.audit.labels import labels
from fleet.audit.tuning import lessons, newest_share
from fleet.llm.base import Request
from fleet.llm.offline.tuning import TUNING_FILE, read_tuning
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home

ROOMS = ("a room", "the small room", "the large room", "two rooms", "the hall", "a desk")
DAYS = ("monday", "tuesday", "friday", "sunday")
TROUBLES = ("hums", "drips", "flickers", "smells")
THINGS = ("tap", "lamp", "lift", "door", "heating")


def application() -> App:
    return App(
        name="house",
        agents=[
            DialogAgent("rooms", description="Books rooms, lamps, lifts and doors for a day"),
            DialogAgent("caretaker", description="Sees to the rest"),
        ],
    )


def messages() -> list[tuple[str, str, str]]:
    """(id, text, the agent it is for): what is broken is the caretaker's, though its words are another's."""
    booked = [f"Book {room} on {day}" for room in ROOMS for day in DAYS][:18]
    broken = [f"The {thing} {trouble} again" for thing in THINGS for trouble in TROUBLES][:20]
    told = [*((text, "rooms") for text in booked), *((text, "caretaker") for text in broken)]
    return [(f"m-{number}", text, agent) for number, (text, agent) in enumerate(told)]


async def live(home: Path) -> None:
    models = {"test:worker": ScriptedModel(echo, name="test:worker")}
    settings = Settings(home=home, router_model="offline:router", worker_model="test:worker")
    async with Fleet(application(), settings, models=models, workers=False) as fleet:
        for message_id, text, _ in messages():
            await fleet.accept(Message(f"user-{message_id}", text, message_id))
        await fleet.idle()


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tune") / "home"
    asyncio.run(live(home))
    with Home(home).open_ledger() as ledger:
        for message_id, _, agent in messages():
            label(ledger, message_id, agent=agent, by="reviewer")
    return home


@pytest.fixture
def home(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "home"))


def test_it_learns_from_labels_and_shows_the_gain_on_what_was_held_back(home: Path) -> None:
    dry = call("tune", "--home", str(home), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "38 labelled decisions" in dry.stdout
    assert "26 learned from, 12 held back" in dry.stdout
    assert dry.stdout.endswith("that is a gain; nothing was written (--dry-run)\n")
    assert not (home / TUNING_FILE).exists()

    done = call("tune", "--home", str(home), "--json")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    found = json.loads(done.stdout)
    held = found["held_back"]
    assert found["helps"] is True
    assert found["written"] == str(home / TUNING_FILE)
    assert held["n"] == 12
    assert held["new_accuracy"] > held["old_accuracy"]
    assert held["loss_after"] < held["loss_before"]
    tuning = read_tuning(home)
    assert tuning is not None
    assert (tuning.id, tuning.labels) == (found["id"], 26)
    assert tuning.agents["caretaker"] > tuning.agents["rooms"]
    assert tuning.prior is None  # nobody had a thread to continue


def test_nothing_is_written_where_it_is_no_better_than_what_is_in_force(home: Path) -> None:
    assert call("tune", "--home", str(home)).returncode == 0
    before = (home / TUNING_FILE).read_bytes()
    again = call("tune", "--home", str(home))
    assert again.returncode == 0
    assert again.stdout.endswith("no better on what was held back: nothing was written, the router stays as it is\n")
    assert (home / TUNING_FILE).read_bytes() == before
    assert json.loads(call("tune", "--home", str(home), "--json").stdout)["written"] is None


def test_labels_that_teach_the_wrong_thing_for_what_is_held_back_write_nothing(lived: Path, tmp_path: Path) -> None:
    """What was learned from says one thing, and what was held back another."""
    from hashlib import sha256

    home = Path(shutil.copytree(lived, tmp_path / "home"))
    ordered = sorted((each[0] for each in messages()), key=lambda each: sha256(each.encode()).digest())
    with Home(home).open_ledger() as ledger:
        for at, message_id in enumerate(ordered):
            label(ledger, message_id, agent="rooms" if at < len(ordered) // 3 else "caretaker", by="reviewer")
    found = json.loads(call("tune", "--home", str(home), "--json").stdout)
    assert found["held_back"]["new_accuracy"] < found["held_back"]["old_accuracy"]
    assert (found["helps"], found["written"]) == (False, None)
    assert not (home / TUNING_FILE).exists()


def test_the_tuned_router_decides_from_then_on_and_why_says_so(home: Path) -> None:
    assert call("tune", "--home", str(home)).returncode == 0
    tuning = read_tuning(home)
    assert tuning is not None

    async def one_more() -> None:
        models = {"test:worker": ScriptedModel(echo, name="test:worker")}
        settings = Settings(home=home, router_model="offline:router", worker_model="test:worker")
        async with Fleet(application(), settings, models=models, workers=False) as fleet:
            await fleet.accept(Message("zoe", "The door drips again", "m-after"))
            await fleet.idle()

    asyncio.run(one_more())
    shown = call("why", "m-after", "--home", str(home)).stdout
    assert f"tuned by labels ({tuning.id})" in " ".join(shown.split())
    before = call("why", "m-1", "--home", str(home)).stdout
    assert "tuned by labels" not in before


def test_eval_says_that_the_router_is_tuned(home: Path, tmp_path: Path) -> None:
    assert call("audit", "cases", str(tmp_path / "cases"), "--home", str(home)).returncode == 0
    cases = str(tmp_path / "cases" / "cases.jsonl")
    plain = call("eval", cases, "--json", "--home", str(home))
    assert plain.stderr == ""
    assert call("tune", "--home", str(home)).returncode == 0
    tuned = call("eval", cases, "--json", "--home", str(home))
    assert f"offline:router is tuned by {home / TUNING_FILE}" in tuned.stderr
    assert json.loads(tuned.stdout)["joint_accuracy"] > json.loads(plain.stdout)["joint_accuracy"]


def test_too_few_labels_are_refused_in_one_line(lived: Path, tmp_path: Path) -> None:
    home = tmp_path / "few"
    asyncio.run(live(home))
    with Home(home).open_ledger() as ledger:
        for message_id, _, agent in messages()[:5]:
            label(ledger, message_id, agent=agent, by="reviewer")
    refused = call("tune", "--home", str(home))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("fleet: 5 decisions of the router are labelled and tuning needs 30")
    assert refused.stderr.count("\n") == 1
    assert not (home / TUNING_FILE).exists()
    nothing = call("tune", "--home", str(tmp_path / "none"))
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)


def test_a_ledger_alone_is_no_place_to_write_into(home: Path) -> None:
    file = Home(home).ledger_file
    refused = call("tune", "--home", str(file))
    assert refused.returncode == 2
    assert "is a ledger alone; name its home, or say --dry-run" in refused.stderr
    assert call("tune", "--home", str(file), "--dry-run").returncode == 0


def test_how_often_the_newest_thread_is_continued_comes_from_the_ledger_and_labels_have_the_last_word(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"

    async def talk() -> list[str]:
        def route(request: Request) -> str:
            said = printed_message(request)
            return start("rooms", said) if said.startswith("Book") else go_on(1 if said.startswith("older") else 0)

        models = scripted(route)
        settings = Settings(home=home, router_model="test:router", worker_model="test:worker")
        async with Fleet(application(), settings, models=models, workers=False) as fleet:
            for number, text in enumerate(("Book a room", "yes", "Book a hall", "older", "newest", "and this")):
                await fleet.accept(Message("ana", text, f"m-{number}"))
                await fleet.idle()
            return [each.thread_id for each in decisions(fleet)]

    threads = asyncio.run(talk())
    with Home(home).open_ledger() as ledger:
        assert newest_share(ledger, {}) == (3, 5)  # the first message had no thread to continue
        label(ledger, "m-2", thread=threads[0], by="reviewer")
        assert newest_share(ledger, labels(ledger)) == (4, 5)
        label(ledger, "m-5", thread=threads[2], by="reviewer")
        assert newest_share(ledger, labels(ledger)) == (3, 5)
        found = lessons(ledger, labels(ledger))
        assert [(each.message_id, each.wanted, each.was_right) for each in found] == [
            ("m-2", (0, None), False),
            ("m-5", (1, None), False),
        ]

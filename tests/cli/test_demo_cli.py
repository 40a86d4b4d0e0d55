"""`fleet demo`: the whole day, cut off and gone on with, on a home that is finished or somebody else's."""

from __future__ import annotations

import re
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest
from support.commands import Running, at_rest, call, refused, run
from support.fleets import check_exactly_once, open_fleet

from fleet.demo import DAY
from fleet.ledger.events import FleetStarted, ReplyDelivered
from fleet.runtime.home import Home


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with the whole day, and what the demo printed."""
    home = tmp_path_factory.mktemp("demo") / "home"
    done = run("demo", "--home", home)
    assert (done.returncode, done.stderr) == (0, "")
    return home, done.stdout


def _history(home):
    with Home(home).read_ledger() as ledger:
        return list(ledger.read())


def test_every_message_is_shown_with_its_decision_and_its_reply_in_order(finished):
    _, printed = finished
    parts = re.split(r"^day-\d\d  ", printed, flags=re.M)[1:]
    assert len(parts) == len(DAY) >= 14
    for line, part in zip(DAY, parts, strict=True):
        said, arrow, *rest = part.splitlines()
        assert said == f"{line.user}: {line.text}"
        verb = "  → new thread thr_" if line.continues is None else "  → continues thr_"
        assert arrow.startswith(verb)
        assert arrow.endswith(f"with {line.agent}")
        heading = next(each for each in rest if each.startswith(f"  {line.agent}:"))
        reason, reply = rest[: rest.index(heading)], rest[rest.index(heading) + 1 :]
        assert reason
        assert all(each.startswith("    ") for each in reason)
        for word in line.says:
            assert word in " ".join(" ".join(reply).split())


def test_a_supervised_result_is_shown_as_one_that_the_user_is_not_told(finished):
    _, printed = finished
    assert printed.count("a result for its supervisor; the user is not written to") == 1


def test_it_says_which_models_answer_ends_with_a_why_and_says_what_to_try(finished):
    home, printed = finished
    assert printed.splitlines()[0].startswith("No ANTHROPIC_API_KEY is set, so the offline models are used")
    why = printed.split("$ fleet why day-03")[1]
    assert '"Friday is better"' in why
    assert "offline:router" in why
    for command in ("why day-03", "threads list", "audit list", "store verify", "chat --user ana"):
        assert f"fleet {command} --home {home}" in why


def test_the_readme_shows_the_page_that_it_ends_with(finished):
    _, printed = finished
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    shown, real = (text.split("$ fleet why day-03\n")[1] for text in (readme, printed))
    shown, real = shown.split("\n```")[0], real.split("\nWhat to try next")[0]
    assert _bones(shown) == _bones(real)


def _bones(page):
    """The headings, and what stands left of the texts: times, hashes and wrapping aside."""
    headings = [line for line in page.splitlines() if line and not line.startswith(" ")]
    left = [re.split(r"\s{2,}", line.strip())[0] for line in page.splitlines() if re.match(r"  \S", line)]
    return headings, [each for each in left if not re.match(r"[\d.]+ (µs|ms|s)$", each)]


def test_what_it_left_behind_verifies(finished):
    home, _ = finished
    assert call("store", "verify", "--home", home).returncode == 0


def test_a_home_with_the_whole_day_is_told_so_and_no_message_is_sent_again(finished):
    home, _ = finished
    before = _history(home)
    done = run("demo", "--home", home)
    assert done.returncode == 0
    assert f"the whole day already: {len(DAY)} messages" in done.stdout
    assert "→ new thread" not in done.stdout
    added = _history(home)[len(before) :]
    assert [type(stored.event) for stored in added] == [FleetStarted]


@pytest.mark.parametrize("words", ["messages of two people", "day-03", "day-06", "day-13"])
def test_killed_and_started_again_it_finishes_the_day_once(tmp_path, words):
    home = tmp_path / "home"
    with Running("demo", "--home", home) as cut:
        cut.read_until(words)
        cut.process.kill()
        assert cut.end() == -signal.SIGKILL
    done = run("demo", "--home", home)
    assert done.returncode == 0, done.stderr
    events = _history(home)
    check_exactly_once(events)
    with Home(home).read_ledger() as ledger:
        assert at_rest(ledger)
        assert all(ledger.version(f"message:day-{number:02}") == 2 for number in range(1, len(DAY) + 1))
    delivered = Counter(stored.event.reply_id for stored in events if isinstance(stored.event, ReplyDelivered))
    assert set(delivered.values()) == {1}
    assert len(delivered) == sum(line.agent != "sounding_board" for line in DAY)
    assert call("store", "verify", "--home", home).returncode == 0


def test_without_a_home_it_makes_a_new_one_and_keeps_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a model that never answers: the day cannot end before
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Running("demo", TMPDIR=str(tmp_path), ANTHROPIC_API_KEY="none", ANTHROPIC_BASE_URL=url) as made:
            line = made.read_until("Home: ")
            home = Path(line.split()[1])
            assert home.parent == tmp_path
            made.signal(signal.SIGINT)
            assert made.end() == 130
    assert made.said[-1] == "fleet: interrupted\n"
    assert (home / "ledger.db").exists()


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    with Running("demo", "--home", tmp_path / "home") as cut:
        cut.read_until("day-01")
        assert cut.process.stdout is not None
        cut.process.stdout.close()
        assert cut.process.stderr is not None
        assert cut.process.stderr.read() == ""
        assert cut.process.wait(60) == 141


async def test_a_home_of_another_application_is_refused(tmp_path):
    home = tmp_path / "home"
    async with open_fleet(home):
        pass
    before = _history(home)
    assert "belongs to the application small" in refused(call("demo", "--home", home))
    assert _history(home) == before

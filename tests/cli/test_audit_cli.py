"""`fleet audit list`, as it is typed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.audited import DAY, audited_fleet, make_day
from support.commands import call
from support.fleets import open_fleet

from fleet import Message
from fleet.cli.main import fleet
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


@pytest.fixture
def listed(day: Path) -> Run:
    def run(*words: str, home: Path = day) -> Result:
        return CliRunner().invoke(fleet, ["--home", str(home), "audit", "list", *words])

    return run


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_one_object_a_line_for_every_decision(listed: Run) -> None:
    found = rows(listed("--json"))
    assert [each["message_id"] for each in found] == [message_id for message_id, *_ in DAY]
    needed = {"message_id", "user", "decided_at", "seq", "action", "thread_id", "agent", "verdicts", "fallback"}
    for each in found:
        assert needed <= set(each)
        assert each["action"] in ("dispatch_to", "start_new_thread", "drop", "error", "human")
    assert sorted({each["seq"] for each in found}) == [each["seq"] for each in found]


def test_json_with_a_limit_is_the_end_of_the_same_list(listed: Run) -> None:
    assert rows(listed("--json", "--limit", "4")) == rows(listed("--json"))[-4:]
    assert listed("--json", "--limit", "0").stdout == ""


def test_the_table_has_the_newest_last(listed: Run) -> None:
    lines = listed().stdout.splitlines()
    assert lines[0].split() == ["decided", "(UTC)", "message", "user", "text", "where", "it", "went", "by"]
    ids = [line.split()[1] for line in lines[1:] if line[:4].isdigit()]
    assert ids == [message_id for message_id, *_ in DAY]
    assert [line.split()[1] for line in listed("--limit", "2").stdout.splitlines() if line[:4].isdigit()] == ids[-2:]


def test_a_long_text_is_cut_where_it_can_be_seen(tmp_path: Path) -> None:
    words = "Where is the parcel … that I ordered three weeks ago?"
    with Home(tmp_path).open_ledger() as ledger:
        accept_now(ledger, Message("ana", words, "m-1"), 65536)
        accept_now(ledger, Message("ana", words[:40], "m-2"), 65536)

    async def route() -> None:
        async with open_fleet(tmp_path) as fleet:
            await fleet.idle()

    asyncio.run(route())
    said = call("audit", "list", "--home", tmp_path).stdout
    assert '"Where is the parcel … that I ordered th…"' in said
    assert '"Where is the parcel … that I ordered thr"' in said


def test_the_table_says_where_each_went_and_who_decided(listed: Run) -> None:
    text = {line.split()[1]: line for line in listed().stdout.splitlines() if line[:4].isdigit()}
    assert '"Friday is better"' in text["m-friday"]
    assert "→ thr_" in text["m-friday"]
    assert "+ new thr_" in text["m-swap"]
    assert "dropped" in text["m-spam"]
    assert "a person" in text["m-lost"]
    assert "fallback: router" in text["m-outage"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--user", "ben"], ["m-hesitate", "m-outage", "m-lost"]),
        (["--agent", "researcher"], ["m-research"]),
        (["--action", "drop"], ["m-spam"]),
        (["--action", "cancelled"], []),
        (["--fallback"], ["m-outage", "m-lost", "m-stumble"]),
        (["--fallback", "--user", "dan"], ["m-stumble"]),
        (["--until", "2020-01-01"], []),
        (["--since", "2020-01-01", "--user", "ben", "--limit", "1"], ["m-lost"]),
    ],
)
def test_filters(listed: Run, words: list[str], expected: list[str]) -> None:
    assert [each["message_id"] for each in rows(listed("--json", *words))] == expected


def test_nothing_that_fits_says_so(listed: Run) -> None:
    result = listed("--user", "nobody")
    assert (result.exit_code, result.stdout) == (0, "no decision fits\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "-1"], "-1 is not in the range"),
        (["--limit", "x"], "'x' is not a valid integer"),
        (["--action", "jump"], "'jump' is not one of"),
        (["--since", "soon"], "a time looks like"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(listed: Run, words: list[str], said: str) -> None:
    result = listed(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_it_lists_beside_a_running_worker(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def live() -> list[dict[str, Any]]:
        async with audited_fleet(home) as running:
            await running.accept(Message("ana", "hello", "m-1"))
            await running.idle()
            found = await asyncio.to_thread(CliRunner().invoke, fleet, ["audit", "list", "--json", "--home", str(home)])
            return rows(found)

    assert [each["message_id"] for each in asyncio.run(live())] == ["m-1"]

"""Labelled cases: what is read, what a router is shown, what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.agents.agent import MessageDispatcher
from fleet.agents.catalog import DEFAULT_DISPATCHER_WARMUP, Text
from fleet.audit.cases import CONVERSATION, Case, facts_of_case, read_cases, read_offered
from fleet.errors import InputError
from fleet.llm.offline.printed import read_printed
from fleet.prompting.views import AgentView
from fleet.routing.shown import show

DATA = Path(__file__).parents[1] / "data"


def case(**given: Any) -> dict[str, Any]:
    whole = {
        "id": "c1",
        "now": "2026-03-10T15:00:00Z",
        "message": "Friday\nis better",
        "threads": [
            {
                "id": "t1",
                "agent": "planner",
                "summary": "User: swap my shift",
                "latest_activity_at": "2026-03-10T16:57:00+02:00",
                "last_assistant_message": "Which day?",
            },
            {"id": "t2", "agent": None, "summary": None, "latest_activity_at": "2026-03-10T14:05:00Z"},
        ],
        "agents": ["planner", "clerk"],
        "gold": {"action": "continue", "thread": 0, "agent": "planner"},
        "strata": ["short"],
        "src": {"file": "gives it away"},
        "user": 7,
    }
    return {**whole, **given}


def write(path: Path, *cases: Any) -> Path:
    lines = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in cases)
    path.write_text(lines + "\n", "utf-8")
    return path


def write_agents(folder: Path) -> Path:
    agents = {
        "planner": {
            "role": "planner",
            "description": "Plans\nshifts",
            "capabilities": ["Swap a shift", "Show the plan"],
            "examples": ["Can I swap?", "Who works\ton Friday?"],
        },
        "clerk": {"description": "Answers the rest"},
    }
    path = folder / "agents.json"
    path.write_text(json.dumps({"agents": agents}), "utf-8")
    return path


@pytest.fixture
def offered(tmp_path: Path) -> dict[str, AgentView]:
    return read_offered(tmp_path / "cases.jsonl", write_agents(tmp_path))


def test_agents_are_found_beside_the_cases(tmp_path: Path) -> None:
    write_agents(tmp_path)
    offered = read_offered(tmp_path / "cases.jsonl", None)
    assert offered["planner"] == AgentView(
        "planner",
        "Plans shifts",
        ("Swap a shift", "Show the plan"),
        ((0, "Can I swap?"), (1, "Who works on Friday?")),
    )
    assert set(offered) == {"planner", "clerk", CONVERSATION}


def test_without_an_agents_file_there_is_one_conversation(tmp_path: Path) -> None:
    offered = read_offered(tmp_path / "cases.jsonl", None)
    path = write(tmp_path / "cases.jsonl", case(agents=[], gold={"action": "new", "agent": None}))
    (found,) = read_cases(path, offered)
    assert found.roles == (CONVERSATION,)
    assert list(facts_of_case(found, offered).agents) == [CONVERSATION]


def test_a_router_is_shown_the_case_and_nothing_that_gives_it_away(
    tmp_path: Path, offered: dict[str, AgentView]
) -> None:
    (found,) = read_cases(write(tmp_path / "cases.jsonl", case()), offered)
    shown = show(
        Text("<default>", DEFAULT_DISPATCHER_WARMUP), MessageDispatcher(), facts_of_case(found, offered), count=5
    )
    assert shown.transcript == (
        "Current UTC time: 2026-03-10T15:00:00+00:00\n"
        "Incoming message:\n"
        '"Friday\\nis better"\n'
        "User:\n"
        '"user"\n'
        "Language:\n"
        "en\n"
        "Available agents:\n"
        "- planner: Plans shifts\n"
        "  capabilities: Swap a shift; Show the plan\n"
        "  example_id=0: Can I swap?\n"
        "  example_id=1: Who works on Friday?\n"
        "- clerk: Answers the rest\n"
        "Recent threads:\n"
        "threads[0]:\n"
        "agent: planner\n"
        '"User: swap my shift"\n'
        "latest_activity: 2026-03-10 14:57:00+00:00\n"
        'last_assistant_message: "Which day?"\n'
        "threads[1]:\n"
        "agent: conversation\n"
        '""\n'
        "latest_activity: 2026-03-10 14:05:00+00:00\n"
        'last_assistant_message: ""\n'
    )
    printed = read_printed(shown.transcript)
    assert printed.message == "Friday\nis better"
    assert [thread.status for thread in printed.threads] == ["", ""]


def test_the_projects_own_cases_are_all_readable() -> None:
    path = DATA / "routing_own_cases.jsonl"
    offered = read_offered(path, DATA / "routing_own_agents.json")
    assert len(list(read_cases(path, offered))) == 60


def test_compressed_cases_and_blank_lines(tmp_path: Path, offered: dict[str, AgentView]) -> None:
    path = tmp_path / "cases.jsonl.gz"
    path.write_bytes(gzip.compress(("\n" + json.dumps(case()) + "\n\n").encode()))
    assert [each.id for each in read_cases(path, offered)] == ["c1"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"id": 1', "line 2: Invalid JSON: EOF while parsing an object at column 8"),
        ("[]", "line 2: Input should be an object"),
        (case(now="2026-03-10T15:00:00"), "line 2: now: Input should have timezone info"),
        (case(message=None), "line 2: message: Input should be a valid string"),
        (case(gold={"action": "wait"}), "line 2: gold.action: Input should be 'continue' or 'new'"),
        (
            case(gold={"action": "continue", "thread": 2}),
            "line 2: gold.thread is 2 and there are 2 threads",
        ),
        (case(gold={"action": "continue"}), "line 2: gold.thread is None and there are 2 threads"),
        (case(agents=["pilot"]), "line 2: no agent 'pilot' is described; name the agents' file with --agents"),
    ],
)
def test_what_is_no_case_is_named_by_its_line(
    tmp_path: Path, offered: dict[str, AgentView], bad: Any, said: str
) -> None:
    path = write(tmp_path / "cases.jsonl", case(), bad)
    with pytest.raises(InputError) as caught:
        list(read_cases(path, offered))
    assert caught.value.message == f"{path}, {said}"


def test_files_that_cannot_be_read(tmp_path: Path, offered: dict[str, AgentView]) -> None:
    missing = tmp_path / "none.jsonl"
    with pytest.raises(InputError, match="No such file or directory"):
        list(read_cases(missing, offered))
    with pytest.raises(InputError, match="No such file or directory"):
        read_offered(missing, tmp_path / "none.json")
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(json.dumps(case()).encode() * 50)[:-20])
    with pytest.raises(InputError, match=r"torn\.jsonl\.gz"):
        list(read_cases(torn, offered))
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text("{}")
    with pytest.raises(InputError, match="Not a gzipped file"):
        list(read_cases(plain, offered))


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"agents": []}', '{"agents": {"x": {"capabilities": "one"}}}', "\udcff"]
)
def test_an_agents_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agents.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"agents\.json: ") as caught:
        read_offered(tmp_path / "cases.jsonl", path)
    assert "\n" not in caught.value.message


def test_a_case_reads_no_more_than_it_should() -> None:
    assert {"src", "user"}.isdisjoint(Case.model_fields)

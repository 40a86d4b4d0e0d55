"""`fleet eval`, as it is typed."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.claude import KEY
from support.messages_server import MessagesServer, error, text

from fleet.audit.significance import wilson
from fleet.cli.main import fleet

DATA = Path(__file__).parents[1] / "data"
CASES = DATA / "routing_own_cases.jsonl"
AGENTS = DATA / "routing_own_agents.json"
KEYS = [
    "n",
    "action_accuracy",
    "agent_accuracy_given_new",
    "joint_accuracy",
    "joint_interval",
    "strata",
    "calibration",
    "confusions",
    "invalid_answers",
    "latency_ms",
]

Run = Callable[..., Result]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> Result:
        env = {"ANTHROPIC_API_KEY": None, "FLEET_ROUTER_MODEL": None, "FLEET_HOME": None}
        return CliRunner().invoke(fleet, ["eval", *map(str, words)], env=env)

    return run


def test_json_is_exactly_one_object(evaluate: Run) -> None:
    result = evaluate(CASES, "--agents", AGENTS, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert list(found) == KEYS
    assert found["n"] == 60
    assert found["invalid_answers"] == 0
    for share in ("action_accuracy", "agent_accuracy_given_new", "joint_accuracy"):
        assert 0 < found[share] <= 1
    assert found["joint_accuracy"] <= found["action_accuracy"]
    strata = [stratum for line in CASES.read_text("utf-8").splitlines() for stratum in json.loads(line)["strata"]]
    assert {name: each["n"] for name, each in found["strata"].items()} == {
        name: strata.count(name) for name in set(strata)
    }
    low, high = found["joint_interval"]
    assert low < found["joint_accuracy"] < high
    assert all(each["interval"] == list(wilson(round(each["joint_accuracy"] * each["n"]), each["n"]))
               for each in found["strata"].values())  # fmt: skip
    assert found["calibration"]["n"] == 60
    assert 0 < found["calibration"]["expected_error"] < 0.5
    assert sum(each["n"] for each in found["confusions"]) == round(60 * (1 - found["joint_accuracy"]))
    said = {json.loads(line)["id"]: json.loads(line)["message"] for line in CASES.read_text("utf-8").splitlines()}
    worst = [case for each in found["confusions"] for case in each["worst"]]
    assert all(said[case["id"]] == case["message"] for case in worst)
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"]


def test_the_same_cases_get_the_same_score_twice(evaluate: Run) -> None:
    scores = [json.loads(evaluate(CASES, "--agents", AGENTS, "--json").stdout) for _ in range(2)]
    for each in scores:
        del each["latency_ms"]
    assert scores[0] == scores[1]


def test_nothing_is_left_behind(evaluate: Run, tmp_path: Path) -> None:
    assert evaluate(CASES, "--agents", AGENTS, "--limit", "2").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_the_whole_and_the_strata(evaluate: Run) -> None:
    lines = evaluate(CASES, "--agents", AGENTS, "--limit", "7").stdout.splitlines()
    assert lines[0] == "offline:router on labelled cases"
    assert lines[1].split() == ["cases", "7"]
    assert lines[2].startswith("joint accuracy")
    assert re.search(r"\d %  \d+\.\d to \d+\.\d %$", lines[2])
    assert any(line.split() == ["stratum", "cases", "joint", "accuracy", "95", "%", "interval"] for line in lines)
    assert any(line.startswith("billing ") for line in lines)


def test_the_worst_confusions_are_inert_and_bounded(evaluate: Run, tmp_path: Path) -> None:
    case = {
        "id": "evil", "now": "2026-03-10T15:00:00Z", "message": "Thanks\x1b[31m, bye\n" + "x" * 900,
        "threads": [{"id": "t", "latest_activity_at": "2026-03-10T14:59:00Z", "last_assistant_message": "Done?"}],
        "gold": {"action": "new", "agent": None},
    }  # fmt: skip
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case | {"id": f"evil{number}"}) + "\n" for number in range(4)))
    result = evaluate(path, "--prior", "0.99")
    lines = result.stdout.splitlines()
    at = lines.index("worst confusions")
    assert lines[at + 1] == "4 × new → continue"
    shown = " ".join(" ".join(lines[at + 2 :]).split())
    assert shown.count('"Thanks\\u001b[31m, bye\\nxxx') == 3
    assert "more characters (evil0, sure to" in shown
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_chart_of_the_score(evaluate: Run, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"score.{ending}"
    result = evaluate(CASES, "--agents", AGENTS, "--limit", "12", "--plot", file, "--json")
    assert (result.exit_code, result.stderr) == (0, f"drawn in {file}\n")
    found = json.loads(result.stdout)
    drawn = file.read_bytes()
    assert list(tmp_path.iterdir()) == [file]
    if ending == "png":
        assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
        return
    said = set(re.findall(r">([^<>]+)</text>", drawn.decode()))
    error = found["calibration"]["expected_error"]
    assert {
        "offline:router on 12 labelled cases", f"expected calibration error {error:.3f}", "all (12)", "billing (10)",
    } <= said  # fmt: skip


def test_a_chart_is_refused_before_anything_is_asked(evaluate: Run, tmp_path: Path) -> None:
    result = evaluate(CASES, "--agents", AGENTS, "--plot", tmp_path / "a.pdf")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"fleet: {tmp_path / 'a.pdf'}: a chart's file ends with .png or .svg\n"


def test_agents_beside_compressed_cases(evaluate: Run, tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    folder.mkdir()
    (folder / "agents.json").write_bytes(AGENTS.read_bytes())
    (folder / "some.jsonl.gz").write_bytes(gzip.compress(CASES.read_bytes()))
    found = json.loads(evaluate(folder / "some.jsonl.gz", "--json", "--limit", "3").stdout)
    assert found["n"] == 3


def test_a_cassette_may_be_the_model(evaluate: Run, tmp_path: Path) -> None:
    result = evaluate(CASES, "--agents", AGENTS, "--model", f"cassette:{tmp_path / 'none.json'}")
    assert result.exit_code == 2
    assert "none.json" in result.stderr


def test_a_prior_moves_the_balance(evaluate: Run) -> None:
    def newest(prior: str) -> float:
        found = json.loads(evaluate(CASES, "--agents", AGENTS, "--json", "--prior", prior).stdout)
        return float(found["strata"]["fresh"]["joint_accuracy"])

    assert newest("0.99") <= newest("0.01")


def test_bad_input_is_one_line_and_exit_code_2(evaluate: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(CASES.read_text("utf-8").splitlines()[0] + '\n{"id": \n')
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    for words, said in (
        ((tmp_path / "none.jsonl",), "none.jsonl: No such file or directory"),
        ((CASES, "--agents", tmp_path / "none.json"), "none.json: No such file or directory"),
        ((CASES,), "line 1: no agent 'invoice_helper' is described; name the agents' file with --agents"),
        ((broken, "--agents", AGENTS), "broken.jsonl, line 2: Invalid JSON"),
        ((empty, "--agents", AGENTS), "empty.jsonl holds no case"),
        ((CASES, "--agents", AGENTS, "--model", "no:such"), "there is no model 'no:such'"),
        ((CASES, "--agents", AGENTS, "--model", "anthropic:x"), "anthropic:x needs a key: set ANTHROPIC_API_KEY"),
        ((CASES, "--agents", AGENTS, "--model", "anthropic:x", "--prior", "0.5"), "--prior is for offline:router"),
        ((CASES, "--agents", AGENTS, "--prior", "2"), "2.0 is not in the range"),
        ((CASES, "--agents", AGENTS, "--limit", "0"), "0 is not in the range"),
        ((), "Missing argument 'CASES'"),
    ):
        result = evaluate(*words)
        assert result.exit_code == 2, words
        assert result.stdout == ""
        assert said in result.stderr
        assert result.stderr.count("\n") == 1, result.stderr


async def hosted(server: MessagesServer, *words: str) -> Result:
    """An evaluation whose routing is done by Claude on loopback."""
    env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url, "FLEET_ROUTER_MODEL": None}
    given = ["eval", str(CASES), "--agents", str(AGENTS), *words]
    return await asyncio.to_thread(CliRunner().invoke, fleet, given, env=env)


async def test_with_a_key_claude_routes_a_few_cases_at_a_time() -> None:
    waiting = most = 0

    async def answer(request: Any) -> Any:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await server.arrived(8)
        waiting -= 1
        return text("```python\n# It carries on.\ndispatch_to(threads[0])\n```")

    async with MessagesServer(answer) as server:
        result = await hosted(server, "--json", "--limit", "20")
        seen = server.requests[0].json
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["n"], found["agent_accuracy_given_new"]) == (20, 0.0)
    assert most == 8
    assert seen["model"] == "claude-haiku-5-5"
    assert "tools" not in seen


async def test_a_refused_key_ends_the_run_in_one_line() -> None:
    async with MessagesServer(lambda _: error(401)) as server:
        result = await hosted(server)
        asked = len(server.requests)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fleet: the first 5 cases got no answer: ")
    assert result.stderr.count("\n") == 1
    assert KEY not in result.stderr
    assert asked <= 16


async def test_an_answer_that_is_refused_is_counted_and_the_rest_goes_on() -> None:
    async with MessagesServer() as server:
        server.script(text("To the billing desk, I think."))
        result = await hosted(server, "--json", "--limit", "4")
    assert json.loads(result.stdout)["invalid_answers"] == 1

"""Counting and exporting a history of thousands of messages: what comes out is what was planned."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.commands import run
from support.history import MODELS, History


def printed(*words: object) -> str:
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rows(history: History) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed("audit", "export", "--home", history.home).splitlines()]


def test_every_message_is_exported_once(history: History, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert len(rows) == len(history.planned) >= 5_000
    assert {each["message_id"]: (each["user"], each["text"]) for each in rows} == {
        each.id: (each.user, each.text) for each in history.planned
    }
    file = tmp_path / "all.csv"
    assert printed("audit", "export", "--home", history.home, "--out", file) == f"{len(rows)} decisions in {file}\n"
    with file.open(newline="", encoding="utf-8") as opened:
        table = list(csv.DictReader(opened))
    assert [each["message_id"] for each in table] == [each["message_id"] for each in rows]
    assert [each["thread_id"] for each in table] == [each["thread_id"] for each in rows]
    assert sum(float(each["cost_usd"]) for each in table) == pytest.approx(sum(each["cost_usd"] for each in rows))


def test_the_figures_are_those_of_the_rows(history: History, rows: list[dict[str, Any]]) -> None:
    found = json.loads(printed("audit", "stats", "--json", "--home", history.home))
    assert found["decisions"] == len(rows)
    assert found["actions"] == Counter(each["action"] for each in rows)
    assert found["by"] == Counter(each["by"] for each in rows)
    assert found["fallbacks"] == Counter(each["fallback"] for each in rows if each["fallback"])
    assert found["verdicts"] == Counter(verdict for each in rows for verdict in each["verdicts"])
    refused = sum(bool(each["verdicts"]) and each["verdicts"][0] not in ("ok", "error") for each in rows)
    assert (found["retried"], found["judged"]) == (refused, sum(each["by"] != "gate" for each in rows))
    for percent in (50, 90, 99):
        waits = sorted(sum(each["latency_us"].values()) for each in rows if each["latency_us"])
        nearest = waits[-(-len(waits) * percent // 100) - 1]
        assert found["latency_us"]["total"][f"p{percent}"] == pytest.approx(nearest, rel=0.01)


def test_days_and_models_are_told_apart(history: History, rows: list[dict[str, Any]]) -> None:
    found = json.loads(printed("audit", "stats", "--json", "--home", history.home))
    by_day = Counter(each["decided_at"][:10] for each in rows)
    assert {each["day"]: each["decisions"] for each in found["days"]} == by_day
    assert len(by_day) >= 10
    asked = [{call["model"] for call in day["calls"]} & set(MODELS) for day in found["days"]]
    half = len(asked) // 2
    assert asked == [{MODELS[0]}] * half + [{MODELS[1]}] * (len(asked) - half)
    for model in MODELS:
        spent = sum(call["cost_usd"] for each in rows for call in each["attempts"] if call["model"] == model)
        whole = [call for call in found["calls"] if call["model"] == model]
        assert [call["cost_usd"] for call in whole] == [pytest.approx(spent)]
        days = sum(call["cost_usd"] for day in found["days"] for call in day["calls"] if call["model"] == model)
        assert days == pytest.approx(spent)
        assert spent > 0


def test_redacted_nobody_of_the_history_is_left(history: History, rows: list[dict[str, Any]]) -> None:
    text = printed("audit", "export", "--redact", "--home", history.home)
    clean = [json.loads(line) for line in text.splitlines()]
    kept = ("seq", "message_id", "user", "thread_id", "job_id", "agent", "action", "verdicts", "transcript", "tokens")
    assert [[each[name] for name in kept] for each in clean] == [[each[name] for name in kept] for each in rows]
    assert any("@example.org" in each["text"] for each in rows)
    assert "@example.org" not in text
    assert "4111 1111 1111 1111" not in text
    told = [
        each["text"].partition("My name is ")[2].split(".")[0].split() for each in rows if "My name is " in each["text"]
    ]
    assert len(told) > 100
    for each, was in zip(clean, rows, strict=True):
        name = was["text"].partition("My name is ")[2].split(".")[0].split()
        assert not [word for word in name if word in json.dumps({**each, "user": ""}, ensure_ascii=False)]

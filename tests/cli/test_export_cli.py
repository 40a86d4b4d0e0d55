"""`fleet audit export`, as it is typed."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from support.audited import DAY, make_day
from support.commands import call, refused, run

from fleet import Message
from fleet.audit.export import COLUMNS
from fleet.clock import iso
from fleet.ledger.base import Draft
from fleet.ledger.events import Attempt, Decision, MessageDecided
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now

IDS = [message_id for message_id, *_ in DAY]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


def exported(home: Path, *words: str) -> str:
    done = call("audit", "export", "--home", str(home), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_json_lines_hold_the_listed_row_and_the_whole_decision(day: Path) -> None:
    found = objects(exported(day))
    listed = objects(call("audit", "list", "--json", "--home", str(day)).stdout)
    assert [each["message_id"] for each in found] == IDS
    assert [{name: each[name] for name in listed[0]} for each in found] == listed
    by_id = {each["message_id"]: each for each in found}
    with Home(day).read_ledger() as ledger:
        for each in ledger.read(types=["message.decided"]):
            assert isinstance(each.event, MessageDecided)
            decision = each.event.decision
            whole = by_id[each.event.message_id]
            assert [Attempt(**attempt) for attempt in whole["attempts"]] == list(decision.attempts)
            assert [one["thread_id"] for one in whole["candidates"]] == [one.thread_id for one in decision.candidates]
            assert (whole["job_id"], whole["transcript"]) == (decision.job_id, decision.transcript)


def test_csv_has_a_line_for_each_with_the_same_facts(day: Path) -> None:
    text = exported(day, "--format", "csv")
    assert tuple(text.splitlines()[0].split(",")) == COLUMNS
    rows, whole = cells(text), objects(exported(day))
    assert [row["message_id"] for row in rows] == IDS
    for row, each in zip(rows, whole, strict=True):
        for same in ("user", "decided_at", "action", "thread_id", "job_id", "agent", "by", "fallback", "reason"):
            assert row[same] == each[same]
        assert row["text"] == each["text"]
        assert row["verdicts"].split() == each["verdicts"]
        assert int(row["answers"]) == len(each["attempts"])
        assert float(row["cost_usd"]) == each["cost_usd"]
        assert int(row["input_tokens"]) == each["tokens"]["input"]
        assert row["prompt_hash"] == each["prompt"]["hash"]
        assert row["model_us"] == str(each["latency_us"].get("model", ""))


def test_columns_are_for_ever() -> None:
    assert ",".join(COLUMNS) == (
        "seq,message_id,user,decided_at,action,thread_id,job_id,agent,by,thread_index,name,language,"
        "default_example_id,reason,gate_reason,fallback,fallback_reason,candidates,answers,verdicts,model,prompt_name,"
        "prompt_hash,transcript_hash,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,cost_usd,"
        "queue_us,gate_us,warmup_us,prompt_us,model_us,parse_us,code_version,text,joined,asked,answered_by,answer_to"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--user", "ben"], ["m-hesitate", "m-outage", "m-lost"]),
        (["--fallback", "--user", "dan"], ["m-stumble"]),
        (["--verdict", "error"], ["m-outage", "m-lost"]),
        (["--text", "FRIDAY is"], ["m-friday"]),
        (["--since", "2020-01-01", "--action", "drop"], ["m-spam"]),
        (["--user", "nobody"], []),
    ],
)
def test_the_filters_are_those_of_list(day: Path, words: list[str], expected: list[str]) -> None:
    assert [each["message_id"] for each in objects(exported(day, *words))] == expected
    assert [each["message_id"] for each in cells(exported(day, "--format", "csv", *words))] == expected


def test_the_next_export_goes_on_after_the_last(day: Path) -> None:
    first = objects(exported(day, "--before", "60"))
    rest = objects(exported(day, "--after", str(first[-1]["seq"])))
    assert [each["message_id"] for each in (*first, *rest)] == IDS
    assert first
    assert rest


def test_out_writes_the_same_to_a_file_by_its_ending(day: Path, tmp_path: Path) -> None:
    for name, words in (("a.jsonl", ()), ("a.csv", ("--format", "csv")), ("a.txt", ())):
        file = tmp_path / name
        file.write_text("something old")
        assert exported(day, "--out", str(file)) == f"{len(IDS)} decisions in {file}\n"
        assert file.read_text() == exported(day, *words)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert exported(day, "--format", "csv", "--out", str(tmp_path / "b.jsonl"))
    assert (tmp_path / "b.jsonl").read_text() == exported(day, "--format", "csv")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "a.jsonl", "a.txt", "b.jsonl"]


def test_a_link_stays_a_link(day: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    exported(day, "--out", str(tmp_path / "link.csv"))
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == exported(day, "--format", "csv")


def test_an_export_that_fails_leaves_the_old_file(day: Path, tmp_path: Path) -> None:
    broken = tmp_path / "ledger.db"
    broken.write_bytes(Home(day).ledger_file.read_bytes())
    with SqliteLedger.open(broken) as ledger:
        last = ledger.head()[0]
        accept_now(ledger, Message("ana", "hello", "m-new"), 65536)
        decided = MessageDecided(
            message_id="m-new", user="ana", text="hello", decision=Decision(by="gate", outcome="drop")
        )
        ledger.append_now(Draft("message:m-new", 1, (decided,), "ana"))
        assert ledger.head()[0] == last + 2
    import sqlite3

    with sqlite3.connect(broken) as connection:
        connection.execute("UPDATE events SET body = NULL WHERE seq = ?", (last + 2,))
    connection.close()
    file = tmp_path / "kept.csv"
    file.write_text("the old export")
    done = call("audit", "export", "--home", str(broken), "--out", str(file))
    assert refused(done) == f"the payload of event {last + 2} (message.decided) has been erased"
    assert file.read_text() == "the old export"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kept.csv", "ledger.db"]


def test_refusals_are_one_line(day: Path, tmp_path: Path) -> None:
    def said(*words: str) -> str:
        return refused(call("audit", "export", "--home", str(day), *words))

    assert "'xml' is not one of 'jsonl', 'csv'" in said("--format", "xml")
    assert "a time looks like" in said("--since", "soon")
    assert said("--out", str(tmp_path / "no" / "such.csv")).endswith(
        "such.csv cannot be written: No such file or directory"
    )
    assert "is a directory" in said("--out", str(tmp_path))
    assert said("--out", "/dev/null") == "/dev/null is no plain file; nothing was written"
    assert "there is no fleet in" in refused(call("audit", "export", "--home", str(tmp_path / "none")))


HOSTILE = (
    ("=1+1", "'=1+1"),
    ("+41 79 555 66 77", "'+41 79 555 66 77"),
    ("-2+3", "'-2+3"),
    ("@SUM(A1:A9)", "'@SUM(A1:A9)"),
    ("\t=1+1", "'\t=1+1"),
    ('=HYPERLINK("http://x", "y")', '\'=HYPERLINK("http://x", "y")'),
    ('two\nlines, a comma and a "quote"', 'two\nlines, a comma and a "quote"'),
    ("\x1b[31mred\u202e", "\\u001b[31mred\\u202e"),
    ("a = b", "a = b"),
    ("grüße, 你好 🙂", "grüße, 你好 🙂"),
)


def test_no_cell_is_a_formula_and_nothing_acts_on_a_terminal(tmp_path: Path) -> None:
    with Home(tmp_path).open_ledger() as ledger:
        for number, (text, _) in enumerate(HOSTILE):
            decision = Decision(by="gate", outcome="drop", reason=text, name=text, gate_reason=text)
            decided = MessageDecided(message_id=f"m-{number}", user="=cmd", text=text, decision=decision)
            ledger.append_now(Draft(f"message:m-{number}", 0, (decided,), "=cmd"))
    rows = cells(exported(tmp_path, "--format", "csv"))
    assert [(each["text"], each["name"], each["gate_reason"]) for each in rows] == [
        (inert,) * 3 for _, inert in HOSTILE
    ]
    assert {each["user"] for each in rows} == {"'=cmd"}
    whole = exported(tmp_path)
    assert [each["text"] for each in objects(whole)] == [text for text, _ in HOSTILE]
    assert all(line.isprintable() for line in whole.splitlines())


PRIVATE = "My name is Kenji Weber, kenji.weber@example.com, +49 170 1234567, card 4111 1111 1111 1111"


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_redacted_nothing_personal_is_left_and_ids_stay(tmp_path: Path, kind: str) -> None:
    attempt = Attempt(model="m", answer=f"# {PRIVATE}\nsay()", verdict="no_action", message=f"not: {PRIVATE}")
    decision = Decision(
        by="model", outcome="start_new_thread", thread_id="thr_1", job_id="job_1", agent="clerk", name=PRIVATE,
        reason=PRIVATE, gate_reason=PRIVATE, fallback_reason=PRIVATE, attempts=(attempt, attempt),
    )  # fmt: skip
    with Home(tmp_path).open_ledger() as ledger:
        decided = MessageDecided(message_id="msg_4111111111111111", user="user-4111", text=PRIVATE, decision=decision)
        at = ledger.append_now(Draft("message:msg_4111111111111111", 0, (decided,), "user-4111"))[0].at
    text = exported(tmp_path, "--format", kind, "--redact")
    for private in ("Kenji", "Weber", "kenji.weber", "example.com", "1234567", "4111 1111"):
        assert private in exported(tmp_path, "--format", kind)
        assert private not in text
    (row,) = cells(text) if kind == "csv" else objects(text)
    kept = ("message_id", "user", "thread_id", "job_id", "agent", "action", "decided_at")
    assert [row[each] for each in kept] == [
        "msg_4111111111111111", "user-4111", "thr_1", "job_1", "clerk", "start_new_thread", iso(at),
    ]  # fmt: skip
    assert row["text"] == "My name is [name], [e-mail], [phone], card [card]"
    assert exported(tmp_path, "--redact", "--text", "kenji.weber@example.com") == exported(tmp_path, "--redact")


def test_a_reader_that_goes_away_is_no_error(day: Path) -> None:
    import subprocess

    from support.commands import COMMAND, environment

    line = " ".join((*COMMAND, "audit", "export", "--home", str(day), "|", "head", "-n", "1"))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment(), check=False)
    assert done.stderr == ""
    assert json.loads(done.stdout)["message_id"] == IDS[0]


def test_as_a_process_it_writes_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    with Home(tmp_path).open_ledger() as ledger:
        decided = MessageDecided(
            message_id="m", user="ana", text="grüße 🙂", decision=Decision(by="gate", outcome="drop")
        )
        ledger.append_now(Draft("message:m", 0, (decided,), "ana"))
    done = run("audit", "export", "--home", tmp_path, LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert json.loads(done.stdout)["text"] == "grüße 🙂"

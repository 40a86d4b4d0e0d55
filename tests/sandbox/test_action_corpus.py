"""Every case of the action corpus gets the verdict, or the action, that the corpus names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fleet
from fleet.errors import ActionRejected
from fleet.sandbox import comments_of, parse_action

CORPUS = Path(__file__).parents[1] / "data" / "action_corpus.jsonl"
CASES = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]

# Collects the audit events of parsing the whole corpus. Two are ast.parse's own: `compile`, and, where it refuses a
# text, an `open` of the file name it was given, which is empty and so names no file.
AUDITED = """
import json, sys
from pathlib import Path
import unicodedata
from fleet.errors import ActionRejected
from fleet.sandbox import comments_of, parse_action
cases = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
seen = set()
sys.addaudithook(lambda event, args: seen.add((event, str(args[0]) if event != "compile" else "")))
for case in cases:
    try:
        parse_action(case["output"], n_threads=case["n_threads"], agents=case["agents"],
                     printed_examples=case["printed_examples"]).as_python()
    except ActionRejected:
        pass
    comments_of(case["output"])
events = set(seen)
print(json.dumps(sorted(events)))
"""


def verdict(case: dict) -> dict:
    try:
        action = parse_action(
            case["output"],
            n_threads=case["n_threads"],
            agents=case["agents"],
            printed_examples=case["printed_examples"],
        )
    except ActionRejected as rejected:
        return {"ok": False, "code": rejected.code}
    return {"ok": True, "action": action.as_dict()}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_corpus_case(case: dict) -> None:
    assert verdict(case) == case["expect"]


def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 231
    assert len({case["id"] for case in CASES}) == 231


def test_windows_newlines_change_no_verdict() -> None:
    for case in CASES:
        if "\r" not in case["output"]:
            assert verdict({**case, "output": case["output"].replace("\n", "\r\n")}) == case["expect"], case["id"]


def test_what_was_cut_off_is_refused_whatever_it_says() -> None:
    for case in CASES:
        with pytest.raises(ActionRejected) as caught:
            parse_action(case["output"], n_threads=3, agents=[], printed_examples={}, stop_reason="max_tokens")
        assert caught.value.code == "truncated_output"


def test_nothing_is_executed_opened_or_imported() -> None:
    root = str(Path(fleet.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, str(CORPUS)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert json.loads(done.stdout) == [["compile", ""], ["open", ""]]


def test_comments_of_a_case_hold_no_line_of_code() -> None:
    for case in CASES:
        if case["expect"]["ok"]:
            reason = comments_of(case["output"])
            assert not any(line.startswith(("dispatch_to(", "start_new_thread(")) for line in reason.splitlines())

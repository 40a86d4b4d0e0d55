"""Kept runs of `fleet eval`, paired case by case."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.audit.runs import Run, RunCase, compare_runs, read_run, save_run
from fleet.errors import InputError


def run_of(right: str, digest: str = "d") -> Run:
    cases = (
        RunCase(id=f"c{n}", digest=digest, right=each == "+", strata=("odd",) * (n % 2)) for n, each in enumerate(right)
    )
    return Run(model="offline:router", cases=tuple(cases))


def test_a_kept_run_comes_back_whole(tmp_path: Path) -> None:
    save_run(tmp_path / "run.json", run_of("+-+"))
    assert read_run(tmp_path / "run.json") == run_of("+-+")


def test_cases_are_paired_by_id_and_words() -> None:
    found = compare_runs(run_of("++--"), run_of("+-+-+"))
    paired = found.paired
    assert (paired.both, paired.old_only, paired.new_only, paired.neither) == (1, 1, 1, 1)
    assert found.unpaired == 1
    assert found.strata["odd"].old_only == 1
    with pytest.raises(InputError, match="no case in common"):
        compare_runs(run_of("++"), run_of("++", digest="changed"))


@pytest.mark.parametrize("words", ["", "{}", "[1]", '{"fleet_eval": 1, "model": "m", "cases": [{"id": 1}]}'])
def test_what_is_no_run_is_refused_in_a_line(tmp_path: Path, words: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(words)
    with pytest.raises(InputError, match="is no run of"):
        read_run(path)
    with pytest.raises(InputError, match="No such file"):
        read_run(tmp_path / "nowhere.json")

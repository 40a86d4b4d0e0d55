"""The README's way from a wrong route to a proven fix, command by command, on the demo's day."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from support.commands import run

from fleet.prompting.prompts import default_prompt

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_every_command_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    assert run("demo", "--home", home).returncode == 0
    found = json.loads(run("why", "day-03", "--home", home, "--json").stdout)
    words = {"MESSAGE": "day-03", "THREAD": found["decision"]["thread_id"]}
    monkeypatch.chdir(tmp_path)
    Path("better.md").write_text(default_prompt("dispatcher"))
    walk = README.split("### From a wrong route to a proven fix\n")[1].split("```")[1]
    lines = [line for line in walk.splitlines() if line.startswith("$ fleet ")]
    assert len(lines) == 9
    said = []
    for line in lines:
        words_of = [words.get(each, each) for each in shlex.split(re.sub(r" {2,}# .*", "", line))[2:]]
        done = run(*words_of, FLEET_HOME=str(home))
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said.append(done.stdout)
    assert "day-03" in said[0]
    assert "1 case, 0 of them decided wrongly then" in said[4]
    assert "17 the same, 0 differ" in said[7]

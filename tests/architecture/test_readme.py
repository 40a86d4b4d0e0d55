"""What the README says is so: its settings table, its commands, its two lines, its example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields

from source_tree import PACKAGE, ROOT

from fleet.audit.export import COLUMNS
from fleet.settings import ROWS, Settings

README = (ROOT / "README.md").read_text("utf-8")
CI = (ROOT / ".ci" / "run").read_text("utf-8")
RUN = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/fleet demo"
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def test_the_settings_are_one_table_in_code_and_readme():
    assert [row.name for row in ROWS] == [field.name for field in fields(Settings)]
    assert [row.default for row in ROWS] == [field.default for field in fields(Settings)]
    table = [line for line in README.splitlines() if re.match(r"\| `(FLEET|ANTHROPIC)_[A-Z_]+` \|", line)]
    expected = [f"| `{row.env}` | {shown(row.default)} | {row.unit} | {row.help} |" for row in ROWS]
    assert table == expected


def shown(default):
    return f"`{default}`" if str(default) else ""


def test_the_two_lines_are_those_that_people_and_ci_type():
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert RUN in lines
    assert [line for line in lines if line.endswith(".venv/bin/pytest")] == [TEST]
    assert "README.md" in CI
    assert ".venv/bin/pytest$" in CI


def test_the_commands_are_those_that_there_are():
    run = subprocess.run(
        [sys.executable, "-m", "fleet.cli", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    there = set(re.findall(r"^  ([a-z]+) ", run.stdout.split("Commands:\n")[1].split("\n\n")[0], re.M))
    table = set(re.findall(r"^\| `fleet ([a-z]+)", README, re.M))
    assert table == there


def test_the_house_has_the_rooms_that_there_are():
    (house,) = [block for block in blocks("text") if block.startswith("fleet/\n")]
    named = set(re.findall(r"\b([a-z_]+)/", house)) - {"fleet"}
    there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert there <= named
    for name in named - there:
        assert (ROOT / name).is_dir(), name


def test_the_example_runs_as_it_stands_and_prints_what_it_shows(tmp_path):
    found = re.search(
        r"<!-- example: (\S+) -->\n```python\n(.*?)^```$.*?<!-- example output -->\n```text\n(.*?)^```$",
        README,
        re.M | re.S,
    )
    assert found, "the README has its example between its marks"
    name, code, output = found.groups()
    (tmp_path / name).write_text(code)
    run = subprocess.run(
        [sys.executable, name], cwd=tmp_path, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, output), run.stderr


def test_no_link_in_the_readme_is_dead():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_columns_of_an_export_are_those_listed() -> None:
    listed = README.partition("- **CSV** has these columns")[2].partition(":\n")[2].partition(". A cell")[0]
    assert tuple(re.findall(r"`(\w+)`", listed)) == COLUMNS

"""The table of commands, what `--help` loads, and what errors come to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner
from support.commands import call, environment, refused, run

from fleet.cli.main import COMMANDS, fleet
from fleet.version import __version__

_LOADED = """
import sys
from fleet.cli.main import fleet
try:
    fleet.main(sys.argv[1:])
except SystemExit:
    pass
print("loaded:", *sorted(name for name in sys.modules if name.split(".")[0] in WATCHED))
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option):
    heavy = ("fleet", "pydantic", "dbzero", "anthropic", "rich", "jinja2", "prompt_toolkit", "aiohttp", "asyncio")
    code = _LOADED.replace("WATCHED", repr({*heavy, "sqlite3", "logging"}))
    done = subprocess.run(
        [sys.executable, "-c", code, option], capture_output=True, text=True, check=True, env=environment()
    )
    loaded = done.stdout.splitlines()[-1].split()[1:]
    assert loaded == ["fleet", "fleet.cli", "fleet.cli.main", "fleet.errors", "fleet.version"]


def test_help_lists_every_command_and_the_exit_codes():
    done = run("--help")
    assert done.returncode == 0
    for name, (_, about) in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert about.split()[0] in done.stdout
    for code, meaning in (("0", "done"), ("1", "a check or verification found"), ("2", "was refused")):
        assert any(line.split()[:1] == [code] and meaning in line for line in done.stdout.splitlines())


def test_the_version_is_the_packages():
    assert call("--version").stdout == f"fleet {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_under_its_name(name):
    done = CliRunner().invoke(fleet, [name, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: fleet {name}")


def test_an_unknown_command_and_a_missing_argument_are_one_line_each():
    assert refused(run("sned")) == "No such command 'sned'. See `fleet --help`."
    assert refused(call("send", "hello")) == "Missing option '--user'. See `fleet send --help`."
    assert "'many' is not a valid integer" in refused(call("threads", "list", "--limit", "many"))


def test_home_counts_before_the_command_and_after_it_which_wins(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert call("--home", one, "send", "--user", "ana", "hello").returncode == 0
    assert (one / "ledger.db").exists()
    assert call("--home", one, "send", "--home", two, "--user", "ana", "hello").returncode == 0
    assert (two / "ledger.db").exists()
    three = tmp_path / "three"
    assert call("send", "--user", "ana", "hello", FLEET_HOME=str(three)).returncode == 0
    assert (three / "ledger.db").exists()


def test_a_setting_that_is_no_number_is_refused_in_one_line(tmp_path):
    done = call("send", "--home", tmp_path / "home", "--user", "ana", "hello", FLEET_CONCURRENCY="lots")
    assert refused(done) == "FLEET_CONCURRENCY must be a number (calls), not 'lots'"
    assert not (tmp_path / "home").exists()

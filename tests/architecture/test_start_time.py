"""What the short reading commands load: what takes long to import stays out where it is not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.audited import make_day
from support.commands import environment

PROBE = """
import sys
from fleet.cli.main import fleet
try:
    fleet.main(sys.argv[1:])
finally:
    print("\\nloaded", *sorted({name.split(".")[0] for name in sys.modules} | set(sys.modules)))
"""
HEAVY = {
    "asyncio",
    "dbzero",
    "anthropic",
    "jinja2",
    "prompt_toolkit",
    "aiohttp",
    "matplotlib",
    "fleet.graph",
    "fleet.agents",
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


@pytest.mark.parametrize(
    ("words", "without"),
    [
        (("--version",), {"pydantic", "rich", "sqlite3", "fleet.ledger"}),
        (("why", "--last"), set()),
        (("why", "--last", "--json"), {"rich"}),
        (("audit", "list"), {"fleet.sandbox"}),
        (("audit", "list", "--json"), {"rich", "fleet.sandbox"}),
        (("audit", "stats", "--json"), {"rich", "fleet.sandbox"}),
        (("audit", "export"), {"rich", "fleet.sandbox"}),
    ],
    ids=" ".join,
)
def test_a_short_command_loads_no_more_than_it_needs(day: Path, words: tuple[str, ...], without: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True, text=True, env=environment(FLEET_HOME=str(day)), timeout=60, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.rpartition("\nloaded ")[2].split())
    assert "fleet.cli.main" in loaded
    assert not loaded & (HEAVY | without)

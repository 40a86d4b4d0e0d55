"""What `from fleet import …` offers, and what importing it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from source_tree import ROOT

import fleet

PUBLIC = [
    "Agent",
    "App",
    "AppEvent",
    "DialogAgent",
    "DispatchAction",
    "DispatchResult",
    "Dispatcher",
    "Fleet",
    "FleetError",
    "Message",
    "MessageDispatcher",
    "PushQueue",
    "Reply",
    "Settings",
    "SupervisedAgent",
    "ToolContext",
    "ToolError",
    "Policy",
    "create_tool",
    "db0",
    "memo",
    "reducer",
    "start_fleet",
    "start_fleet_async",
    "tool",
]


def test_the_public_names_are_these_and_no_more_than_25():
    assert sorted(fleet.__all__) == sorted(PUBLIC)
    assert len(PUBLIC) <= 25
    assert dir(fleet) == sorted(PUBLIC)


def test_each_public_name_is_there_and_says_what_it_is():
    for name in PUBLIC:
        value = getattr(fleet, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        fleet.nothing  # noqa: B018


def test_the_types_are_shipped():
    assert (ROOT / "fleet" / "py.typed").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import fleet",
        "from fleet import Settings; Settings.load(environ={})",
        "from fleet import FleetError, ToolError, __version__",
        "import fleet.ledger.sqlite",
        "import fleet.sandbox",
        "import fleet.llm.base",
    ],
)
def test_an_import_brings_in_nothing_heavy(code):
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert not loaded & {"anthropic", "rich", "dbzero", "jinja2", "aiohttp", "prompt_toolkit", "click"}

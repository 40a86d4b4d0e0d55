from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.history import History, make_history


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A home of 5,000 messages, made once for all tests: nothing may write to it."""
    return make_history(tmp_path_factory.mktemp("history") / "home")


@pytest.fixture
def history_copy(history: History, tmp_path: Path) -> History:
    """The same as a copy, ledger and graph, that a test may write to."""
    home = tmp_path / "home"
    shutil.copytree(history.home, home)
    return History(home, history.planned)


@pytest.fixture(scope="session")
def small_history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A home of 200 messages, for what need not be done on thousands."""
    return make_history(tmp_path_factory.mktemp("small") / "home", messages=200, users=20)

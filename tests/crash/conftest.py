from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.crashes import Tally, served_models

TOTAL = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOTAL] = Tally()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """What this test counts; it goes into the tally of the run whether or not the test ends well."""
    counted = Tally()
    yield counted
    request.config.stash[TOTAL].add(counted)


@pytest.fixture(scope="session")
def models() -> Iterator[str]:
    """The URL of a server that speaks the Messages API."""
    with served_models() as url:
        yield url


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    total = config.stash[TOTAL]
    if total.kills:
        terminalreporter.write_line(f"tally: {total}")

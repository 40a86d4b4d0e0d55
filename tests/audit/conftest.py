from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.audited import make_day

from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


@pytest.fixture
def ledger(day: Path) -> Iterator[SqliteLedger]:
    with Home(day).read_ledger() as opened:
        yield opened

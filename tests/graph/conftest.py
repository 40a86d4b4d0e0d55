from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.story import Story, reducer_of

from fleet.graph.checkpoints import Graph
from fleet.ledger.sqlite import SqliteLedger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with SqliteLedger.open(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def story(ledger: SqliteLedger) -> Story:
    told = Story(ledger)
    told.declare()
    return told


class Opened:
    """Opens graphs of one test, one at a time, and closes what is left open."""

    def __init__(self, folder: Path, ledger: SqliteLedger) -> None:
        self.folder, self.ledger = folder, ledger
        self.now: Graph | None = None

    def __call__(self, folder: Path | None = None, **options: int) -> Graph:
        self.close()
        self.now = Graph(folder or self.folder, self.ledger, reducer_of, **options)
        return self.now

    def close(self) -> None:
        if self.now is not None:
            self.now.close()
        self.now = None


@pytest.fixture
def opened(tmp_path: Path, ledger: SqliteLedger) -> Iterator[Opened]:
    graphs = Opened(tmp_path / "graph", ledger)
    yield graphs
    graphs.close()

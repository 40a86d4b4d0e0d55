"""What a person asks for between two runs of the worker, or beside it: a kept copy now, the graph built anew."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass

from fleet.agents.app import import_app
from fleet.errors import GraphError, HomeError
from fleet.graph.checkpoints import Graph
from fleet.graph.db import Database
from fleet.graph.files import GraphFiles
from fleet.runtime.hold import Hold
from fleet.runtime.home import Home
from fleet.runtime.keeper import keep_command
from fleet.runtime.reducing import reducer_of
from fleet.runtime.verify import app_of

__all__ = ["Rebuilt", "Snapshot", "rebuild_graph", "snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """A kept copy: the event at which it stands, how it was made ("grown", "built", "copied"), how long that took."""

    applied: int
    how: str
    seconds: float


@dataclass(frozen=True)
class Rebuilt:
    """A graph built from nothing: of how many events, its digest, how long that took without the digest."""

    events: int
    digest: str
    seconds: float


def snapshot(home: Home, app: str = "") -> Snapshot:
    """Make the kept copy of the graph now; a worker may run.

    `app` is the application whose reducers apply its events; default: the one on record.
    Raises: HomeError, LedgerError, ConfigError; GraphError if it cannot be made: the last one then stays.
    """
    with home.read_ledger() as ledger:
        if not Database.file(home.graph_folder).exists():
            raise HomeError(f"home {home.path} has no graph yet: no worker has opened it")
        command = keep_command(ledger.path, home.graph_folder, app or app_of(ledger))
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        words = run.stderr.strip().splitlines()[-1:] or [f"its process ended with {run.returncode}"]
        raise GraphError(f"no kept copy was made: {words[0]}")
    return Snapshot(**json.loads(run.stdout))


def rebuild_graph(home: Home, app: str = "") -> Rebuilt:
    """Set the graph of `home` aside with its copies, and build it from the ledger alone. No worker may run.

    Raises: HomeBusyError if one does; HomeError, LedgerError, ConfigError; GraphError if an event cannot be applied.
    """
    with home.read_ledger() as ledger:
        path = app or app_of(ledger)
    if path:
        import_app(path)
    with Hold(home.path, "fleet store rebuild"):
        files = GraphFiles(home.graph_folder)
        if files.live.is_dir():
            files.set_aside()
        files.forget_copies()
        began = time.monotonic()
        with home.read_ledger() as ledger:
            graph = Graph(files.live, ledger, reducer_of)
            try:
                seconds = time.monotonic() - began
                return Rebuilt(graph.root.applied, graph.digest(), seconds)
            finally:
                graph.close()

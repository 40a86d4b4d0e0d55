"""How things stand in a home: its ledger, its graph and the copies of it, the last starts. Opens no graph."""

from __future__ import annotations

import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.graph.db import Database
from fleet.graph.files import GraphFiles
from fleet.graph.mark import read_mark
from fleet.ledger.events import FleetStarted
from fleet.ledger.schema import SCHEMA
from fleet.runtime.beat import Load, read_load
from fleet.runtime.home import Home

fcntl: Any
try:
    import fcntl
except ImportError:
    fcntl = None

__all__ = ["GraphFile", "Start", "Status", "load_of", "status"]

_STARTS = 3
_QUEUES = ("inbox", "turns", "outbox")


@dataclass(frozen=True)
class GraphFile:
    """A graph's file: its size, the event it stood at, its commits and when that was, as far as it is written down."""

    bytes: int
    applied: int | None
    commits: int | None
    at: int | None


@dataclass(frozen=True)
class Start:
    """One start of a worker: when, of which application, and how its graph became current, a sentence a step."""

    at: int
    app: str
    graph: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """What lies in a home. Times are microseconds since 1970 UTC, sizes bytes, `events` the ledger's.

    `worker` says who has the home open, "" for nobody, and `load` what it does, if it has said so lately; `queued`
    counts what is left to do by queue; the graph's files are None where there are none, `aside` the folder of the last
    one that could not be used; `starts` the newest first.
    """

    home: Path
    worker: str
    load: Load | None
    free_bytes: int
    events: int
    last_at: int | None
    ledger_bytes: int
    schema: int
    queued: dict[str, int]
    graph: GraphFile | None
    kept: GraphFile | None
    fresh: GraphFile | None
    aside: Path | None
    starts: tuple[Start, ...]


def status(home: Home) -> Status:
    """Look at `home`; a worker may run. Raises: HomeError or LedgerError if there is no ledger to read."""
    with home.read_ledger() as ledger:
        newest = next(ledger.read(newest_first=True, limit=1), None)
        starts = [
            Start(stored.at, stored.event.path or stored.event.app, stored.event.graph)
            for stored in ledger.read(types=(FleetStarted.TYPE,), newest_first=True, limit=_STARTS)
            if isinstance(stored.event, FleetStarted)
        ]
        files = GraphFiles(home.graph_folder)
        beside = [path for path in ledger.path.parent.glob(f"{ledger.path.name}*") if path.is_file()]
        return Status(
            home=home.path,
            worker=_worker(home.path / "worker.lock"),
            load=load_of(home),
            free_bytes=shutil.disk_usage(ledger.path.parent).free,
            events=newest.seq if newest else 0,
            last_at=newest.at if newest else None,
            ledger_bytes=sum(path.stat().st_size for path in beside),
            schema=SCHEMA,
            queued={queue: ledger.pending_count(queue) for queue in _QUEUES},
            graph=_graph_file(files.live),
            kept=_graph_file(files.kept),
            fresh=_graph_file(files.fresh),
            aside=files.aside if files.aside.is_dir() else None,
            starts=tuple(starts),
        )


def load_of(home: Home) -> Load | None:
    """What the home's worker says of its load; None if nobody has the home open, or it has not said so lately."""
    load = read_load(home.path)
    return load if load is not None and _worker(home.path / "worker.lock").startswith(f"pid {load.pid} on ") else None


def _graph_file(folder: Path) -> GraphFile | None:
    file = Database.file(folder)
    try:
        size = file.stat().st_size
    except OSError:
        return None
    said = read_mark(file)
    if said is None:
        return GraphFile(size, None, None, None)
    return GraphFile(size, said.applied, said.commits, said.at)


def _worker(lock: Path) -> str:
    """Who holds the home: the one that the lock names, if it lives and holds it still."""
    try:
        holder = lock.read_text("utf-8").strip()
        named = re.fullmatch(r"pid (\d+) on ([^,]+)(, .+)?", holder)
        if named is None or fcntl is None:
            return ""
        if named[2] == socket.gethostname():
            os.kill(int(named[1]), 0)
        with lock.open(encoding="utf-8") as handle:  # tried for a living holder only: a starting worker wants it too
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder
    except OSError:
        return ""
    return ""

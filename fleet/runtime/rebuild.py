"""`python -m fleet.runtime.rebuild LEDGER FOLDER UPTO [APP]`: bring the graph in FOLDER to an event, and digest it.

FOLDER is a scratch folder: empty, for a graph from nothing, or holding a copy of a graph file, for one that goes on
from there. APP is the application's MODULE:ATTR, whose reducers apply its own events. It runs in a process of its own,
since dbzero opens one graph in a process and a damaged file may crash it.

Prints one JSON object {"opened_at", "applied", "digest"} and exits 0; else one line on standard error and another code.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fleet.agents.app import import_app
from fleet.errors import FleetError, GraphError
from fleet.graph.db import Database
from fleet.graph.living import LivingRoot
from fleet.graph.records import FleetRoot
from fleet.graph.replay import replay
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.reducing import reducer_of

__all__ = ["rebuild", "refuse"]


def rebuild(ledger_file: Path, folder: Path, upto: int, app: str = "") -> dict[str, int | str]:
    """The graph of `folder`, brought to event `upto`: where it stood when opened, where it stands, its digest.

    Raises: ConfigError for the application; LedgerError; GraphError if the file is not this ledger's graph, or an
    event cannot be applied.
    """
    if app:
        import_app(app)
    ledger = SqliteLedger.open(ledger_file, readonly=True)
    database = Database(folder)
    durable = FleetRoot()
    root = LivingRoot(durable)
    opened_at = durable.applied
    if durable._broken:
        raise GraphError(f"it was left in the middle of an event, after {opened_at}")
    if opened_at > upto:
        raise GraphError(f"it stands at event {opened_at} and the ledger ends at {upto}")
    if opened_at and durable._chain != next(ledger.read(after=opened_at - 1, upto=opened_at)).chain:
        raise GraphError(f"its event {opened_at} is not this ledger's")
    replay(database, root, ledger.read(after=opened_at, upto=upto), reducer_of)
    return {"opened_at": opened_at, "applied": durable.applied, "digest": Database.digest(durable)}


def _main() -> int:
    ledger_file, folder, upto, *app = sys.argv[1:]
    try:
        found = rebuild(Path(ledger_file), Path(folder), int(upto), *app)
    except FleetError as error:
        return refuse(error.message, error.exit_code)
    except Exception as error:  # dbzero, on a file that it cannot make sense of; it names what it missed
        return refuse(f"{type(error).__name__}: {error}", GraphError.exit_code)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    return 0


def refuse(why: str, code: int) -> int:
    """Say on standard error, in one line, why there is no result; the exit code."""
    sys.stderr.write(" ".join(why.split()) + "\n")
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    # Leave without dbzero's exit handlers: there is nothing to keep, and they would commit it.
    os._exit(_main())

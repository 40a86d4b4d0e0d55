"""`python -m fleet.runtime.keep LEDGER GRAPH [APP]`: make the kept copy of a graph, and a fresh file to go on in.

Runs beside the worker of GRAPH (the live folder) and takes nothing of its time. The kept copy is not taken from the
live file: it grows by itself, from the last kept copy and the events since, so that what may be wrong with the one is
not in the other, and it takes a commit for 60,000 events instead of one for a few. It replaces the last one only when
a second copy, the fresh file, has been opened in a process of its own and has taken a trial write.

Where the application cannot be imported by name, its events cannot be applied here: then the live file is copied
between two commits and tried; there is no fresh file.

Prints one JSON object {"applied", "how", "seconds"} and exits 0; else one line on standard error and another code.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path

from fleet.agents.app import import_app
from fleet.errors import FleetError, GraphError
from fleet.graph.at_rest import at_rest
from fleet.graph.db import Database
from fleet.graph.files import GraphFiles
from fleet.graph.living import LivingRoot
from fleet.graph.mark import mark, mark_of, whole
from fleet.graph.probe import Probed, probe
from fleet.graph.records import FleetRoot
from fleet.graph.replay import replay
from fleet.ledger.base import Ledger
from fleet.ledger.sqlite import SqliteLedger
from fleet.log import log
from fleet.runtime.rebuild import refuse
from fleet.runtime.reducing import reducer_of

__all__ = ["keep"]

_GROWN_OFTEN = 200  # times; then the kept copy is built from nothing, since each time adds commits to it


def keep(ledger: Ledger, files: GraphFiles, app: str = "") -> dict[str, object]:
    """Make the kept copy; how it was made ("grown", "built" or "copied") and the event at which it stands.

    `app` is the application's MODULE:ATTR, "" if it has none. This process may open no other graph, and ends after it.
    Raises: ConfigError, LedgerError, GraphError; HomeBusyError if another process is at it. The last kept copy then
    stays as it was.
    """
    began = time.monotonic()
    with at_rest(files.work, wait=False) as alone:
        if not alone:
            raise GraphError(f"another process is making a kept copy of {files.live}")
        how = _grow(ledger, files, app) or _copy(files)
        found = _try_out(files, fresh=how != "copied")
        _replace(files, found)
    return {"applied": found.applied, "how": how, "seconds": round(time.monotonic() - began, 2)}


def _grow(ledger: Ledger, files: GraphFiles, app: str) -> str:
    """Bring the last kept copy, or an empty graph, to the ledger's end in `work`; "" if that cannot be done here."""
    if app:
        import_app(app)
    how = "grown" if _take_last(ledger, files) else "built"
    database = Database(files.work)
    root = LivingRoot(FleetRoot())
    try:
        replay(database, root, ledger.read(after=root.applied), reducer_of)
        root.durable._commits += 1
        database.commit()
    except GraphError as error:
        log("graph.not_grown", level=logging.WARNING, folder=files.work, reason=error.message)
        how = ""
    del root
    database.close()
    return how


def _take_last(ledger: Ledger, files: GraphFiles) -> bool:
    """Begin with a copy of the last kept copy; False, and with nothing, if there is none that is good."""
    shutil.rmtree(files.work, ignore_errors=True)
    files.work.mkdir(mode=0o700)
    last, work = Database.file(files.kept), Database.file(files.work)
    if whole(last) is None:
        return False
    shutil.copyfile(last, work)
    try:
        found = probe(files.work)
    except GraphError:
        fits = False
    else:
        at = list(ledger.read(after=found.applied - 1, upto=found.applied))
        fits = found.commits < _GROWN_OFTEN and bool(at) and at[0].chain == found.chain
    if not fits:
        work.unlink()
    return fits


def _copy(files: GraphFiles) -> str:
    """Put a copy of the live file into `work`. Raises: GraphError."""
    shutil.rmtree(files.work)
    files.work.mkdir(mode=0o700)
    try:
        with at_rest(files.live, wait=True):
            shutil.copyfile(Database.file(files.live), Database.file(files.work))
    except OSError as error:
        raise GraphError(f"the graph {files.live} cannot be copied: {error.strerror or error}") from None
    return "copied"


def _try_out(files: GraphFiles, *, fresh: bool) -> Probed:
    """Open a copy of what is in `work` and write to it, in a process that may crash; what it says of itself.

    With `fresh` that copy is left for the worker. Raises: GraphError if it does not open or take the write.
    """
    shutil.rmtree(files.fresh, ignore_errors=True)
    files.fresh.mkdir(mode=0o700)
    shutil.copyfile(Database.file(files.work), Database.file(files.fresh))
    try:
        found = probe(files.fresh, trial=True)
    except GraphError:
        shutil.rmtree(files.fresh)
        raise
    if fresh:
        mark(Database.file(files.fresh), found.applied, found.commits, closed=False)
    else:
        shutil.rmtree(files.fresh)
    return found


def _replace(files: GraphFiles, found: Probed) -> None:
    """Make what is in `work` the kept copy, durably."""
    made = Database.file(files.work)
    mark(made, found.applied, found.commits, closed=True)
    with made.open("rb") as written:
        os.fsync(written)
    with at_rest(files.kept, wait=True):
        files.kept.mkdir(mode=0o700, exist_ok=True)
        for path in (made, mark_of(made)):
            path.replace(files.kept / path.name)
    shutil.rmtree(files.work)


def _main() -> int:
    ledger_file, live, *app = sys.argv[1:]
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    try:
        ledger = SqliteLedger.open(Path(ledger_file), readonly=True)
        found = keep(ledger, GraphFiles(Path(live)), *app)
    except FleetError as error:
        return refuse(error.message, error.exit_code)
    except OSError as error:
        return refuse(f"the kept copy cannot be written: {error.strerror or error}", GraphError.exit_code)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    # Leave without dbzero's exit handlers: everything is closed, or of no use.
    os._exit(_main())

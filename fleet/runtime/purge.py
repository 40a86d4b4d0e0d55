"""Leaving nothing behind of a user who was forgotten: old graphs and their copies, the ledger's free pages and log."""

from __future__ import annotations

import shutil
from pathlib import Path

from fleet.graph.at_rest import at_rest
from fleet.graph.files import GraphFiles
from fleet.ledger.erase import scrub
from fleet.ledger.sqlite import BUSY_S, SqliteLedger
from fleet.log import log
from fleet.runtime.home import Home

__all__ = ["finish_forgetting", "mark_of", "purge"]


def mark_of(home: Home) -> Path:
    """The file that is there while a forgetting is under way, to be finished by whoever holds the home next."""
    return home.path / "forgetting"


def purge(home: Home, ledger: SqliteLedger, fresh: Path | None = None) -> None:
    """Remove every graph of the home and every copy of one, put `fresh` in its place, and scrub the ledger.

    The home must be held, and no graph of it open. Without `fresh` the next worker makes the graph from the ledger.
    Raises: LedgerError if other processes keep the ledger busy; call it again then.
    """
    with at_rest(GraphFiles(home.graph_folder).work, wait=True):  # a copy that is being made is finished first
        for path in home.path.iterdir():
            # Any folder that a graph was ever put into, under whatever name.
            if path.is_dir() and (path.name == "graph" or path.name.startswith(("graph.", "graph-"))) and path != fresh:
                shutil.rmtree(path)
        if fresh is not None:
            fresh.replace(home.graph_folder)
            fresh.with_name(f"{fresh.name}.lock").unlink(missing_ok=True)
    scrub(ledger.path, BUSY_S)
    mark_of(home).unlink(missing_ok=True)


def finish_forgetting(home: Home, ledger: SqliteLedger) -> None:
    """Finish a forgetting that was cut off, if one was. The home must be held, and no graph of it open."""
    if mark_of(home).exists():
        log("fleet.finish_forgetting", home=home.path)
        purge(home, ledger)

"""How a worker begins: its `fleet.started` in the ledger, after which no worker before it can append."""

from __future__ import annotations

import os
import socket

from fleet.agents.app import App
from fleet.errors import LedgerUnavailableError, StaleWriteError
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import FleetStarted
from fleet.log import log
from fleet.runtime.hold import Hold
from fleet.version import __version__

__all__ = ["announce"]


async def announce(ledger: Ledger, app: App, hold: Hold, graph: tuple[str, ...], before: str) -> None:
    """Put on record that this process is the home's worker, and let its ledger append only while it is.

    `graph` says how the graph came to be open; `before` is the worker that the home was taken over from, "" if it was
    free. Raises: TakenOverError if another one has the hold by now; LedgerUnavailableError, LedgerError.
    """
    started = FleetStarted(
        app=app.name,
        code_version=__version__,
        pid=os.getpid(),
        host=socket.gethostname(),
        path=app.path,
        graph=graph,
    )
    while True:
        version = ledger.version("fleet")
        hold.check()  # after the version was read: who takes over from here on writes a later one
        try:
            (stored,) = await ledger.append(Draft("fleet", version, (started,)))
        except StaleWriteError:
            continue
        except LedgerUnavailableError as error:
            if not before:
                raise
            raise LedgerUnavailableError(
                f"{error.message}; the worker before may be stopped in the middle of a write: end it ({before})"
            ) from error
        ledger.fence(stored.seq)
        if before:
            log("fleet.took_over", holder=before)
        return

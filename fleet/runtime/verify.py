"""Does everything hold? The ledger's chain, and the live graph against one that is rebuilt from the ledger.

Works beside a running worker: the graph's file is copied between two commits, and the copy is brought to the same
event as the rebuilt one. Nothing in the home changes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fleet.agents.app import import_app
from fleet.errors import ConfigError, GraphError
from fleet.graph.at_rest import at_rest
from fleet.graph.db import Database
from fleet.ledger.base import Ledger, Progress, VerifyReport
from fleet.ledger.events import FleetStarted
from fleet.runtime.home import Home

__all__ = ["Standing", "StoreReport", "app_of", "verify_store"]

_TRIES = 3  # copies of the live graph, should one not open
_LAST_WORDS = 300  # characters of what a child process said that are shown
_START_S, _EVENTS_PER_S = 120, 200  # how long a child may take; 20,000 events a second were measured


@dataclass(frozen=True)
class Standing:
    """A graph that was brought to event `applied`: where its file stood, and the digest of all that is in it."""

    opened_at: int
    applied: int
    digest: str


@dataclass(frozen=True)
class StoreReport:
    """What was checked and found. `upto` is the event at which the two graphs stand, `app` whose reducers ran.

    `live` is None if there is none to compare with; `note` says why, where that is as it should be. `problems` are
    sentences, the ledger's first.
    """

    ledger: VerifyReport
    upto: int
    app: str
    rebuilt: Standing | None
    live: Standing | None
    note: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def app_of(ledger: Ledger) -> str:
    """The MODULE:ATTR of the application that last ran on this ledger; "" if it is not on record."""
    for stored in ledger.read(types=(FleetStarted.TYPE,), newest_first=True, limit=1):
        if isinstance(stored.event, FleetStarted):
            return stored.event.path
    return ""


def verify_store(home: Home, app: str = "", progress: Progress | None = None) -> StoreReport:
    """Check the ledger, rebuild the graph from it, and compare that with the live one. Changes nothing.

    `app` is the application whose reducers apply its events; default: the one on record. `progress` is the ledger's.
    Raises: HomeError or LedgerError if there is no ledger to read; ConfigError if the application cannot be imported.
    """
    with (
        home.read_ledger() as ledger,
        tempfile.TemporaryDirectory(prefix="fleet-verify-") as scratch,
        ThreadPoolExecutor(1) as beside,
    ):
        path = app or app_of(ledger)
        if path:
            import_app(path)
        checking = beside.submit(ledger.verify, progress)  # here, while child processes replay
        check = _Check(ledger, ledger.path, home.graph_folder, Path(scratch), path)
        note = _why_no_graph(home, ledger)
        live = None if note else check.live()
        upto = live.applied if live else ledger.head()[0]
        rebuilt = check.rebuilt(upto)
        if rebuilt is None and not path:
            raise ConfigError(f"this home does not say which application it belongs to; name it ({check.problems[-1]})")
        if live and rebuilt and live.digest != rebuilt.digest:
            check.problems.append(
                f"at event {upto} the live graph ({live.digest[:12]}, in its file up to event {live.opened_at}) is not "
                f"the one rebuilt from the ledger ({rebuilt.digest[:12]})"
            )
        found = checking.result()
        return StoreReport(found, upto, path, rebuilt, live, note, (*found.problems, *check.problems))


def _why_no_graph(home: Home, ledger: Ledger) -> str:
    if home.path.is_file():
        return "no graph lies beside a copied ledger; there is nothing to compare the rebuilt one with"
    if not any(True for _ in ledger.read(types=(FleetStarted.TYPE,), limit=1)):
        return "there is no graph yet: no worker has opened this home"
    if not Database.file(home.graph_folder).exists():
        return "there is no graph file; the next worker builds it"
    return ""


class _Check:
    """One run's child processes, and what they found wrong."""

    def __init__(self, ledger: Ledger, ledger_file: Path, graph: Path, scratch: Path, app: str) -> None:
        self._ledger, self._ledger_file, self._graph, self._scratch, self._app = (
            ledger,
            ledger_file,
            graph,
            scratch,
            app,
        )
        self.problems: list[str] = []

    def live(self) -> Standing | None:
        """The live graph, copied, and brought to where the ledger ended when it was."""
        why = ""
        for number in range(_TRIES):
            folder = self._scratch / f"live-{number}"
            try:
                with at_rest(self._graph, wait=True):
                    shutil.copytree(self._graph, folder, ignore=shutil.ignore_patterns("*.lock", "mark*"))
                return self._stand(folder, self._ledger.head()[0])
            except OSError as error:
                why = f"it cannot be copied: {error.strerror or error}"
            except shutil.Error as error:
                why = f"it cannot be copied: {error}"
            except GraphError as error:
                why = error.message
        self.problems.append(f"the live graph cannot be used, and the next worker rebuilds it: {why}")
        return None

    def rebuilt(self, upto: int) -> Standing | None:
        """A graph of all events up to `upto`, from nothing."""
        folder = self._scratch / "rebuilt"
        folder.mkdir()
        try:
            return self._stand(folder, upto)
        except GraphError as error:
            self.problems.append(f"the graph cannot be rebuilt from the ledger: {error.message}")
            return None

    def _stand(self, folder: Path, upto: int) -> Standing:
        command = [sys.executable, "-m", "fleet.runtime.rebuild", str(self._ledger_file), str(folder), str(upto)]
        limit = _START_S + upto / _EVENTS_PER_S
        try:
            run = subprocess.run(
                [*command, *filter(None, [self._app])], capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            raise GraphError(f"opening it and replaying took more than {limit:.0f} s") from None
        if run.returncode != 0:
            words = run.stderr.strip().splitlines()[-1:] or ["no word"]
            raise GraphError(
                words[0][-_LAST_WORDS:] if run.returncode > 0 else f"opening it ended with signal {-run.returncode}"
            )
        return Standing(**json.loads(run.stdout))

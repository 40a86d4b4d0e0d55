"""How a graph comes to be open and current: a ladder, climbed until a step holds.

First the file as it was left, if it is what was last written and opens in a child process (a damaged file may crash
whoever opens it); else the kept copy, and the events after it; else nothing, and every event of the ledger again. Each
step is logged, and told in `opened`.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from fleet.errors import GraphError
from fleet.graph import records
from fleet.graph.apply import AppReducers
from fleet.graph.at_rest import at_rest
from fleet.graph.db import Database
from fleet.graph.files import GraphFiles
from fleet.graph.living import LivingRoot
from fleet.graph.mark import Mark, whole
from fleet.graph.probe import probe
from fleet.graph.records import FleetRoot
from fleet.graph.replay import replay
from fleet.ledger.base import Ledger
from fleet.log import log

__all__ = ["Opening"]


class Opening:
    """A graph that is opened by the ladder, and let go of again. Raises: HomeBusyError, GraphError."""

    root: LivingRoot

    def __init__(self, folder: Path, ledger: Ledger, reducer_of: AppReducers) -> None:
        self.files = GraphFiles(folder)
        self.opened: tuple[str, ...] = ()
        self._folder, self._ledger, self._reducer_of = folder, ledger, reducer_of
        self._database: Database | None = None
        self._known: Mark | None = None  # the live file as it was when it was hashed last
        try:
            self._ladder()
        except BaseException:
            self._let_go()
            raise

    @property
    def opened_by(self) -> str:
        """What made it current when it was opened: the ladder's last step."""
        return self.opened[-1]

    def _ladder(self) -> None:
        live, kept = Database.file(self._folder), Database.file(self.files.kept)
        problem = self._as_it_was_left()
        if not problem:
            self._step("graph.opened", "opened and caught up {events} events")
            return
        if live.exists():
            self.files.set_aside()
            self.opened += (f"set the graph file aside: {problem}",)
            log("graph.set_aside", level=logging.WARNING, folder=self.files.aside, reason=problem)
        if kept.exists():
            problem = self._as_it_was_kept()
            if not problem:
                words = f"opened the kept copy of event {self.root.applied} and caught up {{events}} events"
                self._step("graph.opened_kept", words)
                return
            Database.file(self._folder).unlink(missing_ok=True)
            self.opened += (f"the kept copy cannot be used: {problem}",)
            log("graph.kept_unusable", level=logging.WARNING, folder=self.files.kept, reason=problem)
        self._open()
        new = not self.opened and not self._ledger.head()[0]
        self._step("graph.rebuilt", "made, for a new home" if new else "rebuilt from {events} events")

    def _step(self, event: str, words: str) -> None:
        began = time.monotonic()
        events = self._replay()
        self.opened += (words.format(events=events),)
        log(event, folder=self._folder, events=events, seconds=f"{time.monotonic() - began:.2f}")

    def _as_it_was_left(self) -> str:
        """Open the live file; else why not. It is tried in a child process first, unless it was closed."""
        if not Database.file(self._folder).exists():
            return "there is no graph file"
        left = self._known = whole(Database.file(self._folder))
        if left is None:
            Database.check_free(self._folder)
            return "it is not as it was last written"
        try:
            if not left.closed:
                probe(self._folder)
            self._open()
        except GraphError as error:
            return error.message
        return self._foreign()

    def _as_it_was_kept(self) -> str:
        """Open a copy of the kept file; else why not."""
        with at_rest(self.files.kept, wait=True):
            if whole(Database.file(self.files.kept)) is None:
                return "it is not as it was written"
            self._folder.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(Database.file(self.files.kept), Database.file(self._folder))
        try:
            probe(self._folder)
            self._open()
        except GraphError as error:
            return error.message
        return self._foreign()

    def _open(self, root: LivingRoot | None = None) -> None:
        self._database = Database(self._folder)
        problem = ""
        try:
            if root is None:
                self.root = LivingRoot(FleetRoot())
            else:
                root.point_at(FleetRoot())
        except GraphError as error:
            problem = error.message
        except AttributeError as error:  # a durable object without one of its fields
            problem = f"it was written by another version of fleet: {error}"
        if problem:  # only here does nothing hold a durable object any more
            self._let_go()
            raise GraphError(problem)

    def _let_go(self) -> None:
        """Drop every durable object, then close: in the other order dbzero ends the process."""
        if self._database is not None:
            if "root" in vars(self):
                self.root.let_go()
            self._database.close()
            self._database = None

    def _foreign(self, head: int | None = None) -> str:
        """Why the open graph does not belong to this ledger, as far as `head`; "" if it does. If not, it is closed."""
        applied, why = self.root.applied, ""
        head = self._ledger.head()[0] if head is None else head
        if self.root.durable._broken:
            why = "an event was applied in part"
        elif self.root.durable._version != records.GRAPH_VERSION:
            why = "another version of fleet made it"
        elif applied > head:
            why = f"it stands at event {applied} and the ledger ends at {head}"
        elif applied and self.root.durable._chain != self._chain_at(applied):
            why = f"its event {applied} is not this ledger's"
        if why:
            self._let_go()
        return why

    def _chain_at(self, seq: int) -> str:
        return next(self._ledger.read(after=seq - 1, upto=seq)).chain

    def _replay(self, upto: int | None = None) -> int:
        """Bring the open graph to an event, or to the ledger's end, and commit; how many events that took."""
        if self._database is None:
            return 0
        events = self._ledger.read(after=self.root.applied, upto=upto)
        try:
            count = replay(self._database, self.root, events, self._reducer_of)
        except GraphError as error:
            log("graph.apply_failed", level=logging.ERROR, error=error)
            raise
        if count:
            self._known = None
        return count

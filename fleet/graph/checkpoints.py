"""The open graph: applies events as they become durable, commits at checkpoints, goes on in a fresh file when worn."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from fleet.errors import GraphError
from fleet.graph.apply import AppReducers, apply
from fleet.graph.at_rest import at_rest
from fleet.graph.db import Database
from fleet.graph.mark import mark, whole
from fleet.graph.opening import Opening
from fleet.graph.replay import cannot_apply
from fleet.ledger.base import Ledger, Stored
from fleet.log import log

__all__ = ["Graph"]

_MARKING = 20  # hashing the file takes no more than a 20th of the time


class Graph(Opening):
    """The graph of one home, current up to `root.applied`. One thread; open one at a time in a process.

    `checkpoint_events` and `checkpoint_s` say how often it commits while events come in; a file that took `worn`
    commits gives way to a fresh one, where one was made. Raises: HomeBusyError, GraphError.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        reducer_of: AppReducers,
        *,
        checkpoint_events: int = 2000,
        checkpoint_s: float = 5.0,
        worn: int = 300,
    ) -> None:
        self._every_events, self._every_s, self._worn = checkpoint_events, checkpoint_s, worn
        self._uncommitted, self._committed_at = 0, time.monotonic()
        self._put_off_until = 0.0
        self._marking: threading.Thread | None = None
        self._marked, self._mark_again_at = False, 0.0
        super().__init__(folder, ledger, reducer_of)
        self._stands = (self.root.applied, self.commits)  # as last committed
        self.renew()
        self.tend()

    @property
    def commits(self) -> int:
        """How many commits the live file took since it was made."""
        return self.root.durable._commits

    def renew(self) -> bool:
        """Go on in the fresh file, if the live one is worn and one was made; False if not.

        No durable object may be in anybody's hands. The file until now stays until the fresh one has opened, was
        brought to the very event of the other and has taken a commit.
        """
        live, fresh = Database.file(self._folder), Database.file(self.files.fresh)
        if self.commits < self._worn or whole(fresh) is None:
            return False
        began, worn, applied = time.monotonic(), self.commits, self.root.applied
        self.checkpoint(wait=True)
        if self._uncommitted:  # put off: the disk is full
            return False
        previous = live.with_name("previous.db0")
        root = self.root
        self._let_go()
        with at_rest(self._folder, wait=True):
            live.replace(previous)
            fresh.replace(live)
        shutil.rmtree(self.files.fresh)
        try:
            self._open(root)
            problem = self._foreign(head=applied)
        except GraphError as error:
            problem = error.message
        if problem:
            previous.replace(live)
            self._open(root)
            log("graph.fresh_unusable", level=logging.WARNING, folder=self._folder, reason=problem)
            return False
        events = self._replay(upto=applied)
        self._uncommitted = 0
        self.root.durable._commits += 1
        self._commit()
        previous.unlink()
        log("graph.renewed", commits=worn, events=events, seconds=f"{time.monotonic() - began:.3f}")
        return True

    def apply(self, batch: Iterable[Stored]) -> list[Stored]:
        """Apply durable events in the ledger's order; what other processes appended in between is read from it.

        Returns what was applied: events that were so already are passed over. Raises: GraphError if one cannot be
        applied: the graph is then marked, to be rebuilt at the next start, and takes no more.
        """
        done: list[Stored] = []
        for stored in batch:
            if stored.seq <= self.root.applied:
                continue
            if stored.seq > self.root.applied + 1:
                done += self.catch_up(upto=stored.seq - 1)
            self._apply(stored)
            done.append(stored)
        return done

    def catch_up(self, upto: int | None = None) -> list[Stored]:
        """Apply what the ledger holds beyond the graph, and return it."""
        done: list[Stored] = []
        for stored in self._ledger.read(after=self.root.applied, upto=upto):
            self._apply(stored)
            done.append(stored)
        return done

    def _apply(self, stored: Stored) -> None:
        try:
            apply(self.root.changing, stored, self._reducer_of)
        except Exception as error:
            self.root.durable._broken = True
            log("graph.apply_failed", level=logging.ERROR, seq=stored.seq, type=stored.event.TYPE, error=error)
            if isinstance(error, GraphError):
                raise
            raise cannot_apply(stored, error) from error
        self._uncommitted += 1

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough has been applied, or enough time has gone by, for a commit."""
        if not self._uncommitted or time.monotonic() < self._put_off_until:
            return False
        return self._uncommitted >= self._every_events or time.monotonic() - self._committed_at >= self._every_s

    def checkpoint(self, *, wait: bool = False) -> None:
        """Commit what is applied; while the file is being read put it off, or `wait`: a copy takes milliseconds.

        It is put off, too, while the disk has no room for it: what is applied is in the ledger anyhow.
        """
        with at_rest(self._folder, wait=wait) as still:
            if not still:
                return
            if self._database is not None and not self._database.fits(self._uncommitted):
                if not self._put_off_until:
                    log("graph.put_off", level=logging.WARNING, reason="no room on the disk", events=self._uncommitted)
                self._put_off_until = time.monotonic() + self._every_s
                return
            self._put_off_until = 0.0
            if self._uncommitted:
                self.root.write()
                self.root.durable._chain = self._chain_at(self.root.applied)
                self.root.durable._commits += 1
                self._commit()
            self._uncommitted, self._committed_at = 0, time.monotonic()

    def _commit(self) -> None:
        if self._database is not None:
            self._database.commit()
            self._known = None
            self._stands, self._marked = (self.root.applied, self.commits), False

    def tend(self) -> None:
        """Commit if that is due, and have the file marked as it is written then. Call it now and then; it never waits.

        It commits no more often than it may mark: a file that is not marked is of no use after a kill.
        """
        if (self._marking is not None and self._marking.is_alive()) or time.monotonic() < self._mark_again_at:
            return
        if self.checkpoint_due:
            self.checkpoint()
        if not self._marked:
            self._marked = True
            self._marking = threading.Thread(target=self._mark, name="fleet-graph-mark", daemon=True)
            self._marking.start()

    def _mark(self) -> None:
        with at_rest(self._folder, wait=True), contextlib.suppress(OSError):  # no room: it is marked another time
            self._known = mark(Database.file(self._folder), *self._stands, closed=False, known=self._known)
        self._mark_again_at = time.monotonic() + _MARKING * time.thread_time()

    @property
    def marked(self) -> bool:
        """Whether the file is marked as it was last written."""
        return self._marked and (self._marking is None or not self._marking.is_alive())

    def digest(self) -> str:
        """A sha256 over everything in the graph: the same for every graph of the same events."""
        if self._uncommitted:
            self.root.write()
        return Database.digest(self.root.durable)

    def close(self) -> None:
        """Checkpoint and let go; no durable object may be used after this."""
        broken = self.root.durable._broken
        if self._marking is not None:
            self._marking.join()
        self.checkpoint(wait=True)
        if self._put_off_until and self._uncommitted and self._database is not None:
            self._database.abandon("no room on the disk")
        self._let_go()
        if not broken:
            with contextlib.suppress(OSError):  # no room, or read-only: the next start takes the kept copy
                mark(Database.file(self._folder), *self._stands, closed=True, known=self._known)

    def drop(self) -> None:
        """Let go without a checkpoint, when another worker has the home; no durable object may be used after this."""
        self._let_go()

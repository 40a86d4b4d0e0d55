"""The open graph: applies events as they become durable, commits at checkpoints, and says how it came to be current.

Opening climbs a ladder: the file as it was left, probed in a child process first unless it was closed cleanly (a
damaged file may crash whoever opens it); else nothing, and every event of the ledger again. Each step is logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import fleet
from fleet.errors import GraphError, HomeBusyError
from fleet.graph.apply import AppReducers, apply
from fleet.graph.at_rest import at_rest
from fleet.graph.db import Database
from fleet.graph.living import LivingRoot
from fleet.graph.records import FleetRoot
from fleet.ledger.base import Ledger, Stored
from fleet.log import log

__all__ = ["Graph"]

_REPLAY_COMMIT = 5000  # events between two commits of a replay; 500 to 5,000 measured best
_PROBE_S = 120  # a graph of a million threads opens in a few seconds
# The child finds this very package, however the parent came to it.
_PROBE = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('fleet.graph.probe', run_name='__main__')"
)


class Graph:
    """The graph of one home, current up to `root.applied`. One thread; open one at a time in a process.

    `checkpoint_events` and `checkpoint_s` say how often it commits while events come in.
    Raises: HomeBusyError, GraphError.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        reducer_of: AppReducers,
        *,
        checkpoint_events: int = 2000,
        checkpoint_s: float = 5.0,
    ) -> None:
        self._folder, self._ledger, self._reducer_of = folder, ledger, reducer_of
        self._every_events, self._every_s = checkpoint_events, checkpoint_s
        self._uncommitted, self._committed_at = 0, time.monotonic()
        self._put_off_until = 0.0
        self._clean = folder / "clean"
        self._database: Database | None = None
        try:
            self.opened_by = self._ladder()
        except BaseException:
            self._let_go()
            raise

    def _ladder(self) -> str:
        problem = "" if self._left_clean() else self._probe()
        self._clean.unlink(missing_ok=True)
        if not problem:
            self._open()
            problem = self._foreign()
            if not problem:
                missing = self._replay()
                log("graph.opened", folder=self._folder, caught_up=missing)
                return f"opened and caught up {missing} events"
            self._let_go()
        if Database.file(self._folder).exists():
            log("graph.set_aside", level=logging.WARNING, folder=self._folder, reason=problem)
            self._set_aside()
        self._open()
        replayed = self._replay()
        log("graph.rebuilt", folder=self._folder, events=replayed)
        return f"rebuilt from {replayed} events"

    def _open(self) -> None:
        self._database = Database(self._folder)
        self.root = LivingRoot(FleetRoot())

    def _let_go(self) -> None:
        """Drop every durable object, then close: in the other order dbzero ends the process."""
        if self._database is not None:
            del self.root
            self._database.close()
            self._database = None

    def _left_clean(self) -> bool:
        """Whether the file is the very one that was closed: cut, copied over or written since, it is probed."""
        try:
            return self._clean.read_text("utf-8") == self._look()
        except OSError:
            return False

    def _look(self) -> str:
        file = Database.file(self._folder).stat()
        return f"{file.st_size} {file.st_mtime_ns}"

    def _probe(self) -> str:
        """Why the file cannot be used, found out in a process that may crash; "" if it can."""
        if not Database.file(self._folder).exists():
            return "there is no graph file"
        try:
            run = subprocess.run(
                [sys.executable, "-c", _PROBE, str(Path(fleet.__file__).parents[1]), str(self._folder)],
                capture_output=True, text=True, timeout=_PROBE_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"opening it took more than {_PROBE_S} s"
        if run.returncode == 0:
            found = json.loads(run.stdout)
            return "an event was applied in part" if found["broken"] else ""
        if run.returncode == HomeBusyError.exit_code and "another process" in run.stderr:
            raise HomeBusyError(run.stderr.strip())
        return f"opening it ended with {run.returncode}: {run.stderr.strip()[-200:]}"

    def _foreign(self) -> str:
        """Why the graph does not belong to this ledger; "" if it does."""
        applied, head = self.root.applied, self._ledger.head()[0]
        if applied > head:
            return f"it stands at event {applied} and the ledger ends at {head}"
        if applied and self.root.durable._chain != self._chain_at(applied):
            return f"its event {applied} is not this ledger's"
        return ""

    def _chain_at(self, seq: int) -> str:
        return next(self._ledger.read(after=seq - 1, upto=seq)).chain

    def _set_aside(self) -> None:
        aside = self._folder.with_name(f"{self._folder.name}.aside")
        aside.mkdir(mode=0o700, exist_ok=True)
        for path in self._folder.iterdir():
            path.replace(aside / path.name)

    def _replay(self) -> int:
        before = self.root.applied
        for stored in self._ledger.read(after=before):
            self._apply(stored)
            if self._uncommitted >= _REPLAY_COMMIT:
                self.checkpoint(wait=True)
        self.checkpoint(wait=True)
        return self.root.applied - before

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
            apply(self.root, stored, self._reducer_of)
        except Exception as error:
            self.root.durable._broken = True
            log("graph.apply_failed", level=logging.ERROR, seq=stored.seq, type=stored.event.TYPE, error=error)
            if isinstance(error, GraphError):
                raise
            raise GraphError(
                f"event {stored.seq} ({stored.event.TYPE} in {stored.stream}) cannot be applied: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._uncommitted += 1

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough has been applied, or enough time has gone by, for a commit."""
        if not self._uncommitted or time.monotonic() < self._put_off_until:
            return False
        return self._uncommitted >= self._every_events or time.monotonic() - self._committed_at >= self._every_s

    def checkpoint(self, *, wait: bool = False) -> None:
        """Commit what is applied; while the file is being copied put it off, or `wait`: a copy takes milliseconds.

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
            if self._uncommitted and self._database is not None:
                self.root.durable._chain = self._chain_at(self.root.applied)
                self._database.commit()
            self._uncommitted, self._committed_at = 0, time.monotonic()

    def digest(self) -> str:
        """A sha256 over everything in the graph: the same for every graph of the same events."""
        return Database.digest(self.root.durable)

    def close(self) -> None:
        """Checkpoint and let go; no durable object may be used after this."""
        broken = self.root.durable._broken
        self.checkpoint(wait=True)
        if self._put_off_until and self._uncommitted and self._database is not None:
            self._database.abandon("no room on the disk")
        self._let_go()
        if not broken:
            with contextlib.suppress(OSError):  # no room, or read-only: the next start takes a closer look
                self._clean.write_text(self._look(), "utf-8")

"""Forgetting a user: every payload of theirs erased from the ledger, its archives, the graph and all copies of it.

The graph is made again from a ledger without them, before anything is erased: so an application whose reducers cannot
do without them is found out in time, and the graph that lives on is by construction the one that a rebuild gives.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from fleet.agents.app import import_app
from fleet.errors import GraphError, InputError, LedgerError
from fleet.graph.checkpoints import Graph
from fleet.ledger.archive import changing_history
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.erase import forget_user
from fleet.ledger.events import Erased, FleetStarted, UserForgotten
from fleet.ledger.sqlite import BUSY_S, SqliteLedger
from fleet.prompting.quote import quote
from fleet.runtime.hold import Hold
from fleet.runtime.home import Home
from fleet.runtime.purge import mark_of, purge
from fleet.runtime.reducing import reducer_of
from fleet.runtime.verify import app_of

__all__ = ["Forgotten", "events_of", "forget"]


@dataclass(frozen=True)
class Forgotten:
    """What was erased, as it is on record; `seq` is the event that says so.

    `event` is None if nothing of theirs was left; what an earlier forgetting had left undone is then done. `aside` are
    ledgers in the home that a restore had put aside, and from which they were erased too.
    """

    event: UserForgotten | None
    seq: int
    aside: tuple[Path, ...] = ()


def events_of(home: Home, user: str) -> int:
    """How many events of the user still have a payload, in the home's ledger and in those that a restore put aside.

    Raises: InputError if no ledger knows such a user, or one that was put aside cannot be read.
    """
    with home.read_ledger() as ledger:
        known, count = _left(ledger, user)
    for aside in _put_aside(home):
        try:
            with aside.read_ledger() as ledger:
                there, left = _left(ledger, user)
        except LedgerError as error:
            raise InputError(
                f"{aside.path} holds a ledger that was put aside and cannot be read ({error.message}); "
                "remove it, or what it says of the user stays; nothing was erased"
            ) from error
        known, count = known or there, count + left
    if not known:
        raise InputError(f"there is no user {quote(user)} in this ledger; nothing was erased")
    return count


def forget(home: Home, user: str, *, by: str = "", reason: str = "", app: str = "") -> Forgotten:
    """Erase the user's payloads; durable, and nowhere in the home's files, on return.

    No worker may hold the home; other processes may send and read. `app` is the application whose reducers make the
    graph (default: the one on record). The user's id, message ids and times stay in the rows, which the chain covers.
    Raises: InputError, HomeBusyError, ConfigError, or GraphError if the graph cannot be made without the user: nothing
    is erased then; LedgerError if it cannot be written, or is kept busy: then try again.
    """
    events_of(home, user)
    with home.read_ledger() as ledger:
        path = app or app_of(ledger)
    if path:
        import_app(path)
    with ExitStack() as undo:
        undo.enter_context(Hold(home.path, "fleet forget"))
        undo.enter_context(changing_history(home.ledger_file))
        ledger = undo.enter_context(home.open_ledger())
        done = Forgotten(None, 0)
        if _left(ledger, user)[1] or mark_of(home).exists():
            done = _forget(home, ledger, user, by, reason)
        aside = tuple(each.path for each in _put_aside(home) if _forget_aside(each, user, by, reason))
        return replace(done, aside=aside)


def _left(ledger: Ledger, user: str) -> tuple[bool, int]:
    """Whether the ledger knows the user, and how many events of theirs still have a payload, forgettings aside."""
    found = [not isinstance(each.event, (Erased, UserForgotten)) for each in ledger.read(user=user)]
    return bool(found), sum(found)


def _put_aside(home: Home) -> list[Home]:
    """What the home held before a backup was restored into it."""
    return [Home(path) for path in sorted(home.path.glob("before-*")) if (path / home.ledger_file.name).exists()]


def _forget_aside(aside: Home, user: str, by: str, reason: str) -> bool:
    """The same on a ledger that was put aside; its graphs go, since it can be made again."""
    with aside.open_ledger() as ledger:
        if not _left(ledger, user)[1] and not mark_of(aside).exists():
            return False
        mark_of(aside).touch(mode=0o600)
        forget_user(ledger.path, user, by=by, reason=reason, busy_s=BUSY_S)
        purge(aside, ledger)
        return True


def _forget(home: Home, ledger: SqliteLedger, user: str, by: str, reason: str) -> Forgotten:
    fresh = home.graph_folder.with_name("graph.forgetting")
    shutil.rmtree(fresh, ignore_errors=True)
    without = _Without(ledger, user)
    graph = _made(fresh, without) if _began(ledger) else None
    try:
        mark_of(home).touch(mode=0o600)
        stored = forget_user(ledger.path, user, by=by, reason=reason, busy_s=BUSY_S)
        if graph is not None:
            without.until = stored.seq if stored is not None else 0
            graph.catch_up()
    finally:
        if graph is not None:
            graph.close()
    purge(home, ledger, fresh if graph is not None else None)
    if stored is None or not isinstance(stored.event, UserForgotten):
        return Forgotten(None, 0)
    return Forgotten(stored.event, stored.seq)


def _began(ledger: Ledger) -> bool:
    """Whether a worker ever made a graph."""
    return any(True for _ in ledger.read(types=(FleetStarted.TYPE,), limit=1))


def _made(folder: Path, ledger: _Without) -> Graph:
    try:
        # A graph asks its ledger for events and for its head, and for nothing else.
        return Graph(folder, cast("Ledger", ledger), reducer_of)
    except GraphError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise GraphError(
            f"the graph cannot be made without what {quote(ledger.user)} said: {error.message}; nothing was erased"
        ) from error


class _Without:
    """The ledger as it is once the payloads of `user` before event `until` are gone."""

    def __init__(self, ledger: Ledger, user: str) -> None:
        self._ledger, self.user, self.until = ledger, user, 2**63

    def head(self) -> tuple[int, str]:
        """The last event's seq and chain."""
        return self._ledger.head()

    def read(self, **which: Any) -> Iterator[Stored]:
        """Events, `Erased` in place of theirs."""
        for stored in self._ledger.read(**which):
            if stored.user == self.user and stored.seq < self.until and not isinstance(stored.event, UserForgotten):
                yield replace(stored, event=Erased(kind=stored.event.TYPE))
            else:
                yield stored

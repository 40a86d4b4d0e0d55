"""A running fleet: one home, one application, one process that routes and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self

from fleet.agents.app import App
from fleet.errors import FleetError, InputError, TakenOverError
from fleet.graph.checkpoints import Graph
from fleet.ledger.base import Stored
from fleet.ledger.events import FleetStarted
from fleet.llm.base import Model
from fleet.log import log
from fleet.routing.decider import Decider
from fleet.runtime.announce import announce
from fleet.runtime.asked import asked_for, roles_of
from fleet.runtime.awaited import awaited
from fleet.runtime.beat import Beat, Load
from fleet.runtime.dispatches import Dispatch, find_dispatch
from fleet.runtime.handover import new_graph_folder, remove_old_graphs
from fleet.runtime.hold import Held, Hold
from fleet.runtime.home import Home
from fleet.runtime.intake import Accepted, Intake, Message, as_message
from fleet.runtime.keeper import Keeper
from fleet.runtime.load import load_catalog
from fleet.runtime.models import Models
from fleet.runtime.outbox import check_channels
from fleet.runtime.parts import parts
from fleet.runtime.pen import Pen
from fleet.runtime.purge import finish_forgetting
from fleet.runtime.reconcile import differences
from fleet.runtime.reducing import reducer_of
from fleet.runtime.room import Room
from fleet.runtime.sweeper import Sweeper
from fleet.runtime.trace import Trace, told
from fleet.settings import Settings
from fleet.version import __version__
from fleet.workers.partials import Partials

__all__ = ["Fleet"]

_QUEUES = ("inbox", "turns", "outbox", "steps", "reminders")  # what a worker sets going at its start


class Fleet:
    """An application at work on a home. Open it with `async with Fleet(app, settings) as fleet`.

    Messages come in through `accept`, or from any other process through the home's inbox; `on` tells a function of
    every applied event, `partials.listen` one of replies while they are written. `models` maps names to ready models,
    before the registry; without `workers` it only routes, and turns wait for a fleet that has them. `held` says what to
    do about a home that another worker holds: "refuse", "wait" until it ends, or "take over": it writes no more then.
    Raises on opening: ConfigError, HomeError, HomeBusyError, LedgerError, GraphError, each in one line.
    """

    def __init__(
        self,
        app: App,
        settings: Settings | None = None,
        *,
        models: dict[str, Model] | None = None,
        workers: bool = True,
        held: Held = "refuse",
    ) -> None:
        self.app = app
        self._workers = workers
        self.settings = settings or Settings.load()
        self._catalog = load_catalog(app)
        check_channels(app)
        self.models, self.partials = Models(app, self.settings, models), Partials(app)
        self._home, self._hold, self._held = Home(self.settings.home), Hold(self.settings.home), held
        self._room = Room(self.settings.home, self.settings.disk_reserve_mb)
        self._listeners: list[Callable[[Stored], None]] = []
        self._stopped = asyncio.Event()
        self._serving = False
        self._fatal: BaseException | None = None
        self._decider = Decider(self._catalog, self.models.router, self.models.fallback, self.settings, __version__)

    async def __aenter__(self) -> Self:
        self._home.create()
        self._room.check_start()
        with ExitStack() as undo:
            before = await self._hold.get(self._held)
            undo.callback(self._hold.release)
            self.ledger = self._home.open_ledger()
            undo.callback(self.ledger.close)
            finish_forgetting(self._home, self.ledger)
            self._pen = Pen(self.ledger.append)
            self._graph = Graph(
                new_graph_folder(self._home) if before else self._home.graph_folder,
                self.ledger,
                reducer_of,
                checkpoint_events=self.settings.checkpoint_events,
                checkpoint_s=self.settings.checkpoint_s,
                worn=self.settings.compact_commits,
            )
            undo.callback(self._graph.close)
            await self._begin(before)
            undo.pop_all()
        return self

    async def _begin(self, before: str) -> None:
        root = self._graph.root
        self._decider.recall(self.ledger)
        self._intake = Intake(self.ledger, self.settings.max_message_bytes, self.settings.inbox_limit)
        self._loop = parts(
            self._catalog, self.ledger, root, self._decider, self.models if self._workers else None, self._pen.write,
            self._others, self._fail, self._intake.waiting, self.settings, self.partials,
        )  # fmt: skip
        self._unsubscribe = self.ledger.subscribe(self._durable)
        await announce(self.ledger, self.app, self._hold, self._graph.opened, before)
        remove_old_graphs(self._home)
        roles = {*self._catalog.roles, "dispatcher", *root.task_agents}
        streams = {role: self.ledger.version(f"agent:{role}") for role in roles}
        for draft in differences(self._catalog, root, streams):
            await self.ledger.append(draft)
        self._watch = self.ledger.watch(self._others)
        ledger, path = self._home.ledger_file, self.app.path
        self._keeper = Keeper(self._graph, ledger, path, self.settings, self._hold.check, self._quiet, self._fail)
        self._resume()
        self._others()
        self._sweeper = Sweeper(self.ledger, self._loop, self._pen.write, self.settings, self.app)
        self._beat = Beat(self.settings.home, self.ledger, self._loop, self._catalog.roles)

    def _resume(self) -> None:
        """Set going what an earlier run left in the queues, and what came in while this one started.

        Until here events were applied and set nothing going: a message of another process that came in between would
        be routed twice, or before its agents are declared. What is not applied yet comes by `_others`.
        """
        applied = self._graph.root.applied
        entries = [entry for queue in _QUEUES for entry in self.ledger.pending(queue)]
        seqs = sorted({entry.seq for entry in entries if entry.seq <= applied})
        self._loop.begin(seqs)
        self._serving = True
        if seqs:
            log("fleet.resumed", entries=len(seqs))

    def _durable(self, batch: Sequence[Stored]) -> None:
        """Apply what this process has made durable, and what others did before it."""
        self._take(lambda: self._graph.apply(batch))

    def _others(self) -> None:
        """Apply what other processes have made durable."""
        self._take(self._graph.catch_up)

    def _take(self, apply: Callable[[], Sequence[Stored]]) -> None:
        if self._fatal is None:
            try:
                self._applied(apply())
            except FleetError as error:
                self._fail(error)

    def _applied(self, events: Sequence[Stored]) -> None:
        for stored in events:
            if isinstance(stored.event, FleetStarted):  # this one's own, or that of one who took over
                self._hold.check()
            if self._serving:
                self._loop.react(stored)
            for listener in self._listeners:
                listener(stored)
        if self._graph.checkpoint_due:
            self._hold.check()
        self._graph.tend()

    def _quiet(self) -> bool:
        """Whether everything is applied, and no task has a durable object in its hands."""
        self._others()
        return self._fatal is None and self._loop.quiet

    def _fail(self, error: BaseException) -> None:
        if self._fatal is None:
            self._fatal = error
            log("fleet.failed", error=error)
        self._stopped.set()

    @property
    def standing_by(self) -> bool:
        """Whether it waits for the home's worker to end."""
        return self._hold.standing_by

    def checkpoint(self) -> None:
        """Commit the graph now; it does so by itself as often as the settings say.

        Raises: TakenOverError if another worker has the home now; LedgerError.
        """
        self._hold.check()
        self._graph.checkpoint(wait=True)

    def on(self, what: str | Callable[[Stored], None], fn: Callable[[Trace], Any] | None = None) -> None:
        """Call a function with every event from now on, once it is durable and applied. It must not raise or wait.

        `fleet.on("dispatch.completed", fn)` calls `fn` with the `Trace` of each such transition instead; the names are
        `fleet.runtime.trace.TRACES`. Raises: ConfigError for another name.
        """
        self._listeners.append(told(what, fn) if isinstance(what, str) else what)

    async def accept(self, message: Any) -> Accepted:
        """Make a message durable in the inbox; routing follows by itself. `message`: see `as_message`.

        Raises: InputError; InboxFullError, which says in `retry_after` when to try again; LedgerUnavailableError with
        a disk that is about to be full, or a ledger that cannot be written just now; LedgerError. Nothing is written
        then.
        """
        given = message if isinstance(message, Message) else as_message(message)
        self._room.check()
        return await self._intake.accept(given)

    async def dispatch(
        self,
        agent: str | Sequence[str] = "",
        *,
        user: str,
        text: str = "",
        thread: str = "",
        new_thread: bool = False,
        name: str = "",
        metadata: Mapping[str, Any] | None = None,
        id: str = "",  # noqa: A002 - the message's own
        by: str = "application",
        mode: Literal["queue", "sync", "handoff", "workflow", "ask_user"] = "queue",
    ) -> Dispatch:
        """Assign work to `agent` for `user` without a routing model: `Assignment` says where it goes.

        `metadata` reaches the worker as `job.metadata`; the same `id` again changes nothing. Returns the dispatch once
        it is durable; with mode="sync" once it has ended; with "handoff" `thread` goes over to `agent`; "workflow" goes
        through several agents, each one's result the next one's input, the last one's the user's reply; with "ask_user"
        the user says which of the plausible threads and agents it is for.
        Raises: InputError for an agent that is not declared, or what intake refuses; InboxFullError; LedgerError.
        """
        asked = asked_for(agent, mode, thread_id=thread, new_thread=new_thread, name=name, by=by)
        message = Message(user, text, id, metadata=metadata or {}, dispatch=asked)
        return await self.assign(message, wait=mode == "sync")

    async def assign(self, message: Message, *, wait: bool = False) -> Dispatch:
        """The same for a message that carries its `Assignment` already."""
        for role in roles_of(message.dispatch):
            if role not in self._catalog.roles:
                raise InputError(f"no agent {role!r} is declared; there are {', '.join(self._catalog.roles)}")
        sent = await self.accept(message)
        if wait:
            await self.reply_to(sent.message_id)
        return find_dispatch(self.ledger, sent.message_id)

    async def reply_to(self, message_id: str) -> str:
        """Wait for the end of the turn that answers a message, or for whatever else becomes of it.

        Returns what was replied, "" if nothing was. Raises: what stopped the fleet, if it stops before that.
        """
        with awaited(self.ledger, message_id, self._listeners) as done:
            stopped = asyncio.create_task(self._stopped.wait())
            waiting: set[asyncio.Future[Any]] = {done, stopped}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not done.done():
                raise self._fatal or FleetError("the fleet was stopped before the reply")
            return done.result()

    def load(self) -> Load:
        """What it is doing just now; the same is in the home for other processes. Raises: LedgerError."""
        return self._beat.load()

    async def idle(self) -> None:
        """Wait until every accepted message whose time has come is routed, answered and delivered.

        Raises: what stopped the fleet, if it had to stop.
        """
        await self._loop.idle()
        if self._fatal is not None:
            raise self._fatal

    async def run(self) -> None:
        """Serve until `stop` is called. Raises: what stopped the fleet, if something did."""
        await self._stopped.wait()
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Let `run` return; leaving the `async with` block then drains."""
        self._stopped.set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as close:  # whatever goes wrong on the way, the home is let go
            close.callback(self._hold.release)
            close.callback(self.ledger.close)
            close.callback(self._let_graph_go)
            self._watch.close()
            await self._sweeper.close()
            await self._beat.close()
            await self._keeper.close()
            clean = await self._loop.drain(0 if self._fatal else self.settings.drain_s)
            if not clean:
                log("fleet.cut_off", seconds=self.settings.drain_s)
            self.partials.close()
            await self.models.aclose()
            self._unsubscribe()
            del self._loop
        log("fleet.stopped")
        if error is None and isinstance(self._fatal, TakenOverError):
            raise self._fatal

    def _let_graph_go(self) -> None:
        try:
            self._hold.check()
        except TakenOverError as error:
            self._fail(error)
            self._graph.drop()
        else:
            self._graph.close()

"""The one thread of an open ledger that writes: everything that waits goes into one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from fleet.errors import LedgerError
from fleet.ledger.base import Draft, Stored
from fleet.ledger.batch import Names, Outcome, Prepared, write_batch
from fleet.ledger.fence import check_fence
from fleet.ledger.schema import refusal, wait_for_turn

__all__ = ["MAX_BATCH", "Writer"]

MAX_BATCH = 500  # drafts in one transaction: about 20 ms of work between two looks at the queue
_NOTHING = "; nothing was written"

Subscriber = Callable[[Sequence[Stored]], None]


@dataclass(slots=True)
class _Job:
    """A draft and who waits for it: a future of the event loop, or of another thread."""

    prepared: Prepared
    future: asyncio.Future[tuple[Stored, ...]] | None = None
    waiter: Future[tuple[Stored, ...]] | None = None


class Writer:
    """Takes drafts from any task or thread and commits them, all that wait at a time.

    Alone, a draft is committed at once; under load, the drafts that came during one fsync share the next. It serves one
    event loop at a time: subscribers and the futures of `append` are called there, once per batch. `committed`, called
    in the writer's thread after each commit, gets the seq before the batch as this writer knew it, and as it was.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, busy_s: float, committed: Callable[[int, int], None]
    ) -> None:
        self.commits = 0
        self.fence: int | None = None  # the seq of this worker's start, if it is one
        self.last_seq = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        self._connection = connection
        self._path = path
        self._busy_s = busy_s
        self._committed = committed
        self._names = Names()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()  # so that nothing is queued behind the end mark
        self._closed = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribers: list[Subscriber] = []

    async def append(self, draft: Draft) -> tuple[Stored, ...]:
        """Queue the draft and wait until it is durable."""
        loop = self.bind()
        future: asyncio.Future[tuple[Stored, ...]] = loop.create_future()
        self._put(_Job(Prepared.of(draft), future=future))
        return await future

    def append_now(self, draft: Draft) -> tuple[Stored, ...]:
        """The same, holding up the calling thread."""
        waiter: Future[tuple[Stored, ...]] = Future()
        self._put(_Job(Prepared.of(draft), waiter=waiter))
        return waiter.result()

    def subscribe(self, fn: Subscriber) -> Callable[[], None]:
        """Hand every later batch to `fn`, on the running loop; returns the end of it."""
        self.bind()
        self._subscribers.append(fn)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._subscribers.remove(fn)

        return unsubscribe

    def bind(self) -> asyncio.AbstractEventLoop:
        """The running loop, which this ledger serves from now on.

        Raises: LedgerError when another loop, still open, is served.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise LedgerError("this ledger serves another event loop; open it once for each")
            self._loop = loop
            self._subscribers.clear()
        return loop

    def close(self) -> None:
        """Write what is queued and end the thread; the connection is closed with it."""
        with self._lock:
            already, self._closed = self._closed, True
            if not already:
                self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        self._connection.close()

    def _put(self, job: _Job) -> None:
        with self._lock:
            if self._closed:
                raise LedgerError(f"the ledger {self._path} is closed; nothing was written")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fleet-ledger", daemon=True)
                self._thread.start()
            self._queue.put(job)

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            jobs: list[_Job] = []
            with contextlib.suppress(Empty):
                while job is not None:
                    jobs.append(job)
                    if len(jobs) == MAX_BATCH:
                        break
                    job = self._queue.get_nowait()
            if jobs:
                self._settle(jobs, *self._write([job.prepared for job in jobs]))
            if job is None:
                return

    def _write(self, batch: Sequence[Prepared]) -> tuple[list[Outcome], list[Stored]]:
        """One transaction; whatever goes wrong in it becomes every draft's outcome."""
        known = self.last_seq
        try:
            wait_for_turn(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._path, self._busy_s)
            if self.fence is not None:
                check_fence(self._connection, self._path, self.fence)
            written = write_batch(self._connection, self._names, batch)
            if written.changed:
                self.last_seq = written.after  # before the commit: who sees that must see whose it is
            self._connection.execute("COMMIT" if written.changed else "ROLLBACK")
        except Exception as error:  # of whatever kind: the thread must live on, and nobody may wait for ever
            self._names.forget()
            self.last_seq = known
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            return [self._failure(error) for _ in batch], []
        if written.changed:
            self.commits += 1
            self._committed(known, written.before)
        return written.outcomes, written.events

    def _failure(self, error: Exception) -> LedgerError:
        """A new error for each who waits: a raised exception collects the traceback of its raiser."""
        why = refusal(self._path, error) if isinstance(error, sqlite3.Error) else error
        if isinstance(why, LedgerError):
            failure = type(why)(why.message if "nothing" in why.message else why.message + _NOTHING)
        else:
            failure = LedgerError(f"the ledger {self._path} failed: {type(why).__name__}: {why}{_NOTHING}")
        failure.__cause__ = error
        return failure

    def _settle(self, jobs: Sequence[_Job], outcomes: Sequence[Outcome], events: Sequence[Stored]) -> None:
        results = list(zip(jobs, outcomes, strict=True))
        for job, outcome in results:
            if job.waiter is not None:
                _resolve(job.waiter, outcome)
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
                loop.call_soon_threadsafe(self._deliver, loop, results, events)

    def _deliver(
        self, loop: asyncio.AbstractEventLoop, results: Sequence[tuple[_Job, Outcome]], events: Sequence[Stored]
    ) -> None:
        if events:
            for fn in tuple(self._subscribers):
                try:
                    fn(events)
                except Exception as error:  # one subscriber's failure is not the other's, nor the writer's
                    context = {"message": "a subscriber of the ledger failed", "exception": error}
                    loop.call_exception_handler(context)
        for job, outcome in results:
            if job.future is not None and not job.future.done():
                _resolve(job.future, outcome)


def _resolve(future: asyncio.Future[tuple[Stored, ...]] | Future[tuple[Stored, ...]], outcome: Outcome) -> None:
    if isinstance(outcome, tuple):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)

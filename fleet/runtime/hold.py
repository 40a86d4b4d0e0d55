"""The hold on a home: one worker has it, others are refused, wait for it, or take it over.

It is a lock on the file `worker.lock`, which the operating system lets go of when a process ends, however it ends. A
process that is stopped keeps its locks; who takes over puts a locked file of its own in that file's place. So the hold
is had by whoever has locked the file that lies there now.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from fleet.errors import HomeBusyError, HomeError, TakenOverError
from fleet.log import log

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: the graph's own lock still keeps a second worker out
    fcntl = None

__all__ = ["Held", "Hold"]


Held = Literal["refuse", "wait", "take over"]


class Hold:
    """One worker's hold on one home. `standing_by` is True while it waits for it.

    `with Hold(home, "fleet forget")` is for a task that may not run beside a worker: it has the hold within the block,
    or is refused; nobody takes over from it.
    """

    def __init__(self, home: Path, task: str = "") -> None:
        self._home, self._file, self._task = home, home / "worker.lock", task
        self._handle: IO[str] | None = None
        self.standing_by = False

    async def get(self, held: Held) -> str:
        """Get the hold; should another worker have it: "refuse", "wait" for its end, or "take over".

        Returns the worker that it was taken over from, as `pid 123 on host`; "" if it was free, at once or in the end.
        Raises: HomeBusyError that names the holder, also for a task that nobody can take over from; HomeError.
        """
        if held == "take over":
            return self._take_over()
        if held == "refuse":
            self.take()
            return ""
        if self._lock_now():
            return ""
        log("fleet.standing_by", holder=self.holder)
        self.standing_by = True
        try:
            await self._wait()
        finally:
            self.standing_by = False
        return ""

    @property
    def holder(self) -> str:
        """Who signed the lock last: `pid 123 on host`, and what it does if that is no worker's work."""
        try:
            return self._file.read_text("utf-8").strip() or "unknown"
        except OSError:
            return "unknown"

    def take(self) -> None:
        """Get the hold if nobody has it. Raises: HomeBusyError that names the holder; HomeError."""
        if not self._lock_now():
            raise HomeBusyError(f"home {self._home} is held by another worker ({self.holder}); stop it or use --home")

    async def _wait(self) -> None:
        """Take the hold as soon as its holder lets go or ends; the lock itself wakes the one who waits.

        Cancelled, it gives the hold up again, should it still get it. Raises: HomeError.
        """
        self._needs_locks("waiting for a home")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        turn = threading.Lock()
        gave_up = False

        def settle(error: HomeError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def block() -> None:
            error = None
            try:
                self._lock(0)
            except HomeError as refused:
                error = refused
            with turn:
                if gave_up:
                    self.release()
                else:
                    loop.call_soon_threadsafe(settle, error)

        threading.Thread(target=block, name="fleet-standby", daemon=True).start()
        try:
            await done
        except BaseException:
            with turn:
                gave_up = True
                self.release()
            raise

    def _take_over(self) -> str:
        """Take the hold from whatever worker has it; who had it, "" if nobody had.

        The one before may go on until it looks: the ledger then refuses it (`fence`), and `had` is False there.
        """
        self._needs_locks("taking a home over")
        if self._lock_now():
            return ""
        before = self.holder
        if "," in before:  # it rewrites what a worker only adds to, and no fence stops it
            raise HomeBusyError(f"home {self._home} is held by {before}, which nobody can take over from; wait for it")
        try:
            fd, name = tempfile.mkstemp(prefix=f"{self._file.name}.", dir=self._home)
            handle = os.fdopen(fd, "w+", encoding="utf-8")
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._keep(handle)
            Path(name).replace(self._file)
        except OSError as error:
            raise self._unusable(error) from error
        return before

    @property
    def had(self) -> bool:
        """Whether this worker has the hold still; one look at the folder."""
        return fcntl is None or (self._handle is not None and self._lies_there(self._handle))

    def check(self) -> None:
        """Raises: TakenOverError that names the new holder, if there is one."""
        if not self.had:
            raise TakenOverError(
                f"home {self._home} was taken over by another worker ({self.holder}); nothing more was written"
            )

    def release(self) -> None:
        """Let another worker have the home."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock_now(self) -> bool:
        return fcntl is None or self._lock(fcntl.LOCK_NB)

    def _lock(self, flags: int) -> bool:
        """Lock the file that lies there; False if it is locked, unless `flags` say to wait."""
        while True:
            try:
                handle = self._file.open("a+", encoding="utf-8")
            except OSError as error:
                raise self._unusable(error) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | flags)
                if self._lies_there(handle):
                    self._keep(handle)
                    return True
            except BlockingIOError:
                return False
            except OSError as error:
                raise self._unusable(error) from error
            finally:
                if self._handle is not handle:  # not ours; or the home was taken over, and another file is the lock
                    handle.close()

    def _lies_there(self, handle: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(handle.fileno()), self._file.stat())
        except FileNotFoundError:
            return False

    def _keep(self, handle: IO[str]) -> None:
        handle.seek(0)
        handle.truncate()
        task = f", {self._task}" if self._task else ""
        handle.write(f"pid {os.getpid()} on {socket.gethostname()}{task}")
        handle.flush()
        self._handle = handle

    def _unusable(self, error: OSError) -> HomeError:
        return HomeError(f"home {self._home} cannot be used: {error.strerror or error}")

    def _needs_locks(self, what: str) -> None:
        if fcntl is None:
            raise HomeError(f"{what} needs file locks, which this system does not have")

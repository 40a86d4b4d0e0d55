"""The keeper: looks after the open graph while the fleet runs, and has kept copies made by a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fleet.graph.checkpoints import Graph
from fleet.log import log
from fleet.settings import Settings

__all__ = ["Keeper", "keep_command"]

_EVENTS = 200_000  # since the last kept copy: what takes some ten seconds to replay
_SHARE = 20  # it runs for no more than a 20th of the time


def keep_command(ledger_file: Path, live: Path, app: str) -> list[str]:
    """The command that makes a kept copy; see `fleet.runtime.keep`."""
    return [sys.executable, "-m", "fleet.runtime.keep", str(ledger_file), str(live), *([app] if app else [])]


class Keeper:
    """Looks after one open graph: commits in time, kept copies, a fresh file when the live one is worn.

    `check` raises once another worker has the home: then nothing is touched any more. `quiet` says, at any moment,
    whether no task has a durable object in its hands: only then the file is changed for the fresh one; `failed` is told
    of what ends it. Begins when it is made, on the running event loop.
    """

    def __init__(
        self,
        graph: Graph,
        ledger_file: Path,
        app: str,
        settings: Settings,
        check: Callable[[], None],
        quiet: Callable[[], bool],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._graph, self._check, self._quiet, self._failed = graph, check, quiet, failed
        self._every_s, self._commits = settings.checkpoint_s, settings.compact_commits
        self._command = keep_command(ledger_file, graph.files.live, app)
        self._last = (graph.commits, graph.root.applied)
        self._again_at = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._tending = asyncio.create_task(self._tend())
        self._tending.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._check()
            self._graph.tend()
            if self._keeping is not None and not self._keeping.done():
                continue
            if self._graph.commits >= self._commits and self._quiet() and self._graph.renew():
                self._last = (0, self._graph.root.applied)
            elif self._due():
                self._keeping = asyncio.create_task(self._keep())

    def _due(self) -> bool:
        commits, events = self._graph.commits - self._last[0], self._graph.root.applied - self._last[1]
        return time.monotonic() >= self._again_at and (commits >= self._commits or events >= _EVENTS)

    async def _keep(self) -> None:
        began = time.monotonic()
        self._last = (self._graph.commits, self._graph.root.applied)
        child = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            out, err = await child.communicate()
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        self._again_at = time.monotonic() + _SHARE * (time.monotonic() - began)
        if child.returncode == 0:
            log("graph.kept", **json.loads(out))
        else:
            words = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no word"]
            log("graph.not_kept", level=logging.WARNING, code=child.returncode, reason=words[0])

    async def close(self) -> None:
        """End what runs; the last kept copy stays."""
        running = [task for task in (self._tending, self._keeping) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

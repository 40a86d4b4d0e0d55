"""Workers that can be had quickly and killed honestly: a process that has imported everything forks them.

Run as a script it is that process; `Nursery` is how a test talks to it. It never opens a fleet itself, since dbzero
takes no fork after that.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 60.0


class Nursery:
    """Starts and ends workers of the small application on homes. Whatever still runs at the end is killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._running: set[int] = set()

    def start(self, home: Path, seed: int, **settings: Any) -> int:
        """The process id of a new worker on `home`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"home": str(home), "seed": seed, "settings": settings}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self._running.add(pid)
        return pid

    def end(self, pid: int, how: signal.Signals) -> None:
        """Send a worker this signal, and wait until it is gone."""
        os.kill(pid, how)
        late = time.monotonic() + _PATIENCE_S
        while self.runs(pid):
            assert time.monotonic() < late, f"the worker does not end on {how.name}"
            time.sleep(0.002)
        self._running.discard(pid)

    @staticmethod
    def runs(pid: int) -> bool:
        """Whether the worker is there."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [each for each in self._running if self.runs(each)]:
            self.end(pid, signal.SIGKILL)
        self._process.communicate(timeout=_PATIENCE_S)


def application(home: Path, seed: int) -> tuple[Any, dict[str, Any]]:
    """One agent that echoes. "poison" breaks the routing, "venom" any turn with it, until there is a file `well`."""
    from support.fleets import echo, helper_app, newest_else_new, printed_message, scripted

    chance = random.Random(seed)

    async def route(request: Any) -> Any:
        await asyncio.sleep(chance.random() / 200)
        if "poison" in printed_message(request) and not (home / "well").exists():
            raise RuntimeError("poisoned")
        return newest_else_new(request)

    async def work(request: Any) -> Any:
        await asyncio.sleep(chance.random() / 200)
        asked = next(each["content"] for each in reversed(request.messages) if each["role"] == "user")
        if "venom" in asked and not (home / "well").exists():
            raise RuntimeError("poisoned")
        return echo(request)

    return helper_app(lambda user, text: None), scripted(route, work)


async def _serve(home: Path, seed: int, settings: dict[str, Any]) -> None:
    from fleet.runtime.start import serve
    from support.fleets import open_fleet

    app, models = application(home, seed)
    async with open_fleet(home, app, models=models, **settings) as fleet:
        await serve(fleet)


def _main() -> None:
    from fleet.runtime import start
    from support import fleets

    assert start
    assert fleets
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.stdin.close()
            code = 70
            try:
                asyncio.run(_serve(Path(asked["home"]), asked["seed"], asked["settings"]))
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    _main()

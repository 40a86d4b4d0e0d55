"""The real `fleet` command, as a process: run to its end, or watched line by line while it runs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from click.testing import CliRunner

import fleet as package
from fleet.cli.main import fleet
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home

COMMAND = (sys.executable, "-m", "fleet.cli")
_CHECKOUT = Path(package.__file__).parents[1]
_PATIENCE_S = 60.0


def environment(*modules: Path, **variables: str) -> dict[str, str]:
    """The process's environment without settings of whoever runs the tests, with `modules` to import from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLEET_", "ANTHROPIC_"))}
    path = os.pathsep.join(map(str, (*modules, _CHECKOUT)))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "160", **variables}


def run(
    *arguments: object, given: bytes | None = None, modules: tuple[Path, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `fleet` with these arguments to its end; `given` is its standard input."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=b"" if given is None else given,
        capture_output=True,
        env=environment(*modules, **variables),
        timeout=_PATIENCE_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def call(*arguments: object, given: bytes | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same within this process, which is faster; for commands that open no fleet."""
    clean = {name: None for name in os.environ if name.startswith(("FLEET_", "ANTHROPIC_"))}
    said = CliRunner().invoke(fleet, [*map(str, arguments)], input=given, env={**clean, **variables})
    return subprocess.CompletedProcess(arguments, said.exit_code, said.stdout, said.stderr)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a command refused its input; nothing else was said."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("fleet: ")
    return done.stderr.removeprefix("fleet: ").strip()


def _heed_interrupts() -> None:
    """Where the tests run in the background, SIGINT is ignored, and their children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A command that runs, its output at hand line by line. Whatever still runs at the end is killed."""

    def __init__(self, *arguments: object, modules: tuple[Path, ...] = (), **variables: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(*modules, **variables),
            preexec_fn=_heed_interrupts,
        )
        self.said: list[str] = []

    def read_until(self, words: str, *, err: bool = False) -> str:
        """The next line of standard output (or error) that holds `words`."""
        stream = self.process.stderr if err else self.process.stdout
        assert stream is not None
        for line in _lines(stream):
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}: {self.said}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        out, err = self.process.communicate(timeout=_PATIENCE_S)
        self.said += [*out.splitlines(keepends=True), *err.splitlines(keepends=True)]
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def _lines(stream: IO[str]) -> Iterator[str]:
    while line := stream.readline():
        yield line


def wait_for(home: Path, done: Callable[[SqliteLedger], bool]) -> None:
    """Wait until the ledger of `home` says what is waited for; it is asked whenever another process has committed."""

    async def wait() -> None:
        committed = asyncio.Event()
        with Home(home).read_ledger() as ledger, ledger.watch(committed.set):
            async with asyncio.timeout(_PATIENCE_S):
                while not done(ledger):
                    await committed.wait()
                    committed.clear()

    asyncio.run(wait())


def at_rest(ledger: SqliteLedger) -> bool:
    """Whether nothing waits for a worker."""
    return not any(ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox"))

"""Faults to run into: disks that get full where a file system may be mounted, and an application that can be held."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleet.runtime.home import Home
from support.commands import Running, at_rest, call, wait_for
from support.fleets import check_exactly_once, digests

MIB = 1 << 20

# An application with a gate that holds each message with `hold` in it until the file `go` is there.
HOLDING = """
import asyncio
from pathlib import Path
from fleet import App, DialogAgent

async def gate(message):
    if "hold" in message.text:
        print("held", flush=True)
        while not Path({go!r}).exists():
            await asyncio.sleep(0.005)

app = App(name="holding", agents=[DialogAgent(role="helper", description="Helps with everything.")], gate=gate)
"""


def _mount(folder: Path, mib: int) -> bool:
    command = ("mount", "-t", "tmpfs", "-o", f"size={mib}m", "fleet-test", folder)
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def may_mount() -> bool:
    """Whether this user may mount a file system here."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = _mount(Path(folder), 1)
        if mounted:
            subprocess.run(["umount", folder], check=True)
        return mounted


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A file system of `mib` MiB on `folder`, where one may be mounted."""
    folder.mkdir()
    assert _mount(folder, mib)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def read_only(folder: Path, *, yes: bool) -> None:
    """Mount the file system on `folder` again, for reading only or for writing too."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", folder], check=True)


def fill(disk: Path, leave_mib: int = 0) -> Path:
    """Fill the disk up to its last byte, or until so much is left; the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for block in (b"x" * MIB, b"x" * 4096, b"x"):
            while leave_mib == 0 or _free(disk) > leave_mib * MIB:
                try:
                    if file.write(block) < len(block):
                        break
                except OSError:
                    break
    return ballast


def _free(disk: Path) -> int:
    return shutil.disk_usage(disk).free


def serving(home: Path, modules: Path, *options: str, **settings: str) -> Running:
    """A `fleet worker` on `home` with the application of `HOLDING`, ready."""
    worker = Running("worker", "--home", home, "--app", "holding:app", *options, modules=(modules,), **settings)
    try:
        worker.read_until("serving", err=True)
    except BaseException:
        worker.process.kill()
        raise
    return worker


def holds(home: Path, modules: Path, **settings: str) -> Running:
    """The same, with ana's message m-1 held."""
    worker = serving(home, modules, **settings)
    try:
        assert send(home, "m-1", "hold this", **settings).returncode == 0
        worker.read_until("held")
    except BaseException:
        worker.process.kill()
        raise
    return worker


def freeze(worker: Running, home: Path) -> None:
    """Stop the process where it stands, but not in the middle of a write to the ledger, which it would keep locked."""
    while True:
        worker.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED | os.WNOWAIT)
        with closing(sqlite3.connect(home / "ledger.db", timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                worker.signal(signal.SIGCONT)
            else:
                return


def send(home: Path, message_id: str, text: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`fleet send` for ana."""
    return call("send", "--home", home, "--user", "ana", "--id", message_id, text, **settings)


def goes_on(home: Path, worker: Running, work: Path) -> None:
    """The worker comes to rest, and drains; everything was done once; the graph is what the ledger amounts to."""
    wait_for(home, at_rest)
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    with Home(home).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))
        assert ledger.verify().problems == ()
    live, again = digests(home, work)
    assert live == again

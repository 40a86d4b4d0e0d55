"""What the routing benchmarks share: the application, and figures of a process and its disk."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from fleet import App  # noqa: E402
from fleet.demo import app as demo  # noqa: E402

ROUTER, WORKER = "anthropic:bench-router", "anthropic:bench-worker"


def application() -> App:
    """The reference application, its warmup and prompts as they ship, with nobody to tell."""
    return App(name="bench", agents=demo.agents.values(), dispatcher=demo.dispatcher, data=demo.data)


def rss_mb() -> float:
    """Resident memory of this process now, in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0


def bytes_below(folder: Path) -> int:
    """Bytes of every file below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def fsync_ms(folder: Path, rounds: int = 60) -> float:
    """The median of a durable write of 4 kB on this disk, in ms: what one commit cannot be faster than."""
    took = []
    handle = os.open(folder / "fsync.probe", os.O_CREAT | os.O_WRONLY, 0o600)
    for _ in range(rounds):
        began = time.perf_counter()
        os.write(handle, b"x" * 4096)
        os.fdatasync(handle)
        took.append(1000 * (time.perf_counter() - began))
    os.close(handle)
    (folder / "fsync.probe").unlink()
    return quantile(took, 0.5)

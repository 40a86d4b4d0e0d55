"""A coroutine of a test module in a process of its own, which it may end as a power cut would."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
_CHILD = """
import asyncio, importlib, pickle, sys
module, name, arguments = sys.argv[1:]
asyncio.run(getattr(importlib.import_module(module), name)(*pickle.loads(bytes.fromhex(arguments))))
"""


def run_child(start: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> int:
    """Run `start(*arguments)` in a child; its exit code: 0, or -SIGKILL if it killed itself on the way."""
    paths = (TESTS.parent, TESTS, Path(inspect.getfile(start)).parent)
    run = subprocess.run(
        [sys.executable, "-c", _CHILD, start.__module__, start.__name__, pickle.dumps(arguments).hex()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert run.returncode in (0, -signal.SIGKILL), run.stderr
    return run.returncode

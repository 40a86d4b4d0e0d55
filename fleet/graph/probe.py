"""`python -m fleet.graph.probe FOLDER [--trial]`: open a graph file and read from it, in a process that may crash.

With --trial it is written to as well: its commits are counted from there on. Prints one JSON object {applied,
chain, broken, commits} and exits 0; else one line on standard error and another code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import fleet
from fleet.errors import FleetError, GraphError, HomeBusyError
from fleet.graph.db import Database
from fleet.graph.living import LivingRoot
from fleet.graph.records import FleetRoot

__all__ = ["Probed", "probe"]

_LAST_WORDS = 300  # characters of what the child said that are shown
_PROBE_S = 120  # a graph of a million threads opens in a few seconds
# The child finds this very package, however the parent came to it.
_CODE = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('fleet.graph.probe', run_name='__main__')"
)


@dataclass(frozen=True)
class Probed:
    """What a graph file says of itself: the event it stands at and its chain, whether one was applied in part."""

    applied: int
    chain: str
    broken: bool
    commits: int


def probe(folder: Path, *, trial: bool = False) -> Probed:
    """Open the graph in `folder` in a child process; with `trial` commit to it too.

    Raises: GraphError if it cannot be used, HomeBusyError if another process has it open.
    """
    if not Database.file(folder).exists():
        raise GraphError("there is no graph file")
    command = [sys.executable, "-c", _CODE, str(Path(fleet.__file__).parents[1]), str(folder)]
    try:
        run = subprocess.run(
            [*command, *(["--trial"] if trial else [])], capture_output=True, text=True, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise GraphError(f"opening it took more than {_PROBE_S} s") from None
    if run.returncode == 0:
        found = Probed(**json.loads(run.stdout))
        if found.broken:
            raise GraphError("an event was applied in part")
        return found
    if run.returncode == HomeBusyError.exit_code and "another process" in run.stderr:
        raise HomeBusyError(run.stderr.strip())
    words = (run.stderr.strip().splitlines() or ["no word"])[-1]
    raise GraphError(f"opening it ended with {run.returncode}: {words[:_LAST_WORDS]}")


def _main(folder: Path, *, trial: bool) -> int:
    """Open, count every kind of record, perhaps commit, report."""
    try:
        database = Database(folder)
    except FleetError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    root = FleetRoot()
    living = LivingRoot(root)
    for records in (root.task_agents, root.state, living.users, living.threads, living.jobs):
        len(records)
    if trial:
        root._commits = 0
        database.commit()
    sys.stdout.write(json.dumps(asdict(Probed(root.applied, root._chain, root._broken, root._commits))) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    # Leave without dbzero's exit handlers: a normal exit would commit, and a probe must not write.
    os._exit(_main(Path(sys.argv[1]), trial="--trial" in sys.argv[2:]))

"""`python -m fleet.graph.probe FOLDER`: open a graph file and read from it, in a process that may crash.

Prints one JSON object {applied, broken} and exits 0; else one line on standard error and another code.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fleet.errors import FleetError
from fleet.graph.db import Database
from fleet.graph.records import FleetRoot


def main(folder: Path) -> int:
    """Open, read every user, thread and job once, report."""
    try:
        Database(folder)
    except FleetError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    root = FleetRoot()
    sizes = [len(records) for records in (root.task_agents, root.users, root.threads, root.jobs, root.state)]
    sys.stdout.write(json.dumps({"applied": root.applied, "broken": root._broken, "sizes": sizes}) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    # Leave without dbzero's exit handlers: a normal exit would commit, and a probe must not write.
    os._exit(main(Path(sys.argv[1])))

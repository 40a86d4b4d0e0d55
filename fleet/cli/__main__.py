"""`python -m fleet.cli` is `fleet`, where the command itself is not on the path."""

from __future__ import annotations

from fleet.cli.main import main

if __name__ == "__main__":
    main()

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.faults import HOLDING, may_mount, small_disk

# Where no file system may be mounted, a limit on the size of files stands in for a full disk.
collect_ignore = [] if may_mount() else ["test_full_disk.py"]


@pytest.fixture
def holding(tmp_path: Path) -> Path:
    """A folder with the application of `HOLDING`; touch the file `go` in it to let go of what is held."""
    (tmp_path / "holding.py").write_text(HOLDING.format(go=str(tmp_path / "go")))
    return tmp_path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB."""
    with small_disk(tmp_path / "disk", 48) as mounted:
        yield mounted

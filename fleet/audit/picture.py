"""Pictures for people, drawn into a file whole or not at all. Needs the extra `plot` (matplotlib)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fleet.audit.whole_file import whole_file
from fleet.errors import ConfigError, InputError

__all__ = ["check_picture", "picture"]

_ENDINGS = ("png", "svg")


def check_picture(path: Path) -> None:
    """Raises: InputError if the file's name ends with no picture's; ConfigError without the extra."""
    if path.suffix.removeprefix(".").lower() not in _ENDINGS:
        raise InputError(f"{path}: a chart's file ends with .png or .svg")
    if find_spec("matplotlib") is None:
        raise ConfigError("a chart needs matplotlib: install the extra `plot` (pip install 'fleet-runtime[plot]')")


@contextmanager
def picture(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """A figure of this size in inches, in the file once the block ends; the same drawing gives the same bytes.

    Raises: InputError, ConfigError as `check_picture`; InputError if the file cannot be written.
    """
    check_picture(path)
    matplotlib: Any = import_module("matplotlib")
    pictures: Any = import_module("matplotlib.figure")
    settings = {"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "fleet", "font.size": 9}
    with matplotlib.rc_context(settings), whole_file(path) as file:
        figure = pictures.Figure(figsize=size, layout="constrained")
        yield figure
        ending = path.suffix.removeprefix(".").lower()
        figure.savefig(file, format=ending, dpi=120, metadata={"Date": None} if ending == "svg" else None)

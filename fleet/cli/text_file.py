"""A text that a person names by its file."""

from __future__ import annotations

from pathlib import Path

from fleet.errors import InputError

__all__ = ["read_text"]


def read_text(path: Path) -> str:
    """The file's text. Raises: InputError if it cannot be read, or is not UTF-8."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None

"""Printing what others wrote: as data, never as control sequences or lines of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from fleet.audit.inert import json_line

__all__ = ["print_json", "print_json_lines"]

_AT_ONCE = 100  # lines of a long list in one write


def print_json(value: Any) -> None:
    """Print one JSON value on one line; what a terminal would act on is escaped within its strings."""
    click.echo(json_line(value))


def print_json_lines(values: Iterable[Any]) -> None:
    """Print many, a line each, in bounded memory."""
    lines: list[str] = []
    for value in values:
        lines.append(json_line(value))
        if len(lines) == _AT_ONCE:
            click.echo("\n".join(lines))
            lines.clear()
    if lines:
        click.echo("\n".join(lines))

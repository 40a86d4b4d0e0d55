"""Printing what others wrote: as data, never as control sequences or lines of ours."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["print_json"]


def print_json(value: Any) -> None:
    """Print one JSON value on one line; what a terminal would act on is escaped within its strings."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    if not line.isprintable():
        line = "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
    click.echo(line)

"""Printing a rich page: to a terminal in its width and colours, anywhere else as plain text."""

from __future__ import annotations

import sys
from io import StringIO

import click
from rich.console import Console, RenderableType

__all__ = ["PLAIN_WIDTH", "print_page"]

PLAIN_WIDTH = 140  # columns where there is no terminal to ask


def print_page(page: RenderableType) -> None:
    """Print `page` on standard output."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=StringIO(),
        force_terminal=terminal,
        width=None if terminal else PLAIN_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as said:
        console.print(page)
    lines = said.get().strip("\n").split("\n")
    click.echo("\n".join(line.rstrip() for line in lines))

"""`fleet audit export`: the decisions on record, for other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import click

from fleet.audit.decisions import Filter, decisions
from fleet.audit.export import Format
from fleet.audit.inert import name
from fleet.audit.whole_file import whole_file
from fleet.cli.filters import filter_options
from fleet.cli.options import home_option, redact_option
from fleet.cli.reading import reading, shown
from fleet.cli.traces import missing, receiver
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored

__all__ = ["export_"]

# name → module and attribute of a `fleet.audit.export.Format`, loaded when it is asked for
_FORMATS = {
    "jsonl": "fleet.audit.export:json_lines",
    "csv": "fleet.audit.export:csv_lines",
    "otlp": "fleet.audit.otel:otlp_lines",
}
_OTLP = "otlp"
_USUAL = "jsonl"
_AT_ONCE = 64 * 1024  # bytes of output in one write


@click.command("export")
@filter_options
@click.option("--format", "named", type=click.Choice(list(_FORMATS)), help=f"[by the ending of --out, else {_USUAL}]")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, whole or not at all [stdout]."
)
@click.option("--endpoint", default="", metavar="URL", help="Send OTLP to this collector, as http://localhost:4318.")
@click.option("--content", is_flag=True, help="OTLP with the texts of users, models and tools.")
@redact_option
@home_option
def export_(
    wanted: Filter,
    named: str | None,
    out: Path | None,
    endpoint: str,
    content: bool,
    redact: bool,
    home: Path | None,
) -> None:
    """Write decisions out, in the order decided, in bounded memory.

    As JSON lines (everything on record about each), as CSV (a line each, for a spreadsheet), or as OpenTelemetry
    traces, one a message (OTLP JSON lines, or to a collector with --endpoint). It ends with the decision that was the
    last when it began; the next export goes on from there with --after SEQ. A worker may run meanwhile.
    """
    ending = out.suffix.removeprefix(".").lower() if out else ""
    kind = named or (_OTLP if endpoint else ending if ending in _FORMATS else _USUAL)
    if (endpoint or content) and kind != _OTLP:
        raise InputError(f"--{'endpoint' if endpoint else 'content'} is for --format otlp, not {kind}")
    if endpoint and out:
        raise InputError("name one place: --out FILE or --endpoint URL")
    convert: Format = partial(_format(kind), content=True) if content else _format(kind)
    with reading(home) as ledger, reading(home, redact=redact) as seen:
        end = ledger.head()[0] + 1
        found = _Counted(decisions(ledger, replace(wanted, before=min(wanted.before or end, end))))
        rows = shown(found, redact=redact)
        if endpoint:
            sent = _send(endpoint, seen, rows, content=content)
            click.echo(f"{found.count} message{'s' * (found.count != 1)}, {sent} spans, to {name(endpoint)}")
            return
        text = convert(seen, rows)
        if out is None:
            sys.stdout.buffer.writelines(_joined(text))
            return
        with whole_file(out) as file:
            file.writelines(_joined(text))
    click.echo(f"{found.count} decisions in {out}")


def _format(kind: str) -> Callable[..., Iterator[str]]:
    module, _, attribute = _FORMATS[kind].partition(":")
    try:
        found: Callable[..., Iterator[str]] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise missing(f"--format {kind}", error) from None
    return found


def _send(endpoint: str, ledger: Ledger, found: Iterable[Stored], *, content: bool) -> int:
    with closing(receiver(endpoint, "--endpoint")) as collector:
        return collector.send(ledger, found, content=content)


def _joined(parts: Iterable[str]) -> Iterator[bytes]:
    """The text as UTF-8, in pieces worth a write."""
    piece = bytearray()
    for part in parts:
        piece += part.encode()
        if len(piece) >= _AT_ONCE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


class _Counted:
    """Decisions as they go by, counted."""

    def __init__(self, found: Iterable[Stored]) -> None:
        self.count = 0
        self._found = found

    def __iter__(self) -> Iterator[Stored]:
        for each in self._found:
            self.count += 1
            yield each

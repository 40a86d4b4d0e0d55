"""`fleet audit verify`: whether the record is what was written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from fleet.audit.anchor import Anchor, check_anchors, read_anchors, write_anchor
from fleet.cli.options import home_option, json_option
from fleet.cli.output import print_json
from fleet.cli.reading import reading
from fleet.errors import InputError

__all__ = ["verify"]


@click.command("verify")
@click.option("--anchor", type=click.Path(path_type=Path, dir_okay=False), help="The file with the ledger's anchors.")
@click.option("--write", is_flag=True, help="With --anchor: add where the ledger ends now, if all of it holds.")
@json_option
@home_option
@click.pass_context
def verify(ctx: click.Context, anchor: Path | None, write: bool, as_json: bool, home: Path | None) -> None:
    """Check the hash chain and everything else in the ledger; say which record was altered.

    The chain alone cannot tell that its newest events are gone: an anchor, kept where who can alter the ledger cannot
    write, says how far it went. Changes nothing in the ledger; a worker may run. Exit code 0 only if everything holds.
    """
    if write and anchor is None:
        raise InputError("--write adds to an anchor file; name it with --anchor FILE")
    with reading(home) as ledger:
        known = read_anchors(anchor, new=write) if anchor is not None else ()
        report = ledger.verify()
        problems = (*report.problems, *check_anchors(ledger, known, report))
        written = None
        if write and anchor is not None and not problems:
            written = write_anchor(anchor, Anchor.of(report))
    if as_json:
        said = {"ok": not problems, **asdict(report), "problems": problems, "anchors": len(known)}
        print_json({**said, "anchored": written.seq if written else None})
    else:
        click.echo(f"ledger   {report.events} events in {report.streams} streams, {report.blobs} blobs")
        click.echo(f"chain    {report.chain or 'empty'} at event {report.seq}")
        if anchor is not None:
            click.echo(f"anchors  {len(known)} checked{f', one written at event {written.seq}' if written else ''}")
        for problem in problems:
            click.echo(f"problem  {problem}")
        click.echo("not ok" if problems else "ok")
    if problems:
        ctx.exit(1)

"""`fleet archive`: payloads of threads that are long closed, out of the ledger's file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.clock import now, to_us
from fleet.runtime.archive import archive
from fleet.runtime.home import Home

__all__ = ["archive_"]


@click.command("archive")
@click.option(
    "--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Quiet for so long [FLEET_RETENTION_DAYS, 90]."
)
@home_option
@json_option
def archive_(older_than: float | None, home: Path | None, as_json: bool) -> None:
    """Move the payloads of closed threads into a JSONL file in the folder `archive` beside the ledger.

    Threads in which nothing happened for so long, of which nothing is left to do, and that wait for no person. Nothing
    else changes: what is archived is read from there by every command, and verified. A worker may run.
    """
    settings = load_settings(home)
    days = settings.retention_days if older_than is None else older_than
    done = archive(Home(settings.home), to_us(now() - timedelta(days=days)))
    moved = done.moved
    if as_json:
        print_json({
            "threads": done.threads, "messages": done.messages, "events": moved.events, "bytes": moved.bytes,
            "file": str(moved.file) if moved.file else None,
        })  # fmt: skip
    elif moved.file is None:
        click.echo(f"nothing to archive: no closed thread is older than {days:g} days")
    else:
        click.echo(
            f"moved {moved.events} payloads ({moved.bytes} bytes) of {done.threads} threads and {done.messages} other "
            f"messages to {moved.file}"
        )

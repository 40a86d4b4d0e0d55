"""`fleet store verify`: whether everything on disk holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.runtime.home import Home
from fleet.runtime.verify import StoreReport, verify_store

__all__ = ["store"]


@click.group()
def store() -> None:
    """Look after what is on disk."""


@store.command()
@click.option("--app", metavar="MODULE:ATTR", default="", help="Whose reducers apply the events [the home's own].")
@home_option
@json_option
@click.pass_context
def verify(ctx: click.Context, app: str, home: Path | None, as_json: bool) -> None:
    """Check the ledger's hash chain, and rebuild the graph from the ledger beside the live one.

    Changes nothing; a worker may run. Exit code 0 only if everything holds.
    """
    report = verify_store(Home(load_settings(home).home), app)
    if as_json:
        print_json(_as_json(report))
    else:
        for line in _lines(report):
            click.echo(line)
    if not report.ok:
        ctx.exit(1)


def _lines(report: StoreReport) -> list[str]:
    """What was checked, a line each; then what is wrong."""
    ledger = report.ledger
    lines = [
        f"ledger   {ledger.events} events in {ledger.streams} streams, {ledger.blobs} blobs, {ledger.pending} queued: "
        + (f"chain holds, {ledger.chain[:12] or 'empty'}" if ledger.ok else f"{len(ledger.problems)} problems")
    ]
    if report.rebuilt:
        by = f" with {report.app}" if report.app else ""
        lines.append(f"rebuilt  {report.upto} events{by}: {report.rebuilt.digest[:12]}")
    if report.live:
        lines.append(
            f"live     {report.live.opened_at} events in its file, the rest replayed: {report.live.digest[:12]}"
        )
    if report.note:
        lines.append(f"graph    {report.note}")
    lines += [f"problem  {problem}" for problem in report.problems]
    return [*lines, "ok" if report.ok else "not ok"]


def _as_json(report: StoreReport) -> dict[str, object]:
    return {"ok": report.ok, **asdict(report), "problems": list(report.problems)}

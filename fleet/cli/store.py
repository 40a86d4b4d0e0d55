"""`fleet store`: how things stand on disk, whether everything holds, copies, and building the graph anew."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.store_lines import backup_lines, status_lines, verify_lines
from fleet.ledger.versions import Versions, versions_of
from fleet.runtime.backup import backup as back_up
from fleet.runtime.backup import restore as restore_from
from fleet.runtime.home import Home
from fleet.runtime.status import status as status_of
from fleet.runtime.upkeep import rebuild_graph
from fleet.runtime.upkeep import snapshot as take_snapshot
from fleet.runtime.verify import verify_store

__all__ = ["store"]

_app_option = click.option(
    "--app", metavar="MODULE:ATTR", default="", help="Whose reducers apply the events [the home's own]."
)


@click.group()
def store() -> None:
    """Look after what is on disk."""


@store.command()
@home_option
@json_option
def status(home: Path | None, as_json: bool) -> None:
    """Show the ledger, the graph and its copies, the worker, and how the last starts went.

    Changes nothing; a worker may run.
    """
    found = status_of(Home(load_settings(home).home))
    if as_json:
        print_json(asdict(found))
    else:
        click.echo("\n".join(status_lines(found)))


@store.command()
@_app_option
@home_option
@json_option
@click.pass_context
def verify(ctx: click.Context, app: str, home: Path | None, as_json: bool) -> None:
    """Check the ledger's hash chain, and rebuild the graph from the ledger beside the live one.

    Changes nothing; a worker may run. Exit code 0 only if everything holds.
    """
    report = verify_store(Home(load_settings(home).home), app)
    if as_json:
        print_json({"ok": report.ok, **asdict(report), "problems": list(report.problems)})
    else:
        click.echo("\n".join(verify_lines(report)))
    if not report.ok:
        ctx.exit(1)


@store.command()
@_app_option
@home_option
@json_option
def snapshot(app: str, home: Path | None, as_json: bool) -> None:
    """Make the kept copy of the graph now.

    A worker whose graph is damaged goes on from it, and replays only what came after. A worker may run.
    """
    made = take_snapshot(Home(load_settings(home).home), app)
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(f"kept     event {made.applied}, {made.how} in {made.seconds:.1f} s")


@store.command()
@_app_option
@home_option
@json_option
def rebuild(app: str, home: Path | None, as_json: bool) -> None:
    """Set the graph aside, with its copies, and build it from the ledger alone.

    A worker does so by itself where it must; no worker may run.
    """
    made = rebuild_graph(Home(load_settings(home).home), app)
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(f"rebuilt  {made.events} events in {made.seconds:.1f} s: {made.digest[:12]}")


@store.command()
@click.argument("dest", type=click.Path(path_type=Path))
@home_option
@json_option
@click.pass_context
def backup(ctx: click.Context, dest: Path, home: Path | None, as_json: bool) -> None:
    """Copy the ledger into the new folder DEST, as it is at one moment, and check the copy.

    A worker may run. DEST is a home then: every reading command takes it with --home, and a worker that is started on
    it builds the graph. Exit code 0 only if the copy holds.
    """
    found = back_up(Home(load_settings(home).home), dest)
    if as_json:
        print_json({"ok": found.ok, "home": dest, **asdict(found)})
    else:
        click.echo("\n".join(backup_lines(found, dest)))
    if not found.ok:
        ctx.exit(1)


@store.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Put what the home holds aside, in a folder inside it.")
@home_option
@json_option
def restore(source: Path, force: bool, home: Path | None, as_json: bool) -> None:
    """Make the home hold what the backup SOURCE holds: a folder, or a ledger's file.

    Nothing is overwritten without --force, and nothing is deleted with it. No worker may run, and nobody should be
    sending meanwhile; the next worker builds the graph.
    """
    target = Home(load_settings(home).home)
    done = restore_from(source, target, force=force)
    if as_json:
        print_json({"home": target.path, "before": done.before, **asdict(done.found)})
        return
    click.echo(f"restored {done.found.events} events from {source}; the next worker builds the graph")
    if done.before is not None:
        click.echo(f"before   what the home held is in {done.before}")


@store.command()
@home_option
@json_option
def migrate(home: Path | None, as_json: bool) -> None:
    """Bring the ledger's file to the schema of this fleet.

    There has been one schema so far, so there is nothing to do; a ledger of a newer fleet is refused. Events of older
    versions are never rewritten: they are read as today's.
    """
    with Home(load_settings(home).home).read_ledger() as ledger:
        found: Versions = versions_of(ledger.path)
    if as_json:
        print_json(asdict(found))
        return
    older = f"; {found.older} events of older versions are read as today's" if found.older else ""
    click.echo(f"schema   {found.schema}, today's: there is nothing to do{older}")

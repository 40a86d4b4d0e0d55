"""`fleet tune`: the router without a key learns from the home's own labels."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.audit.inert import name
from fleet.audit.labels import labels
from fleet.audit.tuning import Tuned, lessons, newest_share, tune
from fleet.audit.whole_file import whole_file
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.errors import InputError
from fleet.llm.offline.tuning import TUNING_FILE, read_tuning
from fleet.runtime.home import Home

__all__ = ["tune_"]


@click.command("tune")
@click.option("--dry-run", is_flag=True, help="Say what would be learned, and write nothing.")
@json_option
@home_option
def tune_(dry_run: bool, as_json: bool, home: Path | None) -> None:
    """Adapt offline:router to the home's labelled decisions (`fleet audit label`, 30 or more).

    A third of them is held back and shows what it gains there. Only if it is right more often on them, or as often and
    knows better how sure it may be, router.json is written into the home; else everything stays as it is. A worker
    takes it up when it starts; without the file, the router is as it came.
    """
    settings = load_settings(home)
    place = Home(settings.home)
    in_force = read_tuning(place.path)
    with place.read_ledger() as ledger:
        if place.path.is_file() and not dry_run:
            raise InputError(f"{place.path} is a ledger alone; name its home, or say --dry-run")
        said = labels(ledger)
        found = tune(lessons(ledger, said), newest_share(ledger, said), in_force, settings.router_prior or None)
    written = found.helps and not dry_run
    path = place.path / TUNING_FILE
    if written:
        with whole_file(path) as file:
            file.write(found.tuning.text.encode())
    if as_json:
        print_json(found.as_dict() | {"written": str(path) if written else None})
        return
    for line in _lines(found):
        click.echo(line)
    if not found.helps:
        click.echo("no better on what was held back: nothing was written, the router stays as it is")
    elif dry_run:
        click.echo("that is a gain; nothing was written (--dry-run)")
    else:
        click.echo(f"written: {path}, on record as tuned {found.tuning.id}; a worker takes it up when it starts")


def _lines(found: Tuned) -> list[str]:
    tuning, paired = found.tuning, found.paired
    agents = ", ".join(f"{name(role)} {each:+.2f}" for role, each in tuning.agents.items()) or "none"
    lines = [
        f"{found.lessons} labelled decisions, {found.were_right} of them right then: "
        f"{tuning.labels} learned from, {paired.n} held back",
        f"newest thread continued: {found.continued} of {found.decided}; "
        + ("prior left as it is" if tuning.prior is None else f"prior {tuning.prior:.2f}"),
        f"learned: sharpness {tuning.sharpness:.2f}, a new thread {tuning.new:+.2f}, agents {agents}",
        f"held back, right: {paired.both + paired.old_only} before, {paired.both + paired.new_only} after, "
        f"of {paired.n}; {paired.sentence}",
        f"held back, log loss: {found.loss_before:.3f} before, {found.loss_after:.3f} after",
    ]
    if 2 * found.were_right < found.lessons:
        lines.append("most labels are of mistakes; label what went right too (--right), or it learns from those alone")
    return lines

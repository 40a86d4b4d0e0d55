"""`fleet audit label` and `fleet audit cases`: what would have been right, and regression sets made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from getpass import getuser
from pathlib import Path

import click

from fleet.audit.declared import Declarations
from fleet.audit.find import find_message, read_time
from fleet.audit.inert import name
from fleet.audit.labelled import LabelledCase, labelled_cases, write_cases
from fleet.audit.labelling import label
from fleet.audit.labels import labels
from fleet.audit.redact import redact_value
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.errors import InputError
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.home import Home

__all__ = ["cases_", "label_", "who"]


@click.command("label")
@click.argument("message")
@click.option("--thread", default="", metavar="T", help="It continues this thread, an id or its beginning.")
@click.option("--new", "agent", default="", metavar="AGENT", help="It starts a thread with this agent.")
@click.option("--right", "as_decided", is_flag=True, help="It went where it should.")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@click.option("--by", default="", metavar="NAME", help="Who says so [the user of this computer].")
@json_option
@home_option
def label_(
    message: str, thread: str, agent: str, as_decided: bool, note: str, by: str, as_json: bool, home: Path | None
) -> None:
    """Record what would have been right for MESSAGE, an id or its beginning.

    The decision itself stays as it was. Said again, the last word counts. A worker may run meanwhile.
    """
    place = Home(load_settings(home).home)
    with place.read_ledger() as ledger:
        found = find_message(ledger, message)
    with SqliteLedger.open(place.path) if place.path.is_file() else place.open_ledger() as ledger:
        said = label(
            ledger, found, thread=thread, agent=agent, as_decided=as_decided, note=note, by=by.strip() or who()
        )
    if as_json:
        print_json(said.model_dump(mode="json"))
        return
    right = f"thread {name(said.thread_id)}" if said.thread_id else f"a new thread with {name(said.agent)}"
    click.echo(f"{name(found)}: right would be {right}, says {name(said.by)}")


@click.command("cases")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--since", default="", metavar="TIME", help="Messages decided at this time or later (ISO 8601, UTC).")
@click.option("--redact", is_flag=True, help="Without names, e-mail addresses, phone and card numbers; ids are kept.")
@json_option
@home_option
def cases_(folder: Path, since: str, redact: bool, as_json: bool, home: Path | None) -> None:
    """Write the labelled decisions to FOLDER as cases for `fleet eval`: cases.jsonl and agents.json.

    Each case holds what the dispatcher could know then. `fleet eval FOLDER/cases.jsonl` runs today's dispatcher on it.
    """
    with Home(load_settings(home).home).read_ledger() as ledger:
        declared = Declarations(ledger)
        found = labelled_cases(ledger, labels(ledger), declared, read_time(since) if since else None)
        written = write_cases(folder, _redacted(found) if redact else found, declared)
    if not written:
        raise InputError("no message is labelled; say what would have been right with `fleet audit label`")
    wrong = sum(not each.was_right for each in written)
    if as_json:
        print_json({"folder": str(folder), "cases": len(written), "was_wrong": wrong})
        return
    click.echo(f"{len(written)} case{'s' * (len(written) != 1)}, {wrong} of them decided wrongly then, in {folder}")


def _redacted(found: Iterator[LabelledCase]) -> Iterator[LabelledCase]:
    for each in found:
        yield replace(each, case=redact_value(each.case))


def who() -> str:
    """Who says so, where nobody is named: the user of this computer."""
    try:
        return getuser()
    except (OSError, KeyError):  # nobody known by this number
        return "unknown"

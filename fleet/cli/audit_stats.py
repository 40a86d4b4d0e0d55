"""`fleet audit stats`: the decisions on record, counted."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.audit.decisions import Filter
from fleet.audit.stats import stats
from fleet.cli.filters import filter_options
from fleet.cli.options import home_option, json_option
from fleet.cli.output import print_json
from fleet.cli.reading import reading

__all__ = ["stats_"]


@click.command("stats")
@filter_options
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it too, into FILE.png or FILE.svg.")
@json_option
@home_option
def stats_(wanted: Filter, plot: Path | None, as_json: bool, home: Path | None) -> None:
    """Count decisions: where they went, refusals, fallbacks, latency, tokens and cost by model and day.

    Routing's percentiles are within 1 %; days are those of UTC. Workers' model calls count too, unless the filter is
    about decisions. Memory does not grow with the ledger; a worker may run meanwhile.
    """
    if plot is not None:
        from fleet.audit.chart import draw
        from fleet.audit.picture import check_picture

        check_picture(plot)  # before a long ledger is read for nothing
    with reading(home) as ledger:
        found = stats(ledger, wanted)
    if plot is not None:
        draw(found, plot)
    if as_json:
        print_json(found.as_dict())
    elif not found.whole.decisions and not found.whole.calls:
        click.echo("no decision fits")
    else:
        from fleet.audit.stats_page import stats_page  # rich, which --json does without
        from fleet.cli.page import print_page

        print_page(stats_page(found))
    if plot is not None:
        click.echo(f"drawn in {plot}", err=True)

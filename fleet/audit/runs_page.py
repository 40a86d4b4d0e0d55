"""Two runs of `fleet eval`, compared, as a page for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.inert import name
from fleet.audit.runs import Against
from fleet.audit.significance import Paired

__all__ = ["against_page"]

_STYLE = {"better": "green", "worse": "red"}


def against_page(found: Against) -> RenderableType:
    """The verdict, then what the strata say; a stratum's own test is one of many, and counts for less."""
    prompt = f", prompt {name(found.old.prompt)}" if found.old.prompt else ""
    paired = found.paired
    lines: list[RenderableType] = [
        Text(),
        Text(f"against {name(found.old.model)}{prompt}, over {paired.n} cases", style="bold cyan"),
        Text(f"{_share(paired.both + paired.old_only, paired.n)} before, "
             f"{_share(paired.both + paired.new_only, paired.n)} now"),
        Text(paired.sentence, _STYLE.get(paired.verdict, "")),
    ]  # fmt: skip
    if found.unpaired:
        lines.append(Text(f"{found.unpaired} cases are in one of the runs alone, or were changed", "yellow"))
    if found.strata:
        lines += [Text(), _strata(found)]
    return Group(*lines)


def _strata(found: Against) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    table.add_column("stratum", overflow="fold")
    for title in ("cases", "before", "now", "p"):
        table.add_column(title, justify="right")
    for stratum, each in found.strata.items():
        table.add_row(Text(name(stratum)), *_row(each), style=_STYLE.get(each.verdict, ""))
    return table


def _row(each: Paired) -> list[str]:
    shares = (_share(each.both + only, each.n) for only in (each.old_only, each.new_only))
    return [str(each.n), *shares, f"{each.p_value:.2g}"]


def _share(right: int, n: int) -> str:
    return f"{100 * right / n:.1f} %" if n else "-"

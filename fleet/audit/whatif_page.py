"""A what-if as a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.comparison import Comparison, Difference, Side
from fleet.audit.inert import inert, name
from fleet.audit.significance import Paired
from fleet.audit.wording import money

__all__ = ["whatif_page"]

_TEXT, _REASON = 60, 160  # characters
_SAME = "the same agent"
_COLUMNS = 12  # of a matrix that a terminal can show; more are a list


def whatif_page(found: Comparison, what: str, *, note: str = "", priced: bool = True) -> RenderableType:
    """The confusion of old against new, each differing message, cost and latency of both, and who is right.

    `note` stands on top: what to know about it.
    """
    share = f" ({100 * found.same / found.n:.1f} %)" if found.n else ""
    parts: list[RenderableType] = [
        Text(what, style="bold cyan"),
        *([Text(note, "yellow")] if note else []),
        Text(f"{found.n} messages: {found.same} as before{share}, {len(found.differences)} differently"),
    ]
    if found.inexact:
        parts.append(Text(f"for {found.inexact} the threads could not be rebuilt as they were shown", "yellow"))
    if found.n:
        parts += [Text(), _matrix(found), Text(), _sides(found, priced)]
    if found.labelled:
        parts += [Text(), *_labelled(found.labelled)]
    for each in found.differences:
        parts += [Text(), *_difference(each)]
    return Group(*parts)


def _matrix(found: Comparison) -> Table:
    rows = sorted({old for old, _ in found.confusion})
    columns = sorted({new for _, new in found.confusion})
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    if len(columns) > _COLUMNS:
        for title in ("then", "now"):
            table.add_column(title, overflow="fold")
        table.add_column("messages", justify="right")
        for old, new, count in _pairs(found):
            table.add_row(Text(name(old)), Text(name(new), "" if new in (old, _SAME) else "yellow"), Text(str(count)))
        return table
    table.add_column("then ↓   now →", overflow="fold")
    for new in columns:
        table.add_column(Text(name(new)), justify="right", overflow="fold")
    for old in rows:
        cells = (found.confusion.get((old, new), 0) for new in columns)
        styled = (
            Text(str(count or "·"), "" if old == new or not count else "yellow")
            for count, new in zip(cells, columns, strict=True)
        )
        table.add_row(Text(name(old)), *styled)
    return table


def _pairs(found: Comparison) -> Iterator[tuple[str, str, int]]:
    """Old, new and how often: what differs first; new threads with the very agent of then are one row, the last."""
    same = 0
    for (old, new), count in sorted(found.confusion.most_common(), key=lambda each: each[0][0] == each[0][1]):
        if old == new and old.startswith("new "):
            same += count
        else:
            yield old, new, count
    if same:
        yield "new thread", _SAME, same


def _sides(found: Comparison, priced: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    table.add_column("")
    for title in ("cost", "a message", "refused answers", "latency p50", "p95"):
        table.add_column(title, justify="right")
    for title, side, known in (("then", found.old, True), ("now", found.new, priced)):
        table.add_row(title, *_side(side, found.n, known))
    return table


def _side(side: Side, n: int, priced: bool) -> list[str]:
    cost = [money(side.cost_usd), money(side.cost_usd / n)] if priced else ["unknown", "no list price"]
    return [*cost, str(side.refused), *(f"{side.latency_ms(share):.1f} ms" for share in (0.5, 0.95))]


def _labelled(labelled: Sequence[tuple[bool, bool]]) -> list[RenderableType]:
    paired = Paired.of(labelled)
    old, new = paired.both + paired.old_only, paired.both + paired.new_only
    style = {"better": "green", "worse": "red"}.get(paired.verdict, "")
    return [
        Text(f"of {paired.n} labelled messages {old} were right then, {new} are now"),
        Text(paired.sentence, style),
    ]


def _difference(each: Difference) -> list[RenderableType]:
    lines = [
        Text.assemble((name(each.message_id), "bold"), f"  {inert(' '.join(each.text.split()), _TEXT)}"),
        Text(f"  then  {name(each.old)} {each.old_thread}{_said(each.old_reason)}"),
        Text(f"  now   {name(each.new)} {each.new_thread}{_said(each.reason)}{_refusals(each)}"),
    ]
    if each.wanted:
        lines.append(Text(f"  label {name(each.wanted)}"))
    return list(lines)


def _said(reason: str) -> str:
    return f"  {inert(' '.join(reason.split()), _REASON)}" if reason else ""


def _refusals(each: Difference) -> str:
    refused = [verdict for verdict in each.verdicts if verdict != "ok"]
    return f"  ({', '.join(refused)})" if refused else ""

"""What `fleet store` prints for people: a line a thing, its name first."""

from __future__ import annotations

from pathlib import Path

from fleet.cli.load_lines import load_lines
from fleet.clock import iso
from fleet.ledger.base import VerifyReport
from fleet.prompting.quote import quote
from fleet.runtime.status import GraphFile, Status
from fleet.runtime.verify import StoreReport

__all__ = ["backup_lines", "status_lines", "verify_lines"]


def status_lines(found: Status) -> list[str]:
    """The home, the ledger, the graph's files, then the last starts with their steps."""
    last = f", the last at {iso(found.last_at)}" if found.last_at is not None else ""
    queued = ", ".join(f"{name} {count}" for name, count in found.queued.items())
    lines = [
        f"home     {found.home}, {_size(found.free_bytes)} free",
        f"worker   {found.worker or 'none'}",
        *(f"load     {line}" for line in (load_lines(found.load) if found.load is not None else ())),
        f"ledger   {found.events} events{last}; {_size(found.ledger_bytes)}, schema {found.schema}",
        f"queues   {queued}",
        f"graph    {_graph_file(found.graph, found.events)}{_commits(found.graph)}",
        f"kept     {_graph_file(found.kept, found.events)}",
    ]
    if found.fresh is not None:
        lines.append(f"fresh    {_graph_file(found.fresh, found.events)}; the worker goes on in it when it may")
    if found.aside is not None:
        lines.append(f"aside    {found.aside} holds the last graph that could not be used")
    for start in found.starts:
        steps = "; ".join(start.graph) or "not on record"
        lines.append(f"start    {iso(start.at)} {quote(start.app)}: {steps}")
    return lines


def _graph_file(file: GraphFile | None, events: int) -> str:
    if file is None:
        return "none"
    if file.applied is None or file.at is None:
        return f"{_size(file.bytes)}, nothing is written down about it"
    behind = f", {events - file.applied} behind the ledger" if events > file.applied else ""
    return f"event {file.applied} at {iso(file.at)}{behind}; {_size(file.bytes)}"


def _commits(file: GraphFile | None) -> str:
    return "" if file is None or file.commits is None else f", {file.commits} commits"


def verify_lines(report: StoreReport) -> list[str]:
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


def backup_lines(found: VerifyReport, dest: Path) -> list[str]:
    """What was copied, what is wrong with it, where it is."""
    chain = f"chain {found.chain[:12] or 'empty'}"
    lines = [f"backup   {found.events} events in {found.streams} streams, {found.blobs} blobs, {chain}: {dest}"]
    lines += [f"problem  {problem}" for problem in found.problems]
    return [*lines, "ok" if found.ok else "not ok"]


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"

"""Decisions written out for other tools: JSON lines with everything on record, CSV with what fits a spreadsheet.

A format is a function of the ledger and the decisions to write, in the order decided: it yields text, and holds no more
than a few of them in memory. Fields and columns are for ever; new ones are added at the end.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fleet.audit.decisions import row_of
from fleet.audit.inert import json_line, visible
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Decision, MessageDecided

__all__ = ["COLUMNS", "Format", "csv_lines", "json_lines"]

Format = Callable[[Ledger, Iterable[Stored]], Iterator[str]]

_STAGES = ("queue", "gate", "warmup", "prompt", "model", "parse")

# Columns of the CSV, in order. Times ISO 8601 in UTC, durations whole microseconds, cost US dollars at list prices.
COLUMNS = (
    "seq", "message_id", "user", "decided_at", "action", "thread_id", "job_id", "agent", "by", "thread_index", "name",
    "language", "default_example_id", "reason", "gate_reason", "fallback", "fallback_reason", "candidates", "answers",
    "verdicts", "model", "prompt_name", "prompt_hash", "transcript_hash", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "cost_usd", *(f"{stage}_us" for stage in _STAGES), "code_version",
    "text", "joined", "asked", "answered_by", "answer_to",
)  # fmt: skip

_ACTIVE = ("=", "+", "-", "@", "\t", "\r")


def json_lines(ledger: Ledger, found: Iterable[Stored]) -> Iterator[str]:
    """One JSON object a line: the row of `fleet audit list --json`, then what only the decision itself holds.

    That is `job_id`, `transcript` (its blob's hash), `agents`, `examples` and `candidates` as printed, and `attempts`:
    every answer as it was given, with its verdict, tokens, cost and latency.
    """
    for stored in found:
        decision = _decision(stored)
        whole = decision.model_dump(mode="json", include=set(_WHOLE))
        yield json_line({**row_of(stored), **{field: whole[field] for field in _WHOLE}}) + "\n"


def csv_lines(ledger: Ledger, found: Iterable[Stored]) -> Iterator[str]:
    """A header, then one line a decision (RFC 4180, UTF-8, lines end with a line feed); empty: there is none.

    No cell is a formula or acts on a terminal: text that begins with = + - @ gets an apostrophe before it, and control
    and hidden characters are escaped. `candidates` and `answers` are how many there were, `verdicts` the codes on the
    answers with spaces between them.
    """
    page = io.StringIO()
    write = csv.writer(page, lineterminator="\n").writerow
    write(COLUMNS)
    for stored in found:
        cells = _cells(stored)
        write([_cell(cells[column]) for column in COLUMNS])
        yield page.getvalue()
        page.seek(0)
        page.truncate()
    yield page.getvalue()


_WHOLE = ("job_id", "transcript", "agents", "examples", "candidates", "attempts")


def _decision(stored: Stored) -> Decision:
    event = stored.event
    if not isinstance(event, MessageDecided):
        raise TypeError(f"event {stored.seq} is a {event.TYPE}, no decision")
    return event.decision


def _cells(stored: Stored) -> Mapping[str, Any]:
    row, decision = row_of(stored), _decision(stored)
    return {
        **row,
        "job_id": decision.job_id,
        "candidates": len(decision.candidates),
        "answers": len(decision.attempts),
        "verdicts": " ".join(row["verdicts"]),
        "prompt_name": decision.prompt_name,
        "prompt_hash": decision.prompt,
        "transcript_hash": decision.transcript,
        **{f"{kind}_tokens": count for kind, count in row["tokens"].items()},
        **{f"{stage}_us": decision.latency_us.get(stage) for stage in _STAGES},
    }


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value if value.isprintable() else visible(value)
    return f"'{text}" if text.startswith(_ACTIVE) else text

"""Anchors: how far the ledger went at a time, kept outside of it, so that a cut tail or a rewritten history shows.

A file of JSON lines, `{"seq": …, "chain": …, "at": …}`, each added after a ledger that held. Whoever can write to the
ledger can also make a new one whose chain holds; without writing to the anchors they cannot make it fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from fleet.clock import iso, now_us
from fleet.errors import FleetError, InputError
from fleet.ledger.base import Ledger, VerifyReport

__all__ = ["Anchor", "check_anchors", "read_anchors", "write_anchor"]

_CHAIN = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Anchor:
    """The ledger held up to event `seq`, whose chain is `chain`; `at` is when that was found, ISO 8601 in UTC."""

    seq: int
    chain: str
    at: str

    @classmethod
    def of(cls, report: VerifyReport) -> Self:
        """The end of a ledger that was verified just now."""
        return cls(report.seq, report.chain, iso(now_us()))


def read_anchors(file: Path, *, new: bool = False) -> tuple[Anchor, ...]:
    """The anchors in a file, in the order written; with `new` a file that is not there holds none.

    Raises: InputError for a file that is missing, cannot be read, or holds anything else.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        if new:
            return ()
        raise InputError(f"there is no anchor file {file}; --write makes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the anchor file {file} cannot be read: {error}") from None
    return tuple(_anchor(file, number, line) for number, line in enumerate(lines, 1))


def write_anchor(file: Path, anchor: Anchor) -> Anchor:
    """Add an anchor to the file. Raises: InputError if it cannot be written."""
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(anchor)) + "\n")
    except OSError as error:
        raise InputError(f"the anchor file {file} cannot be written: {error.strerror}") from None
    return anchor


def check_anchors(ledger: Ledger, anchors: Sequence[Anchor], report: VerifyReport) -> Iterator[str]:
    """What does not fit, a sentence each: events that were there and are gone, or a chain that is another one."""
    for anchor in anchors:
        if anchor.seq > report.seq:
            gone = f"events {report.seq + 1} to {anchor.seq} were there at {anchor.at} and are gone"
            yield f"the ledger ends at event {report.seq}: {gone}"
        elif anchor.seq and (chain := _chain_at(ledger, anchor.seq)) != anchor.chain:
            yield f"event {anchor.seq} is not the one of {anchor.at}: its chain is {chain}, it was {anchor.chain}"


def _chain_at(ledger: Ledger, seq: int) -> str:
    try:
        return next((each.chain for each in ledger.read(after=seq - 1, upto=seq)), "missing")
    except FleetError:
        return "unreadable"


def _anchor(file: Path, number: int, line: str) -> Anchor:
    try:
        given = json.loads(line)
        found = Anchor(int(given["seq"]), str(given["chain"]), str(given["at"]))
        if found.seq >= 0 and (_CHAIN.fullmatch(found.chain) or not found.seq):
            return found
    except (KeyError, TypeError, ValueError):
        pass
    raise InputError(f"line {number} of {file} is no anchor")

"""The ledger that a reading command is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.cli.options import load_settings
from fleet.ledger.base import Ledger, Stored
from fleet.runtime.home import Home

__all__ = ["reading", "shown"]


@contextmanager
def reading(home: Path | None, *, redact: bool = False) -> Iterator[Ledger]:
    """The home's ledger, or the ledger file that `home` names, for reading; with `redact` seen through redaction.

    Raises: HomeError if there is none; LedgerError.
    """
    with Home(load_settings(home).home).read_ledger() as ledger:
        if redact:
            from fleet.audit.redacted import redacted  # its rules take time to compile

            yield redacted(ledger)
        else:
            yield ledger


def shown(found: Iterable[Stored], *, redact: bool) -> Iterable[Stored]:
    """Events as they are shown: with `redact` redacted, after they were found by the words on record."""
    if not redact:
        return found
    from fleet.audit.redacted import redacted_event

    return map(redacted_event, found)

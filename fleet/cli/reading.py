"""The ledger that a reading command is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from fleet.audit.find import forgotten
from fleet.cli.options import load_settings
from fleet.clock import iso
from fleet.ledger.base import Ledger, Stored
from fleet.prompting.quote import quote
from fleet.runtime.home import Home

__all__ = ["reading", "say_forgotten", "shown"]


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


def say_forgotten(ledger: Ledger, user: str) -> None:
    """Where a list is of one user: say on standard error if what they said until some event was erased."""
    gone = forgotten(ledger, user) if user else None
    if gone is not None:
        when = f"everything of {quote(user)} was erased at {iso(gone.at)} (event {gone.seq})"
        click.echo(f"fleet: {when}; nothing before that is shown", err=True)


def shown(found: Iterable[Stored], *, redact: bool) -> Iterable[Stored]:
    """Events as they are shown: with `redact` redacted, after they were found by the words on record."""
    if not redact:
        return found
    from fleet.audit.redacted import redacted_event

    return map(redacted_event, found)

"""The ledger: the append-only history of everything that happened, and the truth about it.

`events` is the vocabulary, `base` what a ledger is, `sqlite` the one in a file of the home.
"""

from __future__ import annotations

from fleet.ledger.base import Blob, Draft, Ledger, Pending, Stored, VerifyReport, Watch
from fleet.ledger.events import EVENT_TYPES, Event, read_event
from fleet.ledger.sqlite import SqliteLedger

__all__ = [
    "EVENT_TYPES",
    "Blob",
    "Draft",
    "Event",
    "Ledger",
    "Pending",
    "SqliteLedger",
    "Stored",
    "VerifyReport",
    "Watch",
    "read_event",
]

"""A ledger, and log lines, seen through redaction: whatever reads them gets free text without personal data."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from fleet.audit.redact import KEPT, redact_lines, redact_text, redact_value
from fleet.ledger.base import Ledger, Stored

__all__ = ["RedactingFilter", "redacted", "redacted_event"]

_FIELD = re.compile(r'(?<=\s)(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def redacted(ledger: Ledger) -> Ledger:
    """The ledger with the free text of events and blobs redacted as it is read; ids, users and times are kept.

    Nothing is changed in the ledger. Hashes are those of what is on record, not of what is given.
    """
    return cast(Ledger, _Redacted(ledger))


class _Redacted:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read(self, **which: Any) -> Iterator[Stored]:
        return map(redacted_event, self._ledger.read(**which))

    def read_stream(self, stream: str, *, after: int = 0) -> list[Stored]:
        return [redacted_event(each) for each in self._ledger.read_stream(stream, after=after)]

    def blob(self, hash: str) -> bytes:  # noqa: A002 - the field's name
        return redact_lines(self._ledger.blob(hash).decode("utf-8", "replace")).encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def redacted_event(stored: Stored) -> Stored:
    """The event with its free text redacted."""
    data = stored.event.model_dump(mode="json")
    clean = redact_value(data)
    return stored if clean == data else replace(stored, event=type(stored.event).model_validate(clean))


class RedactingFilter(logging.Filter):
    """Redacts the fields of `fleet.log` lines, but for ids; give it to a handler: `handler.addFilter(…)`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        record.msg, record.args = "%s", (_FIELD.sub(_field, record.getMessage()),)
        return True


def _field(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name in KEPT or name in _IDS:
        return found.group()
    text = json.loads(value) if value.startswith('"') else value
    clean = redact_text(text)
    return found.group() if clean == text else f"{name}={json.dumps(clean)}"


_IDS = frozenset({"message", "thread", "job", "reply", "pid", "stage", "attempt", "entries"})

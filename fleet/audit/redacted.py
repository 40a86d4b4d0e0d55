"""A ledger, and log lines, seen through redaction: whatever reads them gets free text without personal data."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from fleet.audit.redact import KEPT, name_words_of, redact_lines, redact_text, redact_value
from fleet.ledger.base import Ledger, Stored
from fleet.log import LOGGER

__all__ = ["RedactingFilter", "redact_logs", "redacted", "redacted_event", "redacted_events"]

_KNOWN_AT_MOST = 1_000  # words of one user's names

_FIELD = re.compile(r'(?<=\s)(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def redacted(ledger: Ledger) -> Ledger:
    """The ledger with the free text of events and blobs redacted as it is read; ids, users and times are kept.

    A name that one event tells is taken out of what is read of the same user after it too. Nothing is changed in the
    ledger. Hashes are those of what is on record, not of what is given.
    """
    return cast(Ledger, _Redacted(ledger))


class _Redacted:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._user = ""
        self._known: frozenset[str] = frozenset()  # words of names that this user's events told

    def read(self, **which: Any) -> Iterator[Stored]:
        for each in self._ledger.read(**which):
            yield from self._without([each])

    def read_stream(self, stream: str, *, after: int = 0) -> list[Stored]:
        return self._without(self._ledger.read_stream(stream, after=after))

    def blob(self, hash: str) -> bytes:  # noqa: A002 - the field's name
        return redact_lines(self._ledger.blob(hash).decode("utf-8", "replace"), self._known).encode()

    def _without(self, found: list[Stored]) -> list[Stored]:
        for stored in found:
            if stored.user not in ("", self._user):
                self._user, self._known = stored.user, frozenset()
        clean, told = _together(found, self._known)
        self._known = told if len(told) <= _KNOWN_AT_MOST else self._known
        return clean

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def redacted_event(stored: Stored) -> Stored:
    """The event with its free text redacted."""
    return _together([stored])[0][0]


def redacted_events(found: Sequence[Stored]) -> list[Stored]:
    """Events that belong together with their free text redacted: a name that one tells is taken out of all."""
    return _together(found)[0]


def _together(found: Sequence[Stored], known: frozenset[str] = frozenset()) -> tuple[list[Stored], frozenset[str]]:
    """The events redacted, and the words of names that are known now."""
    data = [each.event.model_dump(mode="json") for each in found]
    known = known.union(*map(name_words_of, data))
    clean = [redact_value(each, known=known) for each in data]
    return [
        stored if after == before else replace(stored, event=type(stored.event).model_validate(after))
        for stored, before, after in zip(found, data, clean, strict=True)
    ], known


def redact_logs() -> None:
    """Redact every log line of this process from now on, whoever writes it to whichever handler there is."""
    for each in (LOGGER, *logging.getLogger().handlers):
        if not any(isinstance(known, RedactingFilter) for known in each.filters):
            each.addFilter(RedactingFilter())


class RedactingFilter(logging.Filter):
    """Redacts log records, tracebacks too; give it to a logger or a handler: `handler.addFilter(RedactingFilter())`.

    Of `fleet.log` lines the fields are redacted but for ids, of others the whole line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        said = record.getMessage()
        clean = _FIELD.sub(_field, said) if record.name == LOGGER.name else redact_text(said)
        record.msg, record.args = "%s", (clean,)
        if record.exc_info and not record.exc_text:
            record.exc_text = _TRACEBACKS.formatException(record.exc_info)
        if record.exc_text:
            record.exc_info, record.exc_text = None, redact_text(record.exc_text)
        return True


_TRACEBACKS = logging.Formatter()


def _field(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name in KEPT or name in _IDS:
        return found.group()
    text = json.loads(value) if value.startswith('"') else value
    clean = redact_text(text)
    return found.group() if clean == text else f"{name}={json.dumps(clean)}"


_IDS = frozenset({"message", "thread", "job", "reply", "pid", "stage", "attempt", "entries"})

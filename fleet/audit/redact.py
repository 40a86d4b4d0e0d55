"""Taking names, e-mail addresses, phone and card numbers out of free text, by rule. The same text gives the same.

The rules and their limits: an address is what has the shape of one; a card number is 13 to 19 digits that pass the
Luhn check; a phone number is 7 to 15 digits with a `+`, a leading 0 or separators, or 10 to 15 without; dates, times
and UUIDs stay. Names: see fleet/audit/names.py. What no rule knows stays, so this lowers a risk and does not end it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from fleet.audit.names import name_spans, name_words, without_names
from fleet.prompting.quote import quote

__all__ = ["KEPT", "name_words_of", "redact_lines", "redact_text", "redact_value"]

# Fields that hold an id, a hash, a time or a word of ours, never free text.
KEPT = frozenset(
    """
    message_id message_ids user thread_id job_id reply_id session_id call_id idempotency_key id key queue seq stream
    agent agents role kind type TYPE tool tools model by outcome action fallback verdict verdicts stop_reason result
    state language channel code_version chain hash transcript prompt prompt_name at accepted_at decided_at
    latest_activity latest_activity_at asked asked_at expires_at answered_by answer_to question_id otherwise
    definition path host parent subjobs
    """.split()  # noqa: SIM905 - as a list it would fill pages
)
# Fields that applications, tools and models fill as they like: there, a field of any name may hold free text.
_FREE = frozenset({"metadata", "arguments", "data", "input", "extra"})

_SEEN_AGAIN = 600  # characters; names of threads, reasons and verdicts' sentences come again and again

_DIGITS = r"\d(?:[ \u00a0.\-–/()]{0,2}\d)"
_KNOWN = re.compile(
    r"(?P<stays>(?<!\w)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?(?!\w)"
    r"|(?<!\w)\d{1,2}([./-])\d{1,2}\2(?:\d{4}|\d\d)(?!\w)"
    r"|(?<!\w)[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w))"
    r"|(?P<mail>(?<![\w.+%'-])[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)"
    rf"|(?P<card>(?<![\w-]){_DIGITS}{{12,18}}(?![\w-]))"
    rf"|(?P<phone>(?<![\w-])[+(]{{0,2}}{_DIGITS}{{6,14}}(?![\w-]))"
)
_LITERAL = re.compile(r'(?<!\\)"(?:[^"\\\n]|\\.)*"')


def redact_text(text: str, known: Set[str] = frozenset()) -> str:
    """The text with `[e-mail]`, `[card]`, `[phone]` and `[name]` in place of what the rules find.

    `known` are words that are part of names, as what belongs to this text has told.
    """
    found = _look(text)
    return without_names(found.text, found.spans, found.words | known)


def redact_lines(text: str, known: Set[str] = frozenset()) -> str:
    """A transcript: what is quoted in it is redacted as the text that it stands for, and quoted again."""
    pieces = list(_pieces(text))
    known = frozenset(known).union(*(_look(piece.said).words for piece in pieces))
    return "".join(piece.redacted(known) for piece in pieces)


def redact_value(value: Any, kept: Set[str] = KEPT, known: Set[str] | None = None) -> Any:
    """A JSON value with every text in it redacted, but for ids and the like: what stands under a name in `kept`.

    Words that are `known` to be part of names are taken out of all its texts; None: those that any of its texts tells.
    In what applications and models fill as they like (a tool's arguments, metadata), nothing is kept.
    """
    return _redacted(value, kept, name_words_of(value, kept) if known is None else known)


def name_words_of(value: Any, kept: Set[str] = KEPT) -> frozenset[str]:
    """The words of a JSON value's texts that are part of names."""
    return frozenset[str]().union(*(_look(text).words for text in _texts(value, kept)))


class _Piece(NamedTuple):
    """A piece of a transcript: as it is written, and the text that it stands for if it is quoted."""

    written: str
    said: str
    quoted: bool

    def redacted(self, known: Set[str]) -> str:
        """The piece without personal data; as it was written if there was none in it."""
        clean = redact_text(self.said, known)
        if clean == self.said:
            return self.written
        return quote(clean) if self.quoted else clean


def _pieces(text: str) -> Iterator[_Piece]:
    end = 0
    for literal in _LITERAL.finditer(text):
        between, written = text[end : literal.start()], literal.group()
        yield _Piece(between, between, quoted=False)
        try:
            yield _Piece(written, json.loads(written), quoted=True)
        except ValueError:
            yield _Piece(written, written, quoted=False)
        end = literal.end()
    yield _Piece(text[end:], text[end:], quoted=False)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A text without addresses and numbers, and where there are names in it."""

    text: str
    spans: tuple[tuple[int, int], ...]
    words: frozenset[str]


def _look(text: str) -> _Looked:
    return _looked_before(text) if len(text) <= _SEEN_AGAIN else _looked(text)


def _looked(text: str) -> _Looked:
    clean = _KNOWN.sub(_known, text)
    spans = name_spans(clean)
    return _Looked(clean, spans, name_words(clean, spans))


_looked_before = lru_cache(maxsize=4096)(_looked)


def _texts(value: Any, kept: Set[str]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if not kept:  # a field of ours never is a name
                yield name
            if not (name in kept and _is_plain(each)):
                yield from _texts(each, _kept_in(name, kept))
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for each in value:
            yield from _texts(each, kept)


def _redacted(value: Any, kept: Set[str], known: Set[str]) -> Any:
    if isinstance(value, str):
        return redact_text(value, known)
    if isinstance(value, Mapping):
        return {
            name if kept else redact_text(name, known): (
                each if name in kept and _is_plain(each) else _redacted(each, _kept_in(name, kept), known)
            )
            for name, each in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_redacted(each, kept, known) for each in value]
    return value


def _kept_in(name: str, kept: Set[str]) -> Set[str]:
    return frozenset() if name in _FREE else kept


def _known(found: re.Match[str]) -> str:
    text = found.group()
    if found["mail"]:
        return "[e-mail]"
    digits = [int(each) for each in text if each.isdecimal()]
    if found["card"] and _luhn(digits):
        return "[card]"
    return "[phone]" if not found["stays"] and _is_phone(text, len(digits)) else text


def _luhn(digits: Sequence[int]) -> bool:
    doubled = (sum(divmod(2 * each, 10)) for each in digits[-2::-2])
    return len(digits) >= 13 and any(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone(text: str, digits: int) -> bool:
    if not 7 <= digits <= 15:
        return False
    if text.startswith(("+", "(", "00")):
        return True
    if text.isdecimal():
        return digits >= 10 or (text.startswith("0") and digits >= 9)
    groups = [len(each) for each in re.split(r"\D+", text) if each]
    return max(groups) >= 3 and not re.fullmatch(r"\d{1,3}(\.\d{3})+", text)


def _is_plain(value: Any) -> bool:
    """Whether a value holds texts at most one level deep: what an id, or a list of them, looks like."""
    if isinstance(value, Mapping):
        return False
    return isinstance(value, str) or not isinstance(value, Sequence) or all(isinstance(each, str) for each in value)

"""Taking names, e-mail addresses, phone and card numbers out of free text, by rule. The same text gives the same.

The rules and their limits: an address is what has the shape of one; a card number is 13 to 19 digits that pass the
Luhn check; a phone number is 7 to 15 digits with a `+`, a leading 0 or separators, or 10 to 15 without; dates, times
and UUIDs stay. Names: see fleet/audit/names.py. What no rule knows stays, so this lowers a risk and does not end it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from fleet.audit.names import without_names
from fleet.prompting.quote import quote

__all__ = ["KEPT", "redact_lines", "redact_text", "redact_value"]

# Fields that hold an id, a hash, a time or a word of ours, never free text.
KEPT = frozenset(
    """
    message_id message_ids user thread_id job_id reply_id session_id call_id idempotency_key id key queue seq stream
    agent agents role kind type TYPE tool tools model by outcome action fallback verdict verdicts stop_reason result
    state language channel code_version chain hash transcript prompt prompt_name at accepted_at decided_at
    latest_activity latest_activity_at definition path host
    """.split()  # noqa: SIM905 - as a list it would fill pages
)

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


def redact_text(text: str) -> str:
    """The text with `[e-mail]`, `[card]`, `[phone]` and `[name]` in place of what the rules find."""
    return _seen_before(text) if len(text) <= _SEEN_AGAIN else _redact(text)


def _redact(text: str) -> str:
    return without_names(_KNOWN.sub(_known, text))


_seen_before = lru_cache(maxsize=4096)(_redact)


def redact_lines(text: str) -> str:
    """A transcript: what is quoted in it is redacted as the text that it stands for, and quoted again."""
    parts: list[str] = []
    end = 0
    for literal in _LITERAL.finditer(text):
        parts += (redact_text(text[end : literal.start()]), _requoted(literal.group()))
        end = literal.end()
    return "".join((*parts, redact_text(text[end:])))


def redact_value(value: Any, kept: frozenset[str] = KEPT) -> Any:
    """A JSON value with every text in it redacted, but for what stands under a name in `kept`."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {
            name: each if name in kept and _is_plain(each) else redact_value(each, kept) for name, each in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [redact_value(each, kept) for each in value]
    return value


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


def _requoted(literal: str) -> str:
    try:
        text = json.loads(literal)
    except ValueError:
        return redact_text(literal)
    redacted = redact_text(text)
    return literal if redacted == text else quote(redacted)


def _is_plain(value: Any) -> bool:
    """Whether a value holds texts at most one level deep: what an id, or a list of them, looks like."""
    if isinstance(value, Mapping):
        return False
    return isinstance(value, str) or not isinstance(value, Sequence) or all(isinstance(each, str) for each in value)

"""Log lines: a static event name, then fields with ids. No message text, no model text, no secrets.

    log("turn.failed", thread=thread_id, job=job_id, reason=code)

prints `turn.failed thread=thr_1 job=job_2 reason=max_steps` through the standard library's logging, under the
logger `fleet`; an application configures handlers and levels there as usual.
"""

from __future__ import annotations

import json
import logging
from typing import Any

__all__ = ["LOGGER", "log"]

LOGGER = logging.getLogger("fleet")


def log(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line: the event's name and its fields; a value with spaces or control characters is quoted."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", " ".join([event, *(f"{name}={_plain(value)}" for name, value in fields.items())]))


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)

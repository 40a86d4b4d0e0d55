"""The options that say which decisions a command is about."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from fleet.audit.decisions import Filter
from fleet.audit.find import read_time

__all__ = ["filter_options"]

_ACTIONS = ("dispatch_to", "start_new_thread", "drop", "error", "human", "cancelled", "answer")

_OPTIONS = (
    click.option("--user", default="", metavar="U", help="Of this user."),
    click.option("--agent", default="", metavar="ROLE", help="Routed to this agent."),
    click.option("--action", type=click.Choice(_ACTIONS), help="With this action."),
    click.option("--verdict", default="", metavar="CODE", help="With this verdict on an answer; error: no answer."),
    click.option("--fallback", is_flag=True, help="Where a fallback decided."),
    click.option("--asked", is_flag=True, help="Where the user was asked which thread or agent is meant."),
    click.option("--model", default="", metavar="M", help="Where this model was asked."),
    click.option("--prompt", default="", metavar="P", help="By this prompt: its file, or the beginning of its hash."),
    click.option("--text", default="", metavar="WORDS", help="With these words in the message or the thread's name."),
    click.option("--since", default="", metavar="TIME", help="Decided at this time or later (ISO 8601, UTC)."),
    click.option("--until", default="", metavar="TIME", help="Decided at this time or earlier."),
    click.option("--before", type=click.IntRange(min=1), metavar="SEQ", help="Decided before event SEQ."),
    click.option("--after", type=click.IntRange(min=0), metavar="SEQ", default=0, help="Decided after event SEQ."),
)
_NAMES = ("user", "agent", "fallback", "asked", "verdict", "model", "prompt", "text", "before", "after")


def filter_options(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The options as one parameter `wanted`: a Filter. Raises: InputError for a time that is none."""

    @wraps(fn)
    def with_filter(*args: Any, since: str, until: str, **given: Any) -> Any:
        wanted = Filter(
            since=read_time(since) if since else None,
            until=read_time(until) if until else None,
            action=given.pop("action") or "",
            **{name: given.pop(name) for name in _NAMES},
        )
        return fn(*args, wanted=wanted, **given)

    for option in reversed(_OPTIONS):
        with_filter = option(with_filter)
    return with_filter

"""The preferences assistant's tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fleet import ToolContext, ToolError, tool
from fleet.demo.office import PreferencesChanged, preferences_of

__all__ = ["read_preferences", "update_preferences"]


def _question(arguments: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in arguments.items() if value is not None)
    return f"Shall I save this: {told}?"


@tool(effect="read")
async def read_preferences(context: ToolContext) -> dict[str, Any]:
    """Read how the person's preferences are set: reminders, preferred shift, digest."""
    return preferences_of(context.state, context.user)


@tool(effect="write", question=_question)
async def update_preferences(
    context: ToolContext,
    channel: Literal["email", "sms", "app"] | None = None,
    reminder_minutes: int | None = None,
    preferred_shift: Literal["early", "late", "either"] | None = None,
    digest: Literal["daily", "weekly", "never"] | None = None,
) -> str:
    """Save a change of the person's preferences; what is left out stays.

    Args:
        channel: how reminders arrive: email (mail), sms (text message, text me), app (push)
        reminder_minutes: how many minutes before a shift the reminder arrives, 5 to 1440
        preferred_shift: which shift is planned first: early (mornings), late (afternoons), either (any)
        digest: how often the news summary arrives: daily (every day), weekly (once a week), never (off, stop sending)
    """
    given = {
        "channel": channel,
        "reminder_minutes": reminder_minutes,
        "preferred_shift": preferred_shift,
        "digest": digest,
    }
    before = preferences_of(context.state, context.user)
    changes = {name: value for name, value in given.items() if value is not None and value != before[name]}
    if not changes:
        raise ToolError("Nothing would change; name a preference and a new value for it.")
    if reminder_minutes is not None and not 5 <= reminder_minutes <= 1440:
        raise ToolError("A reminder arrives 5 to 1440 minutes before the shift.")
    context.emit(PreferencesChanged(user=context.user, changes=changes))
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in changes.items())
    return f"Saved: {told}."

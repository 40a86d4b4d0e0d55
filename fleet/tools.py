"""Ready tools for agents: reminders that the model may set, list and take back, and the locale of its answers.

from fleet.tools import cancel_reminder, list_reminders, set_reminder

DialogAgent(role="assistant", tools=[set_reminder, list_reminders, cancel_reminder])
"""

from __future__ import annotations

from typing import Any

from fleet.agents.context import ToolContext
from fleet.agents.reminders import Reminder
from fleet.agents.tool import tool
from fleet.agents.zones import read_local_time
from fleet.errors import ToolError

__all__ = ["cancel_reminder", "list_reminders", "set_locale", "set_reminder"]


@tool(effect="write", confirm="never")
def set_reminder(note: str, context: ToolContext, at: str = "", in_minutes: float | None = None) -> dict[str, Any]:
    """Set a reminder in this conversation, at a time or after some minutes; you speak then.

    Args:
        note: what it is about, so that you understand it then
        at: the user's local time, as in 2026-11-22T09:00; with an offset or Z any other
        in_minutes: or so many minutes from now
    """
    if bool(at) == (in_minutes is not None):
        raise ToolError("a reminder needs one of at and in_minutes")
    if in_minutes is not None:
        made = context.remind_after(in_minutes * 60, note)
    else:
        made = context.remind_at(read_local_time(at, context.timezone), note)
    return next(_shown(each, context) for each in context.reminders if each.id == made)


@tool(effect="read")
def list_reminders(context: ToolContext) -> list[dict[str, Any]]:
    """List the reminders of this conversation that are not due yet."""
    return [_shown(each, context) for each in sorted(context.reminders, key=lambda each: each.at)]


@tool(effect="write", confirm="never")
def cancel_reminder(reminder_id: str, context: ToolContext) -> str:
    """Take a reminder of this conversation back.

    Args:
        reminder_id: its id, as list_reminders tells it
    """
    if not context.cancel_reminder(reminder_id):
        raise ToolError("no reminder of this conversation that is not due has this id")
    return "It is cancelled."


@tool(effect="write", confirm="never")
def set_locale(locale: str, context: ToolContext) -> str:
    """Answer this user in another language or with another country's formats from now on, where they ask for it.

    Args:
        locale: a BCP 47 tag such as de, pt-BR or en-GB
    """
    context.set_locale(locale)
    return "From now on this conversation is in that locale: write your next answer in it."


def _shown(reminder: Reminder, context: ToolContext) -> dict[str, Any]:
    return {"id": reminder.id, "at": reminder.at.astimezone(context.timezone or reminder.at.tzinfo).isoformat(),
            "note": reminder.note}  # fmt: skip

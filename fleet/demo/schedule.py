"""The schedule assistant's tools: look at the calendar, work out a move, submit it."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from fleet import ToolContext, tool
from fleet.demo.office import RequestSubmitted, moves_of
from fleet.demo.shifts import check_move, day_of, free_days, shift_on, spoken, week_of

__all__ = ["find_availability", "propose_time_change", "submit_request"]


@tool(effect="read")
async def find_availability(context: ToolContext, day: str) -> str:
    """Find the person's shift on a day and the days of that week that are still free.

    Args:
        day: the day in question, as YYYY-MM-DD or a weekday
    """
    today = context.now.date()
    when, moves = day_of(day, today), moves_of(context.state, context.user)
    shift = shift_on(context.user, when, moves)
    open_days = [each for each in free_days(context.user, when, today, moves) if each != when]
    free = ", ".join(spoken(each) for each in open_days)
    if shift:
        rest = f"Still free that week: {free}." if free else "No other day is free that week."
        return f"You work on {shift} ({shift.kind} shift). {rest}"
    week = week_of(context.user, when - timedelta(days=when.weekday()), moves)
    return f"You are free on {spoken(when)}. Your shifts that week: {'; '.join(map(str, week)) or 'none'}."


@tool(effect="read")
async def propose_time_change(context: ToolContext, day: str, new_day: str) -> str:
    """Work out the move of a shift to another day and check it against the rules; nothing is submitted.

    Args:
        day: day of the shift to move, as YYYY-MM-DD or a weekday
        new_day: the day to move it to, as YYYY-MM-DD or a weekday
    """
    today = context.now.date()
    target = day_of(new_day, today)
    shift = check_move(context.user, day_of(day, today), target, today, moves_of(context.state, context.user))
    what = f"Your {shift.kind} shift ({shift.hours})"
    return f"{what} would move from {spoken(shift.day)} to {spoken(target)}; the rules allow it."


@tool(effect="write", question="Shall I submit this request: move the shift of {day} to {new_day}?")
async def submit_request(context: ToolContext, day: str, new_day: str) -> str:
    """Submit the request to move a shift.

    Args:
        day: day of the shift to move, as YYYY-MM-DD or a weekday
        new_day: the day to move it to, as YYYY-MM-DD or a weekday
    """
    today = context.now.date()
    target = day_of(new_day, today)
    shift = check_move(context.user, day_of(day, today), target, today, moves_of(context.state, context.user))
    request_id = "R-" + hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:6].upper()
    context.emit(
        RequestSubmitted(
            request_id=request_id,
            user=context.user,
            day=shift.day.isoformat(),
            new_day=target.isoformat(),
            submitted_at=context.now.isoformat(timespec="seconds"),
        )
    )
    return (
        f"Submitted as {request_id}: your {shift.kind} shift moves from {spoken(shift.day)} to {spoken(target)}, "
        f"{shift.hours}. Your team lead can object until noon of the day before."
    )

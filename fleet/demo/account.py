"""What the information retriever can look up about the person who asks."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Literal

from fleet import ToolContext, tool
from fleet.demo.office import moves_of, requests_of
from fleet.demo.shifts import day_of, spoken, week_of

__all__ = ["lookup_account_state"]

_LEAVE_DAYS = 28  # a year, as the handbook's page on leave says


@tool(effect="read")
async def lookup_account_state(
    context: ToolContext,
    topic: Literal["shifts", "leave", "requests", "pay"],
    week: Literal["this", "next"] = "this",
) -> str:
    """Look up how things stand for the person: own schedule, leave balance, submitted requests, next payday.

    Args:
        topic: shifts (my schedule, my shifts, my calendar, work next week, work this week),
            leave (leave balance, days left, left this year), requests (my requests, my request, request status),
            pay (payday, my salary, next pay)
        week: for shifts, this (this week) or next (next week)
    """
    today = context.now.date()
    if topic == "leave":
        taken = hashlib.sha256(f"leave/{context.user}".encode()).digest()[0] % 12
        return f"You have {_LEAVE_DAYS - taken} of {_LEAVE_DAYS} days of leave left this year; {taken} are taken."
    if topic == "pay":
        return f"The next payday is {spoken(_payday(today))}."
    if topic == "requests":
        told = [
            f"{each.request_id}, from {spoken(day_of(each.day, today))} to {spoken(day_of(each.new_day, today))}"
            for each in requests_of(context.state, context.user)
        ]
        return f"You have submitted: {'; '.join(told)}." if told else "You have submitted no requests."
    monday = today - timedelta(days=today.weekday()) + timedelta(days=7 * (week == "next"))
    shifts = week_of(context.user, monday, moves_of(context.state, context.user))
    when = "Next week" if week == "next" else "This week"
    return f"{when} you work {'; '.join(map(str, shifts))}." if shifts else f"{when} you have no shifts."


def _payday(today: date) -> date:
    """The next payday, today included: as the handbook's page on payroll says."""
    month = today.replace(day=1)
    while True:
        following = (month + timedelta(days=31)).replace(day=1)
        day = month.replace(day=20) if month.month == 12 else following - timedelta(days=1)
        while day.weekday() > 4:
            day -= timedelta(days=1)
        if day >= today:
            return day
        month = following

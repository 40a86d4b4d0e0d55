"""A scripted day: what two people write to the help desk, in order, and where each message belongs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DAY", "Line"]


@dataclass(frozen=True)
class Line:
    """One message of the day.

    `agent` is the role whose thread it belongs in. `continues` is the number (from 0) of the line that started that
    thread, or None where the message starts one. `says` are words that the reply holds, whatever the date;
    `acts` tells that it leads to an effect.
    """

    user: str
    text: str
    agent: str
    continues: int | None = None
    says: tuple[str, ...] = ()
    acts: bool = False


_INFO, _SHIFTS, _PREFERENCES = "information_retriever", "schedule_assistant", "preferences_assistant"

DAY = (
    Line("ana", "I need to move my Thursday shift to another day.", _SHIFTS, says=("Thu", "Which day")),
    Line("ben", "How many days of paid leave do we get each year?", _INFO, says=("28 days of paid leave",)),
    Line("ana", "Friday is better", _SHIFTS, 0, ("from Thu", "to Fri", "Shall I submit")),
    Line("ben", "And can I carry unused days over?", _INFO, 1, ("Up to 5",)),
    Line("ana", "yes", _SHIFTS, 0, ("Submitted as R-",), acts=True),
    Line("ben", "Please send my reminders by email, 30 minutes ahead.", _PREFERENCES, None, ("60 to 30", "save")),
    Line("ana", "How do I claim the expenses for a train ticket?", _INFO, None, ("second class",)),
    Line("ben", "No, by SMS instead", _PREFERENCES, 5, ("email to sms", "60 to 30", "save")),
    Line("ben", "yes please", _PREFERENCES, 5, ("Saved", "sms"), acts=True),
    Line("ana", "When is the next payday?", _INFO, None, ("payday is",)),
    Line("ben", "Can you swap my Wednesday shift to Monday?", _SHIFTS, None, ("from Wed", "to Mon", "Shall I")),
    Line(
        "ana",
        "Help me think through whether to work from home on Mondays or keep coming to the office.",
        "sounding_board",
        says=("commute",),
    ),
    Line("ben", "no, leave it", _SHIFTS, 10, ("as it is",)),
    Line("ben", "What does my schedule look like next week?", _INFO, None, ("Next week you work",)),
    Line("ana", "How much may a hotel cost when I travel for work?", _INFO, None, ("120 a night",)),
    Line("ana", "What is the status of my requests?", _INFO, None, ("R-",)),
    Line("ben", "How far ahead must I ask for three weeks of leave?", _INFO, None, ("two months",)),
)

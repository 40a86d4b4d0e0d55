"""What the user was asked about a message, and what they answered: for `fleet why`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.audit.inert import name
from fleet.clock import iso
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Choice, Decision, MessageAccepted, QuestionAsked

__all__ = ["Asked", "asked_of", "came_of_it"]


@dataclass(frozen=True)
class Asked:
    """A question with its choices in order. `chosen` is the number of the one that settled it, 0 for none of them.

    `came` is what came of it, "" while it is open; `answered_by` and `answer` are the user's next message.
    """

    asked_at: int
    expires_at: int
    text: str
    choices: tuple[Choice, ...]
    otherwise: str = ""
    came: str = ""
    chosen: int = 0
    answered_by: str = ""
    answer: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; times in ISO 8601 UTC, a probability that is not known None."""
        return {
            "asked_at": iso(self.asked_at),
            "expires_at": iso(self.expires_at),
            "text": self.text,
            "choices": [
                {**each.model_dump(), "number": number, "probability": each.probability or None}
                for number, each in enumerate(self.choices, 1)
            ],
            "otherwise": self.otherwise,
            "asked": self.came,
            "chosen": self.chosen,
            "answered_by": self.answered_by,
            "answer": self.answer,
        }


def asked_of(ledger: Ledger, stored: Stored | None, decision: Decision | None) -> Asked | None:
    """The question that an event is, and what the decision says came of it; None where nobody was asked."""
    event = stored.event if stored is not None else None
    if stored is None or not isinstance(event, QuestionAsked):
        return None
    came, by = (decision.asked, decision.answered_by) if decision is not None else ("", "")
    chosen = 0
    if decision is not None and came == "answered":
        sent = decision.thread_id if decision.outcome == "dispatch_to" else ""
        wanted = ((number, each) for number, each in enumerate(event.choices, 1) if each.thread_id == sent)
        chosen = next((number for number, each in wanted if sent or each.agent == decision.agent), 0)
    said = (each.event for each in ledger.read_stream(f"message:{by}")) if by else ()
    answer = next((each.text for each in said if isinstance(each, MessageAccepted)), "")
    return Asked(stored.at, event.expires_at, event.text, event.choices, event.otherwise, came, chosen, by, answer)


_CAME: Mapping[str, str] = {
    "gone": "; the user was asked, and what they chose was gone by then",
    "lapsed": "; the user was asked, and went on to something else",
    "expired": "; the user was asked, and did not answer in time",
}


def came_of_it(decision: Decision) -> str:
    """The end of a sentence that says who decided: what came of asking the user, where they did not."""
    by = f" ({name(decision.answered_by)})" if decision.answered_by else ""
    return f"{_CAME[decision.asked]}{by}" if decision.asked in _CAME else ""

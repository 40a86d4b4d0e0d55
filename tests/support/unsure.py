"""A router that is unsure of some messages, and an application whose users it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleet import App, DialogAgent, Fleet
from fleet.ledger.base import Stored
from fleet.ledger.events import MessageDecided, QuestionAsked
from fleet.llm.base import Answer, Request
from support.fleets import Outgoing, events_of, go_on, open_fleet, printed_message, scripted, start, transcript

CHOICES = [
    {"thread": 0, "probability": 0.4}, {"thread": 1, "probability": 0.3}, {"agent": "billing", "probability": 0.2},
    {"agent": "helper", "probability": 0.08}, {"thread": 9, "probability": 0.01}, {"agent": "nobody"}, "rubbish",
]  # fmt: skip
QUESTION = """\
I am not sure what "unclear" is about. Which one do you mean?
1. "also an invoice" (billing)
2. "my shift" (helper)
3. Something new, for billing: Explains what was paid
4. Something new, for helper: Moves shifts
0. None of these: a person looks at it
Please answer with a number or a name."""


def route(request: Request) -> Any:
    """Starts a thread for what begins anything, is unsure of what is unclear, and else carries on."""
    said = printed_message(request)
    if "unclear" in said:
        return unsure(go_on(0), 0.4, CHOICES)
    if "also" in said or "threads[0]:" not in transcript(request):
        return unsure(start("billing" if "invoice" in said else "helper", said), 0.9)
    return unsure(go_on(0), 0.95)


def unsure(text: str, confidence: float | None, choices: Any = ()) -> Answer:
    extra = {} if confidence is None else {"confidence": confidence, "choices": list(choices)}
    content = ({"type": "text", "text": text},)
    return Answer(content=content, stop_reason="end_turn", model="test:router", extra=extra)


def two_desks(send: Any = None, **options: Any) -> App:
    """An application of two agents."""
    agents = [
        DialogAgent(role="helper", description="Moves shifts", send_message=send),
        DialogAgent(role="billing", description="Explains what was paid", send_message=send),
    ]
    return App(name="two", agents=agents, **options)


def open_desks(home: Path, send: Outgoing | None = None, router: Any = route, **settings: Any) -> Fleet:
    """A fleet that asks below 0.7."""
    given = {"ask_below": 0.7, "ask_expiry_s": 3600.0, **settings}
    return open_fleet(home, two_desks(send), models=scripted(router), **given)


async def say(fleet: Fleet, message_id: str, text: str, user: str = "ana", **more: Any) -> None:
    """Send a message, and wait until nothing more comes of it."""
    await fleet.accept({"sender": user, "text": text, "id": message_id, **more})
    await fleet.idle()


async def two_threads(fleet: Fleet, user: str = "ana") -> None:
    """The user has a thread with each agent, billing's the newest."""
    await say(fleet, f"{user}-1", "my shift", user)
    await say(fleet, f"{user}-2", "also an invoice", user)


def questions(fleet: Fleet) -> list[Stored]:
    return events_of(fleet, QuestionAsked)


def decided(fleet: Fleet) -> dict[str, Any]:
    """Each message's decision."""
    return {each.event.message_id: each.event.decision for each in events_of(fleet, MessageDecided)}

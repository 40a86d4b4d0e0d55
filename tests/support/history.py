"""A ledger of thousands of messages, made by running made-up conversations through a real fleet.

    PYTHONPATH=.:tests python -m support.history FOLDER [--messages 5000] [--users 250] [--seed 4]

makes the home FOLDER. The same arguments give the same messages and decisions; only times within a round of messages
differ. The rounds are spread over ten days, half a day apart; the dispatcher's prompt and model change half-way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import fleet.clock
from fleet import (
    App,
    AppEvent,
    DialogAgent,
    DispatchAction,
    DispatchResult,
    Fleet,
    Message,
    MessageDispatcher,
    Settings,
    ToolContext,
    ToolError,
    reducer,
    tool,
)
from fleet.errors import ModelUnavailableError
from fleet.llm.base import Answer, Request, Usage
from fleet.llm.scripted import ScriptedModel
from fleet.prompting.prompts import default_prompt
from support.fleets import go_on, last_words, printed_message, start, transcript, use
from support.talk import AGENTS, Planned, conversations

__all__ = ["BEGAN", "MODELS", "History", "history_app", "make_history"]

BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)
MODELS = ("claude-haiku-4-5", "claude-haiku-5-5")  # the router's, before and after the change; both have a list price
_HALF_DAY = timedelta(hours=12)
_UNREACHABLE = "user-007"
_RULES = default_prompt("dispatcher")
PROMPTS = (_RULES, _RULES + "\nA short message without a subject of its own continues a thread.\n")


class Noted(AppEvent):
    NAME = "history.noted"
    what: str


@reducer(Noted)
def note(state: Any, event: Noted) -> None:
    state["noted"] = state.get("noted", 0) + 1


@tool(effect="read")
def look_up(topic: str) -> str:
    """Look something up."""
    if "account" in topic.lower() or "Konto" in topic:
        raise ToolError("the directory does not answer")
    return f"known about {topic}"


@tool(effect="write", confirm="never")
def take_note(what: str, context: ToolContext) -> str:
    """Keep a note."""
    context.emit(Noted(what=what))
    return "noted"


def gate(message: Any) -> DispatchResult | None:
    if message.text.startswith("WIN "):
        return DispatchResult(key="", action=DispatchAction.DROP, reason="advertising")
    if message.channel == "vip":
        return DispatchResult(key="vip", action=DispatchAction.ROUTE, agent="schedule", reason="channel vip")
    return None


def send_message(text: str, user: str) -> None:
    if user == _UNREACHABLE:
        raise ConnectionError("no route")


def history_app(prompt: str = PROMPTS[0]) -> App:
    """The application that the history was made with."""
    agents = [
        DialogAgent(role, send_message, tools=[look_up, take_note], description=description)
        for role, description in AGENTS.items()
    ]
    return App(name="history", agents=agents, dispatcher=MessageDispatcher(prompt=prompt), gate=gate)


app = history_app(PROMPTS[1])  # as it was last, for --app support.history:app


@dataclass(frozen=True)
class History:
    """A home and what was planned for it: every message in the order sent, and by id."""

    home: Path
    planned: tuple[Planned, ...]

    @property
    def ledger_file(self) -> Path:
        return self.home / "ledger.db"

    def __getitem__(self, message_id: str) -> Planned:
        return next(each for each in self.planned if each.id == message_id)


def make_history(home: Path, messages: int = 5000, users: int = 250, seed: int = 4) -> History:
    """Make the home, which must not exist. Takes about 5 ms of processor time a message."""
    rounds = list(conversations(messages, users, seed))
    planned = tuple(each for together in rounds for each in together)
    router = _Router(planned)
    half = len(rounds) // 2
    with _own_clock() as clock:
        for week, part in enumerate((rounds[:half], rounds[half:])):
            router.model = MODELS[week]
            asyncio.run(_live(home, PROMPTS[week], router, part, half * week, clock))
    return History(home, planned)


async def _live(
    home: Path, prompt: str, router: _Router, rounds: Sequence[Sequence[Planned]], first: int, clock: type[_Clock]
) -> None:
    settings = Settings(
        home=home, router_model="test:router", worker_model="test:worker", fallback_model="test:fallback",
        delivery_attempts=1, checkpoint_events=1_000_000, checkpoint_s=600.0, concurrency=200,
    )  # fmt: skip
    models = {
        "test:router": ScriptedModel(router.route, name="test:router"),
        "test:worker": ScriptedModel(_work, name="test:worker"),
        "test:fallback": ScriptedModel(router.fall_back, name="test:fallback"),
    }
    clock.go_to(BEGAN + first * _HALF_DAY)
    async with Fleet(history_app(prompt), settings, models=models) as fleet:
        for number, together in enumerate(rounds, first):
            clock.go_to(BEGAN + number * _HALF_DAY)
            messages = (Message(each.user, each.text, each.id, each.channel, language="en") for each in together)
            await asyncio.gather(*(fleet.accept(message) for message in messages))
            await fleet.idle()


class _Router:
    """Answers as planned. It knows a message by its user and text, and a topic by the printed name of its thread."""

    def __init__(self, planned: Sequence[Planned]) -> None:
        self._planned = {(each.user, each.text): each for each in planned}
        self.model = ""

    def route(self, request: Request) -> Answer:
        shown, planned = transcript(request), self._of(request)
        first = len(request.messages) == 1
        if planned.fault in ("down", "lost"):
            raise ModelUnavailableError("the provider is down")
        if planned.fault == "refused" or (planned.fault == "hesitate" and first):
            said = go_on(7) if planned.opens else "I would rather not say."
        else:
            said = _choice(shown, planned, wrong=planned.fault == "wrong")
        usage = Usage(len(shown) // 4, len(said) // 4, cache_read_tokens=900 if first else 1500)
        return Answer(({"type": "text", "text": said},), "end_turn", self.model, usage)

    def fall_back(self, request: Request) -> str:
        planned = self._of(request)
        if planned.fault == "lost":
            raise ModelUnavailableError("the fallback is down too")
        return _choice(transcript(request), planned)

    def _of(self, request: Request) -> Planned:
        lines = transcript(request).splitlines()
        user = json.loads(lines[lines.index("User:") + 1])
        return self._planned[user, printed_message(request)]


def _choice(shown: str, planned: Planned, *, wrong: bool = False) -> str:
    names = [json.loads(line[5:]) for line in shown.splitlines() if line.startswith("name: ")]
    known = names.index(planned.title) if planned.title in names else None
    if wrong and known is None and names:
        return go_on(0)
    if wrong or known is None:
        return start(planned.agent, planned.title)
    return go_on(known)


def _work(request: Request) -> Any:
    words, last = last_words(request), request.messages[-1]["content"]
    if not isinstance(last, str):
        return "It is done."
    if words.endswith("?") and len(words) % 3 == 0:
        return [use("look_up", topic=words[:60])]
    if "please" in words.lower():
        return [use("take_note", what=words[:60])]
    if "Konto" in words or "light" in words:
        return [use("look_up", topic="account")]
    usage = Usage(len(words) + 300, 12)
    said = "Which day suits you?" if len(words) % 2 else f"You said: {words[:40]}"
    return Answer(({"type": "text", "text": said},), "end_turn", "claude-sonnet-5", usage)


class _Clock(datetime):
    """What fleet.clock takes for `datetime`: a day that is set, going on at the pace of the real one."""

    day: datetime = BEGAN
    since: float = 0.0

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        moment = cls.day + timedelta(seconds=time.monotonic() - cls.since)
        return cls.fromtimestamp(moment.timestamp(), tz)

    @classmethod
    def go_to(cls, day: datetime) -> None:
        cls.day, cls.since = day, time.monotonic()


@contextmanager
def _own_clock() -> Iterator[type[_Clock]]:
    real = fleet.clock.datetime
    fleet.clock.datetime = _Clock  # type: ignore[misc]
    try:
        yield _Clock
    finally:
        fleet.clock.datetime = real  # type: ignore[misc]


def _main() -> None:
    parser = argparse.ArgumentParser(description="Make a home with a long history.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--users", type=int, default=250)
    parser.add_argument("--seed", type=int, default=4)
    a = parser.parse_args()
    began = time.perf_counter()
    made = make_history(a.home, a.messages, a.users, a.seed)
    print(f"{len(made.planned)} messages in {time.perf_counter() - began:.1f} s, {made.ledger_file}")


if __name__ == "__main__":
    _main()

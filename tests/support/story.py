"""A history written by hand: events as the runtime appends them, on a real ledger, without a runtime.

Keeps what it has done in plain Python beside the ledger (`threads`, `recent`), for a test to compare a graph with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.graph.checkpoints import Graph
from fleet.ledger.base import Blob, Draft
from fleet.ledger.events import (
    AgentDeclared,
    AgentRetired,
    AppEventRecorded,
    Decision,
    Event,
    MessageAccepted,
    MessageDecided,
    ModelAnswered,
    ReplyDelivered,
    ToolIntended,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.ledger.sqlite import SqliteLedger


def count_up(state: Any, data: Any) -> None:
    """A reducer that counts."""
    state["counted"] = state.get("counted", 0) + data["by"]


def reducer_of(name: str) -> tuple[Callable[[dict[str, Any]], Any], Callable[[Any, Any], None]]:
    assert name == "story.counted"
    return dict, count_up


class Story:
    """Appends valid histories. Every method appends one draft and returns the id of what it made."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self.ledger = ledger
        self.threads: dict[str, dict[str, Any]] = {}
        self.recent: dict[str, list[str]] = {}
        self._count = 0

    def append(self, stream: str, *events: Event, user: str = "", blobs: tuple[Blob, ...] = ()) -> int:
        return self.ledger.append_now(Draft(stream, self.ledger.version(stream), events, user, blobs))[-1].seq

    def next(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"

    def declare(self, role: str = "helper", kind: Any = "dialog", definition: str = "one") -> None:
        blob = Blob.of(definition)
        event = AgentDeclared(role=role, kind=kind, description=f"{role} helps", definition=blob.hash)
        self.append(f"agent:{role}", event, blobs=(blob,))

    def retire(self, role: str) -> None:
        self.append(f"agent:{role}", AgentRetired(role=role, open_threads=1))

    def accept(self, user: str = "ana", text: str = "Can I swap Friday?") -> str:
        message_id = self.next("msg")
        self.append(f"message:{message_id}", MessageAccepted(message_id=message_id, user=user, text=text), user=user)
        return message_id

    def decide(self, message_id: str, decision: Decision, user: str = "ana", text: str = "Can I swap Friday?") -> None:
        event = MessageDecided(message_id=message_id, user=user, text=text, decision=decision)
        self.append(f"message:{message_id}", event, user=user)

    def start(self, user: str = "ana", text: str = "Can I swap Friday?", role: str = "helper", **fields: Any) -> str:
        """A message accepted and decided to start a thread; the thread's id."""
        message_id, thread = self.accept(user, text), self.next("thr")
        job = thread.replace("thr", "job")
        given: dict[str, Any] = {"agent": role, "name": "Swap", "language": "en"} | fields
        decision = Decision(by="model", outcome="start_new_thread", thread_id=thread, job_id=job, **given)
        self.decide(message_id, decision, user, text)
        self.threads[thread] = {"user": user, "job": job, "waiting": [message_id], "open": [], "turn": 0, "role": role}
        self._touch(user, thread)
        return thread

    def go_on(self, thread: str, text: str = "Friday is better") -> str:
        """A message accepted and decided to continue a thread; the message's id."""
        known = self.threads[thread]
        message_id = self.accept(known["user"], text)
        decision = Decision(
            by="model", outcome="dispatch_to", thread_id=thread, job_id=known["job"], agent=known["role"]
        )
        self.decide(message_id, decision, known["user"], text)
        known["waiting"].append(message_id)
        self._touch(known["user"], thread)
        return message_id

    def begin(self, thread: str) -> None:
        """A turn for everything that waits."""
        known = self.threads[thread]
        known["turn"] += 1
        known["open"], known["waiting"] = known["waiting"], []
        self.step(
            thread,
            TurnStarted(job_id=known["job"], thread_id=thread, turn=known["turn"], message_ids=tuple(known["open"])),
        )

    def step(self, thread: str, *events: Event) -> None:
        known = self.threads[thread]
        self.append(f"job:{known['job']}", *events, user=known["user"])

    def answer(self, thread: str, *content: dict[str, Any], stop_reason: str = "") -> None:
        known = self.threads[thread]
        reason = stop_reason or ("tool_use" if any(b["type"] == "tool_use" for b in content) else "end_turn")
        self.step(
            thread,
            ModelAnswered(job_id=known["job"], turn=known["turn"], content=content, stop_reason=reason, model="m"),
        )

    def call(self, thread: str, *call_ids: str) -> None:
        """The model asks for tools."""
        self.answer(thread, *({"type": "tool_use", "id": each, "name": "look", "input": {}} for each in call_ids))

    def intend(self, thread: str, call_id: str) -> None:
        known = self.threads[thread]
        self.step(
            thread,
            ToolIntended(
                job_id=known["job"], turn=known["turn"], call_id=call_id, tool="look", arguments={}, idempotency_key="k"
            ),
        )

    def result(self, thread: str, call_id: str, content: str = "found", *, error: bool = False, by: int = 0) -> None:
        """A tool's result, with an application event beside it if `by` is given."""
        known = self.threads[thread]
        emitted = AppEventRecorded(name="story.counted", job_id=known["job"], user=known["user"], data={"by": by})
        returned = ToolReturned(
            job_id=known["job"], turn=known["turn"], call_id=call_id, tool="look", content=content, error=error
        )
        self.step(thread, *((emitted, returned) if by else (returned,)))

    def end(self, thread: str, reply: str = "Done.", result: Any = "success") -> None:
        known = self.threads[thread]
        self.step(
            thread,
            TurnEnded(
                job_id=known["job"],
                thread_id=thread,
                user=known["user"],
                turn=known["turn"],
                message_ids=tuple(known["open"]),
                result=result,
                reply_id=f"rep_{known['job']}.{known['turn']}",
                reply=reply,
            ),
        )
        known["open"] = []
        self._touch(known["user"], thread)

    def deliver(self, thread: str) -> None:
        known = self.threads[thread]
        reply_id = f"rep_{known['job']}.{known['turn']}"
        self.append(f"reply:{reply_id}", ReplyDelivered(reply_id=reply_id, thread_id=thread), user=known["user"])

    def turn(self, thread: str, reply: str = "Which day?", result: Any = "need_input") -> None:
        """A whole turn of one answer."""
        self.begin(thread)
        self.answer(thread, {"type": "text", "text": reply})
        self.end(thread, reply, result)

    def _touch(self, user: str, thread: str) -> None:
        self.recent[user] = [thread, *(each for each in self.recent.get(user, []) if each != thread)]


def rebuilt(folder: Path, ledger: SqliteLedger, reducers: Any = reducer_of) -> str:
    """The digest of a graph made from nothing but the ledger. No other graph may be open."""
    graph = Graph(folder, ledger, reducers)
    try:
        return graph.digest()
    finally:
        graph.close()

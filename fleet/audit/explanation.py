"""What there is to say about one message: its decision, and what followed. Values only; `as_dict` is their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fleet.audit.asked import Asked
from fleet.audit.labels import Label, right
from fleet.clock import iso
from fleet.ledger.events import Attempt, Decision, MessageAccepted, ModelAnswered

__all__ = ["NOTHING", "Explanation", "Shown", "State", "Step", "Totals"]

State = Literal[
    "inbox",
    "asked",
    "routed",
    "working",
    "answered",
    "answer",
    "blocked",
    "failed",
    "dead",
    "dropped",
    "error",
    "human",
    "cancelled",
]


@dataclass(frozen=True)
class Shown:
    """A thread that was put up for choice. `printed` are the transcript's lines about it."""

    index: int
    thread_id: str
    agent: str
    name: str
    latest_activity_at: int
    chosen: bool
    printed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One thing that happened to the message. `at` is when it was on record; `took_us` is None for a mere moment.

    `kind` is the ledger's event type; `data` holds what is particular to it; `trouble` marks what went wrong.
    """

    at: int
    seq: int
    kind: str
    took_us: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    trouble: bool = False


@dataclass(frozen=True)
class Totals:
    """Model calls, tokens as the provider counted them, and US dollars at list prices."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0

    def plus(self, call: Attempt | ModelAnswered) -> Totals:
        """This and one call more."""
        return Totals(
            self.calls + 1,
            self.input_tokens + call.input_tokens,
            self.output_tokens + call.output_tokens,
            self.cache_read_tokens + call.cache_read_tokens,
            self.cache_write_tokens + call.cache_write_tokens,
            self.cost_usd + call.cost_usd,
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "calls": self.calls,
            "tokens": {
                "input": self.input_tokens,
                "output": self.output_tokens,
                "cache_read": self.cache_read_tokens,
                "cache_write": self.cache_write_tokens,
            },
            "cost_usd": round(self.cost_usd, 9),
        }


NOTHING = Totals()


@dataclass(frozen=True)
class Explanation:
    """Everything on record about one message.

    `where` says in a sentence where it went, `outcome` what came of it; `action` is the call that decided, `rules`
    what the prompt says to decide by; `labels` is what people said would have been right, the last one counting;
    `asked` is what the user was asked about it;
    `steps` is the timeline; `routing` and `answering` are the costs of the two, `handed_on` that of the tasks which the
    turn handed to other agents, by `handed_models`; `turn` is the turn of
    `decision.job_id` that answers it; `notes` name what the record should hold and does not.
    """

    message: MessageAccepted
    accepted_at: int
    seq: int
    state: State
    where: str
    outcome: str
    decision: Decision | None = None
    decided_at: int = 0
    decided_seq: int = 0
    candidates: tuple[Shown, ...] = ()
    steps: tuple[Step, ...] = ()
    routing: Totals = NOTHING
    answering: Totals = NOTHING
    handed_on: Totals = NOTHING
    handed_models: tuple[str, ...] = ()
    turn: int | None = None
    result: str = ""
    reply: str = ""
    reply_id: str = ""
    notes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    asked: Asked | None = None

    @property
    def action(self) -> str:
        """The router's call as it is written, "" where no model's answer decided."""
        decision = self.decision
        routed = decision is not None and decision.by != "user" and bool(decision.attempts)
        if decision is None or not routed or decision.attempts[-1].verdict != "ok":
            return ""
        from fleet.sandbox import DispatchTo, StartNewThread  # the grammar, which a list does without

        if decision.thread_index is not None:
            return DispatchTo(decision.thread_index).as_python()
        return StartNewThread(
            decision.agent, decision.language, decision.name or None, decision.default_example_id
        ).as_python()

    def was_right(self, label: Label) -> bool:
        """Whether the decision is what the label asks for."""
        decision = self.decision
        return decision is not None and right(label, decision.outcome, decision.thread_id, decision.agent)

    def as_dict(self) -> dict[str, Any]:
        """One JSON object: times in ISO 8601 UTC, durations in microseconds, texts as they are on record."""
        message = self.message
        return {
            "message_id": message.message_id,
            "user": message.user,
            "text": message.text,
            "channel": message.channel,
            "session_id": message.session_id,
            "language": message.language,
            "metadata": message.metadata,
            "accepted_at": iso(self.accepted_at),
            "seq": self.seq,
            "state": self.state,
            "where": self.where,
            "outcome": self.outcome,
            "labels": [
                {
                    "at": iso(each.at),
                    "by": each.by,
                    "thread_id": each.thread_id,
                    "agent": each.agent,
                    "note": each.note,
                    "was_right": self.was_right(each),
                }
                for each in self.labels
            ],
            "asked": self.asked.as_dict() if self.asked is not None else None,
            "decision": self._decision(),
            "turn": self.turn,
            "result": self.result,
            "reply_id": self.reply_id,
            "reply": self.reply,
            "timeline": [
                {
                    "at": iso(step.at),
                    "seq": step.seq,
                    "after_us": step.at - self.accepted_at,
                    "kind": step.kind,
                    "took_us": step.took_us,
                    "trouble": step.trouble,
                    **step.data,
                }
                for step in self.steps
            ],
            "routing": self.routing.as_dict(),
            "answering": self.answering.as_dict(),
            "handed_on": {**self.handed_on.as_dict(), "models": list(self.handed_models)},
            "notes": list(self.notes),
        }

    def _decision(self) -> dict[str, Any] | None:
        decision = self.decision
        if decision is None:
            return None
        return {
            "seq": self.decided_seq,
            "decided_at": iso(self.decided_at),
            "by": decision.by,
            "action": decision.outcome,
            "call": self.action,
            "thread_id": decision.thread_id,
            "thread_index": decision.thread_index,
            "job_id": decision.job_id,
            "agent": decision.agent,
            "name": decision.name,
            "language": decision.language,
            "default_example_id": decision.default_example_id,
            "reason": decision.reason,
            "gate": decision.gate,
            "gate_reason": decision.gate_reason,
            "asked": decision.asked,
            "answered_by": decision.answered_by,
            "answer_to": decision.answer_to,
            "fallback": decision.fallback,
            "fallback_reason": decision.fallback_reason,
            "joined": decision.joined,
            "covers": list(decision.covers),
            "candidates": [
                {
                    "index": each.index,
                    "thread_id": each.thread_id,
                    "agent": each.agent,
                    "name": each.name,
                    "latest_activity": iso(each.latest_activity_at),
                    "chosen": each.chosen,
                    "printed": list(each.printed),
                }
                for each in self.candidates
            ],
            "agents": list(decision.agents),
            "examples": {role: list(ids) for role, ids in decision.examples.items()},
            "attempts": [_attempt(each) for each in decision.attempts],
            "transcript": decision.transcript,
            "prompt": {"name": decision.prompt_name, "hash": decision.prompt},
            "rules": list(self.rules),
            "latency_us": dict(decision.latency_us),
            "code_version": decision.code_version,
        }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "model": attempt.model,
        "verdict": attempt.verdict,
        "message": attempt.message,
        "told": attempt.told,
        "error": attempt.error,
        "answer": attempt.answer,
        "stop_reason": attempt.stop_reason,
        "tokens": {
            "input": attempt.input_tokens,
            "output": attempt.output_tokens,
            "cache_read": attempt.cache_read_tokens,
            "cache_write": attempt.cache_write_tokens,
        },
        "cost_usd": attempt.cost_usd,
        "latency_us": attempt.latency_us,
        "extra": attempt.extra,
    }

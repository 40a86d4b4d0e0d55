"""Scores over labelled cases.

Action: continue with the exact thread, or new. Joint: that, and the right agent where it is new. Agent given new: over
the cases whose right answer is a new thread with a named agent. An answer that the grammar refuses is wrong everywhere,
even if the retry after it was right; so is whatever a fallback decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.audit.cases import Case
from fleet.ledger.events import Decision

__all__ = ["Outcome", "Score", "judge", "percentile"]


@dataclass(frozen=True)
class Outcome:
    """One case's result. `agent` is None where no agent is asked for; `error` is a model's that gave no answer."""

    case_id: str
    strata: tuple[str, ...]
    action: bool
    agent: bool | None
    joint: bool
    invalid: bool
    latency_us: int
    cost_usd: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Score:
    """The sum of outcomes; accuracies are shares from 0 to 1, None over no case. Latencies are of whole decisions."""

    n: int
    action_accuracy: float | None
    agent_accuracy_given_new: float | None
    joint_accuracy: float | None
    strata: dict[str, tuple[int, float]]
    invalid_answers: int
    p50_ms: float
    p95_ms: float
    cost_usd: float
    errors: tuple[str, ...]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Score:
        """The score of a run."""
        strata: dict[str, list[bool]] = {}
        for each in outcomes:
            for name in each.strata:
                strata.setdefault(name, []).append(each.joint)
        took = sorted(each.latency_us for each in outcomes)
        return cls(
            len(outcomes),
            _share([each.action for each in outcomes]),
            _share([each.agent for each in outcomes if each.agent is not None]),
            _share([each.joint for each in outcomes]),
            {name: (len(right), sum(right) / len(right)) for name, right in sorted(strata.items())},
            sum(each.invalid for each in outcomes),
            percentile(took, 0.5) / 1000,
            percentile(took, 0.95) / 1000,
            sum(each.cost_usd for each in outcomes),
            tuple(each.error for each in outcomes if each.error),
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "n": self.n,
            "action_accuracy": self.action_accuracy,
            "agent_accuracy_given_new": self.agent_accuracy_given_new,
            "joint_accuracy": self.joint_accuracy,
            "strata": {name: {"n": n, "joint_accuracy": share} for name, (n, share) in self.strata.items()},
            "invalid_answers": self.invalid_answers,
            "latency_ms": {"p50": self.p50_ms, "p95": self.p95_ms},
        }


def judge(case: Case, decision: Decision, latency_us: int) -> Outcome:
    """How a decision compares with the case's right answer."""
    gold = case.gold
    invalid = decision.by != "model" or any(each.verdict != "ok" for each in decision.attempts)
    if gold.action == "continue":
        action = decision.outcome == "dispatch_to" and decision.thread_index == gold.thread
        agent = None
    else:
        action = decision.outcome == "start_new_thread"
        agent = None if gold.agent is None else action and decision.agent == gold.agent
    if invalid:
        action, agent = False, None if agent is None else False
    return Outcome(
        case.id,
        case.strata,
        action,
        agent,
        action and agent is not False,
        invalid,
        latency_us,
        sum(each.cost_usd for each in decision.attempts),
        next((each.error for each in decision.attempts if each.error), ""),
    )


def _share(right: Sequence[bool | None]) -> float | None:
    return sum(map(bool, right)) / len(right) if right else None


def percentile(took: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of all does not exceed."""
    return took[max(0, math.ceil(share * len(took)) - 1)] if took else 0

"""Scores over labelled cases.

Action: continue with the exact thread, or new. Joint: that, and the right agent where it is new. Agent given new: over
the cases whose right answer is a new thread with a named agent. An answer that the grammar refuses is wrong everywhere,
even if the retry after it was right; so is whatever a fallback decided. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.audit.calibration import Calibration, calibration
from fleet.audit.cases import Case, Gold
from fleet.audit.significance import wilson
from fleet.ledger.events import Decision

__all__ = ["Confusion", "Outcome", "Score", "interval", "judge", "percentile"]

_WORST = 3  # messages of one confusion


@dataclass(frozen=True)
class Outcome:
    """One case's result. `agent` is None where no agent is asked for; `error` is a model's that gave no answer.

    `confidence` is the model's own (0 to 1), None where it has none or was refused; `wanted` and `chosen` are in words,
    and `message` is what was asked about, "" of a case that went right.
    """

    case_id: str
    strata: tuple[str, ...]
    action: bool
    agent: bool | None
    joint: bool
    invalid: bool
    latency_us: int
    cost_usd: float = 0.0
    error: str = ""
    confidence: float | None = None
    wanted: str = ""
    chosen: str = ""
    message: str = ""


@dataclass(frozen=True)
class Confusion:
    """What should have become `wanted` and became `chosen`, `n` times; `worst` are those it was surest of."""

    wanted: str
    chosen: str
    n: int
    worst: tuple[Outcome, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        worst = [{"id": each.case_id, "message": each.message, "confidence": each.confidence} for each in self.worst]
        return {"wanted": self.wanted, "chosen": self.chosen, "n": self.n, "worst": worst}


@dataclass(frozen=True)
class Score:
    """The sum of outcomes; accuracies are shares from 0 to 1, None over no case. Latencies are of whole decisions.

    `strata` holds for each one how many cases there are and the share of them that went right in action and agent;
    `calibration` is None where no model said how sure it was.
    """

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
    calibration: Calibration | None = None
    confusions: tuple[Confusion, ...] = ()

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
            calibration([(each.confidence, each.joint) for each in outcomes if each.confidence is not None]),
            _confusions(outcomes),
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "n": self.n,
            "action_accuracy": self.action_accuracy,
            "agent_accuracy_given_new": self.agent_accuracy_given_new,
            "joint_accuracy": self.joint_accuracy,
            "joint_interval": list(interval(self.joint_accuracy or 0.0, self.n)),
            "strata": {
                name: {"n": n, "joint_accuracy": share, "interval": list(interval(share, n))}
                for name, (n, share) in self.strata.items()
            },
            "calibration": self.calibration.as_dict() if self.calibration else None,
            "confusions": [each.as_dict() for each in self.confusions],
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
    right = action and agent is not False
    return Outcome(
        case.id,
        case.strata,
        action,
        agent,
        right,
        invalid,
        latency_us,
        sum(each.cost_usd for each in decision.attempts),
        next((each.error for each in decision.attempts if each.error), ""),
        None if invalid else _confidence(decision),
        gold.action if gold.action == "continue" or gold.agent is None else f"new {gold.agent}",
        _chosen(gold, decision, invalid, right),
        "" if right else case.message,
    )


def interval(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval for a share of n cases."""
    return wilson(round(share * n), n)


def _confidence(decision: Decision) -> float | None:
    """How sure the model was that decided, where it says so."""
    said = decision.attempts[-1].extra.get("confidence") if decision.attempts else None
    return said if isinstance(said, float) else None


def _chosen(gold: Gold, decision: Decision, invalid: bool, right: bool) -> str:
    if invalid:
        return "no valid answer"
    if decision.outcome == "dispatch_to":
        return "continue" if right or gold.action == "new" else "continue another thread"
    return f"new {decision.agent}" if decision.outcome == "start_new_thread" else decision.outcome


def _confusions(outcomes: Sequence[Outcome]) -> tuple[Confusion, ...]:
    """What went wrong, the commonest first, each with the cases that the model was surest of."""
    wrong: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        if not each.joint:
            wrong.setdefault((each.wanted, each.chosen), []).append(each)
    found = sorted(wrong.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(
        Confusion(*pair, len(cases), tuple(sorted(cases, key=lambda each: -(each.confidence or 0.0))[:_WORST]))
        for pair, cases in found
    )


def _share(right: Sequence[bool | None]) -> float | None:
    return sum(map(bool, right)) / len(right) if right else None


def percentile(took: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of all does not exceed."""
    return took[max(0, math.ceil(share * len(took)) - 1)] if took else 0

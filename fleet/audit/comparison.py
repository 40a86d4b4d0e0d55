"""Past decisions beside what another prompt, model or warmup makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.audit.labels import Label, right
from fleet.audit.questions import Past
from fleet.audit.scoring import percentile
from fleet.audit.significance import Paired
from fleet.audit.whatif import Again
from fleet.ledger.base import Ledger
from fleet.ledger.events import Decision, MessageDecided

__all__ = ["Comparison", "Difference", "Side", "compare"]

_ANOTHER = "another thread"


@dataclass(frozen=True)
class Difference:
    """One message that goes elsewhere now. `old_reason` and `reason` are the models' own words."""

    message_id: str
    user: str
    text: str
    old: str
    old_thread: str
    old_reason: str
    new: str
    new_thread: str
    reason: str
    verdicts: tuple[str, ...]
    wanted: str


@dataclass
class Side:
    """What one of the two took: US dollars at list prices, and the time of the model's calls for each message."""

    cost_usd: float = 0.0
    refused: int = 0
    took_us: list[int] = field(default_factory=list)

    def add(self, cost_usd: float, took_us: int, verdicts: Iterable[str]) -> None:
        """One message more."""
        self.cost_usd += cost_usd
        self.took_us.append(took_us)
        self.refused += sum(verdict not in ("ok", "error", "") for verdict in verdicts)

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the messages does not exceed."""
        return percentile(sorted(self.took_us), share) / 1000

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "cost_usd": round(self.cost_usd, 9),
            "refused_answers": self.refused,
            "latency_ms": {"p50": self.latency_ms(0.5), "p95": self.latency_ms(0.95)},
        }


@dataclass
class Comparison:
    """Old against new: how often which became which, each difference, and, over labelled messages, who is right."""

    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    same: int = 0
    inexact: int = 0
    old: Side = field(default_factory=Side)
    new: Side = field(default_factory=Side)
    labelled: list[tuple[bool, bool]] = field(default_factory=list)

    @property
    def n(self) -> int:
        """How many messages are compared."""
        return self.same + len(self.differences)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "messages": self.n,
            "same": self.same,
            "different": len(self.differences),
            "threads_not_rebuilt": self.inexact,
            "confusion": [
                {"old": old, "new": new, "n": n} for (old, new), n in sorted(self.confusion.items(), key=_often)
            ],
            "old": self.old.as_dict(),
            "new": self.new.as_dict(),
            "labelled": Paired.of(self.labelled).as_dict() if self.labelled else None,
            "differences": [vars(each) | {"verdicts": list(each.verdicts)} for each in self.differences],
        }


def compare(
    ledger: Ledger, wanted: Iterable[Past], again: Mapping[int, Again], labels: Mapping[str, Label]
) -> Comparison:
    """Everything that was decided again, beside its decision on record, in the order of the ledger."""
    found = Comparison()
    for past in wanted:
        new = again.get(past.seq)
        if new is None:
            continue
        event = next(ledger.read(after=past.seq - 1, upto=past.seq)).event
        if isinstance(event, MessageDecided):
            _add(found, event, new, labels.get(event.message_id))
    return found


def _add(found: Comparison, event: MessageDecided, new: Again, label: Label | None) -> None:
    decision = event.decision
    old_class, new_class = _old_class(decision), _new_class(decision, new)
    found.confusion[old_class, new_class] += 1
    found.inexact += not new.exact
    tried = decision.attempts
    cost, took = sum(each.cost_usd for each in tried), sum(each.latency_us for each in tried)
    found.old.add(cost, took, [each.verdict for each in tried])
    found.new.add(new.cost_usd, new.latency_us, new.verdicts)
    if label is not None:
        was = right(label, decision.outcome, decision.thread_id, decision.agent)
        found.labelled.append((was, right(label, new.outcome, new.thread_id, new.agent)))
    if old_class == new_class:
        found.same += 1
        return
    wanted = "" if label is None else f"thread {label.thread_id}" if label.thread_id else f"new {label.agent}"
    found.differences.append(
        Difference(
            event.message_id,
            event.user,
            event.text,
            old_class,
            decision.thread_id,
            decision.reason,
            new_class,
            new.thread_id,
            new.reason,
            new.verdicts,
            wanted,
        )
    )


def _old_class(decision: Decision) -> str:
    if decision.outcome == "dispatch_to":
        return "continue"
    return f"new {decision.agent}" if decision.new_thread else decision.outcome


def _new_class(decision: Decision, new: Again) -> str:
    if new.outcome == "dispatch_to":
        other = decision.outcome == "dispatch_to" and new.thread_id != decision.thread_id
        return _ANOTHER if other else "continue"
    return f"new {new.agent}" if new.outcome == "start_new_thread" else new.outcome


def _often(item: tuple[tuple[str, str], int]) -> tuple[int, tuple[str, str]]:
    return -item[1], item[0]

"""Learning from an application's own labels how `offline:router` should weigh its choices there.

Two thirds of the labelled decisions are learned from; by the other third, which stays much the same as labels come in,
it is told whether that helped. What is learned is a log-linear model over the router's own probabilities, held near to
changing nothing: one maximum, found without chance. How near, and whether with a prior, is what does best on parts of
the first two thirds that were left out in turn.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.audit.labels import Label, right
from fleet.audit.significance import Paired
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Decision, MessageDecided
from fleet.llm.offline.choice import choose
from fleet.llm.offline.printed import Printed, read_printed
from fleet.llm.offline.tuning import Tuning

__all__ = ["LEAST_LABELS", "Lesson", "Tuned", "lessons", "newest_share", "tune"]

LEAST_LABELS = 30
_HELD_BACK = 3  # one of so many
_DOUBT = 20  # messages in favour of a prior of 0.3, as the router was trained with
_USUAL = 0.3
# How far from changing nothing, in standard deviations of what is expected: tried for weights, and for the sharpness.
_WIDTHS, _SHARP_WIDTH = (0.1, 0.3, 1.0), 0.3
_FOLDS = 3
_STEPS, _FLAT = 100, 1e-4
_LEAST = 1e-6  # probability

Place = tuple[int | None, str | None]  # a printed thread, or the agent of a new one
Odds = list[tuple[Place, float]]
Row = tuple[Odds, Place | None]  # a lesson's choices by probability, and the right one


@dataclass(frozen=True)
class Lesson:
    """A labelled decision: what was printed, what would have been right, and whether the decision was."""

    message_id: str
    printed: Printed
    wanted: Place | None  # None where the right thread was not printed
    was_right: bool


@dataclass(frozen=True)
class Tuned:
    """What was learned, and on what was held back: how often right, and how much doubt there was (log loss, nats)."""

    tuning: Tuning
    lessons: int
    were_right: int
    continued: int
    decided: int
    paired: Paired
    loss_before: float
    loss_after: float

    @property
    def helps(self) -> bool:
        """Whether it is right more often; or just as often, and knows better how sure it may be."""
        gained = self.paired.new_only - self.paired.old_only
        return gained > 0 or (gained == 0 and self.loss_after < self.loss_before - 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "labels": self.lessons,
            "decided_rightly_then": self.were_right,
            "learned_from": self.tuning.labels,
            "newest_thread": {"continued": self.continued, "of": self.decided},
            "tuning": self.tuning.model_dump(mode="json"),
            "id": self.tuning.id,
            "held_back": self.paired.as_dict() | {"loss_before": self.loss_before, "loss_after": self.loss_after},
            "helps": self.helps,
        }


def lessons(ledger: Ledger, labels: Mapping[str, Label]) -> list[Lesson]:
    """The labelled decisions that a router was asked about, with the transcripts on record."""
    found = []
    for label in labels.values():
        decision = _first(ledger.read_stream(f"message:{label.message_id}"))
        if decision is None or not decision.transcript:
            continue
        ids = [each.thread_id for each in decision.candidates]
        wanted: Place | None = (None, label.agent)
        if label.thread_id:
            wanted = (ids.index(label.thread_id), None) if label.thread_id in ids else None
        was_right = right(label, decision.outcome, decision.thread_id, decision.agent)
        printed = read_printed(ledger.blob(decision.transcript).decode())
        found.append(Lesson(label.message_id, printed, wanted, was_right))
    return found


def newest_share(ledger: Ledger, labels: Mapping[str, Label]) -> tuple[int, int]:
    """How many messages continued the newest thread, and of how many: those a router decided, where there was one.

    A label counts in the decision's place.
    """
    continued = decided = 0
    for stored in ledger.read(types=(MessageDecided.TYPE,)):
        event = stored.event
        if not isinstance(event, MessageDecided) or not event.decision.transcript or not event.decision.candidates:
            continue
        decision, label = event.decision, labels.get(event.message_id)
        chosen = label.thread_id if label else decision.thread_id if decision.outcome == "dispatch_to" else ""
        decided += 1
        continued += chosen == decision.candidates[0].thread_id
    return continued, decided


def tune(
    found: Sequence[Lesson], share: tuple[int, int], in_force: Tuning | None = None, prior: float | None = None
) -> Tuned:
    """What the lessons teach, held against the tuning in force. `prior`, where it is set, is not learned.

    `share` is as from `newest_share`. Raises: InputError for fewer lessons than LEAST_LABELS.
    """
    if len(found) < LEAST_LABELS:
        raise InputError(
            f"{len(found)} decisions of the router are labelled and tuning needs {LEAST_LABELS}, a third of them held "
            "back; say what would have been right with `fleet audit label`"
        )
    ordered = sorted(found, key=lambda each: hashlib.sha256(each.message_id.encode()).digest())
    held, learned = ordered[: len(ordered) // _HELD_BACK], ordered[len(ordered) // _HELD_BACK :]
    continued, decided = share
    tried: list[float | None] = [None]
    if prior is None and decided:
        tried.append(round((continued + _DOUBT * _USUAL) / (decided + _DOUBT), 4))
    tuning = _learn({own: _rows(learned, own if prior is None else prior) for own in tried})
    had = in_force or Tuning()
    before, after = (_judged(_rows(held, each.prior if prior is None else prior), each) for each in (had, tuning))
    return Tuned(
        tuning,
        len(found),
        sum(each.was_right for each in found),
        continued,
        decided,
        Paired.of((was[0], now[0]) for was, now in zip(before, after, strict=True)),
        sum(loss for _, loss in before) / len(held),
        sum(loss for _, loss in after) / len(held),
    )


def _first(stream: Sequence[Stored]) -> Decision | None:
    return next((each.event.decision for each in stream if isinstance(each.event, MessageDecided)), None)


def _rows(lessons: Sequence[Lesson], prior: float | None) -> list[Row]:
    return [
        ([((each.thread, each.agent), each.probability) for each in choose(lesson.printed, prior)], lesson.wanted)
        for lesson in lessons
    ]


def _judged(rows: Sequence[Row], tuning: Tuning) -> list[tuple[bool, float]]:
    """Whether the choice is right, and the log loss, a row."""
    judged = []
    for odds, wanted in rows:
        anew = tuning.weigh([(place[1], probability) for place, probability in odds])
        shares = {place: share for (place, _), share in zip(odds, anew, strict=True)}
        best = max(shares, key=lambda place: shares[place], default=None)
        share = shares.get(wanted, 0.0) if wanted else 0.0
        judged.append((best is not None and best == wanted, -math.log(max(share, _LEAST))))
    return judged


def _learn(rows: Mapping[float | None, Sequence[Row]]) -> Tuning:
    """The tuning from what is right most often, then least in doubt, on parts left out in turn; of rows by prior."""

    def tried(own: float | None, width: float) -> tuple[int, float]:
        judged: list[tuple[bool, float]] = []
        for fold in range(_FOLDS):
            rest = [row for at, row in enumerate(rows[own]) if at % _FOLDS != fold]
            judged += _judged(rows[own][fold::_FOLDS], _fit(rest, own, width))
        return sum(was_right for was_right, _ in judged), -sum(loss for _, loss in judged)

    own, width = max(((own, width) for own in rows for width in _WIDTHS), key=lambda each: tried(*each))
    return _fit(rows[own], own, width)


def _fit(rows: Sequence[Row], own: float | None, width: float) -> Tuning:
    """The tuning that makes the right choices likeliest, less what changes of this width cost."""
    asked: list[tuple[Odds, int]] = []
    for odds, wanted in rows:
        places = [place for place, _ in odds]
        if wanted in places:
            asked.append((odds, places.index(wanted)))
    roles = sorted({agent for odds, _ in asked for (_, agent), _ in odds if agent is not None})
    start = [1.0, 0.0, *[0.0] * len(roles)]
    sharpness, new, *added = (
        round(each, 4) for each in _climb(start, lambda point: _likelihood(asked, roles, point, width))
    )
    kept = {role: each for role, each in zip(roles, added, strict=True) if each}
    return Tuning(prior=own, sharpness=sharpness, new=new, agents=kept, labels=len(rows))


def _likelihood(
    asked: Sequence[tuple[Odds, int]], roles: Sequence[str], point: list[float], width: float
) -> tuple[float, list[float]]:
    """The penalised log likelihood at (sharpness, new, each role's), and its slope."""
    sharpness, new, *added = point
    number = {role: at for at, role in enumerate(roles, 2)}
    weighing = Tuning(sharpness=sharpness, new=new, agents=dict(zip(roles, added, strict=True)))
    total = -0.5 * ((sharpness - 1) / _SHARP_WIDTH) ** 2 - 0.5 * sum((each / width) ** 2 for each in point[1:])
    slope = [(1 - sharpness) / _SHARP_WIDTH**2, *(-each / width**2 for each in point[1:])]
    for odds, wanted in asked:
        shares = weighing.weigh([(place[1], probability) for place, probability in odds])
        total += math.log(max(shares[wanted], 1e-300))
        for at, ((_, agent), probability) in enumerate(odds):
            gap = (at == wanted) - shares[at]
            slope[0] += gap * math.log(max(probability, _LEAST))
            if agent is not None:
                slope[1] += gap
                slope[number[agent]] += gap
    return total, slope


def _climb(point: list[float], height: Callable[[list[float]], tuple[float, list[float]]]) -> list[float]:
    """The top of a concave function: up the slope, by steps that grow while they help and shrink where they do not."""
    best, slope = height(point)
    step = 0.01
    for _ in range(_STEPS):
        there = [max(0.05, point[0] + step * slope[0])]
        there += [each + step * up for each, up in zip(point[1:], slope[1:], strict=True)]
        reached, steepness = height(there)
        if reached > best:
            gained, point, best, slope, step = reached - best, there, reached, steepness, step * 1.5
            if gained < _FLAT:
                break
        else:
            step /= 2
            if step < 1e-9:
                break
    return point

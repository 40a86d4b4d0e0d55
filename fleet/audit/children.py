"""What the tasks that a turn handed to other agents have used, and those that these handed on."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.audit.explanation import Totals
from fleet.ledger.base import Ledger
from fleet.ledger.events import ModelAnswered, SubjobStarted

__all__ = ["used_by_children"]


def used_by_children(
    ledger: Ledger, user: str, children: Sequence[SubjobStarted], after: int
) -> tuple[Totals, tuple[str, ...]]:
    """The sum over the model calls of these child jobs and of all below them, and the models that were asked.

    The jobs were started after event `after`.
    """
    total, models = Totals(), dict[str, None]()
    if not children:
        return total, ()
    family = {each.job_id: None for each in children}
    for stored in ledger.read(after=after, types=(SubjobStarted.TYPE,), user=user):
        if isinstance(stored.event, SubjobStarted) and stored.event.parent in family:
            family[stored.event.job_id] = None
    for job_id in family:
        for stored in ledger.read_stream(f"job:{job_id}"):
            if isinstance(stored.event, ModelAnswered):
                total = total.plus(stored.event)
                models[stored.event.model] = None
    return total, tuple(models)

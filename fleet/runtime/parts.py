"""The parts of a running fleet, put together: inbox, turns and outbox around one loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.graph.living import LivingRoot
from fleet.ledger.base import Draft, Ledger
from fleet.routing.decider import Decider
from fleet.runtime.attempts import Attempts
from fleet.runtime.inbox import Inbox
from fleet.runtime.loop import Loop
from fleet.runtime.models import Models
from fleet.runtime.outbox import Outbox
from fleet.runtime.prewarm import Prewarm
from fleet.runtime.steps import Steps
from fleet.runtime.stretch import Stretches
from fleet.runtime.timer import Timer
from fleet.runtime.turns import Turns
from fleet.settings import Settings
from fleet.workers.budget import policies_of
from fleet.workers.partials import Partials
from fleet.workers.worker import Worker

__all__ = ["parts"]


def parts(
    catalog: Catalog,
    ledger: Ledger,
    root: LivingRoot,
    decider: Decider,
    models: Models | None,
    write: Callable[[Draft], Awaitable[Any]],
    catch_up: Callable[[], None],
    failed: Callable[[BaseException], None],
    waiting: set[str],
    settings: Settings,
    partials: Partials,
) -> Loop:
    """A loop with all that it sets going. `models` answer in the turns; without them there are none.

    `write` appends a draft and returns once it is applied; `catch_up` applies at once what other processes have put on
    record; `failed` is told what ends the fleet; `waiting` is kept to the ids of the messages that are accepted and not
    settled; `partials` hear the replies while they are written.
    """
    attempts = Attempts(root, write, settings, policies_of(catalog.app, settings), catalog.app.words)
    stretches = Stretches()
    loop = Loop(ledger, root, attempts, stretches, failed, settings)
    loop.inbox = Inbox(
        catalog, ledger, root, decider, attempts, stretches, write, loop.spawn, loop.later, waiting, settings
    )
    kinds = {role: record.kind for role, record in root.task_agents.items()}
    loop.outbox = Outbox(catalog.app, kinds, settings, write, loop.spawn, loop.rest, stretches)
    loop.steps = Steps(ledger, write)
    loop.timer = Timer(write, loop.spawn)
    if models is not None:
        record = stretches.recording(write)
        worker = Worker(catalog, models.of, models.recap_of, ledger, root, record, catch_up, settings, partials)
        step_us = round(settings.priority_step_s * 1e6)
        loop.turns = Turns(root, worker, attempts, stretches, loop.spawn, loop.later, settings.concurrency, step_us)
        loop.prewarm = Prewarm(catalog.app, ledger, write, loop.spawn, loop.turns.warm, settings)
    return loop

"""Running the real dispatcher (warmup, prompt, model, grammar) over labelled cases. No ledger, no graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from fleet.agents.agent import DialogAgent, MessageDispatcher
from fleet.agents.app import App
from fleet.agents.catalog import Catalog
from fleet.audit.cases import Case, facts_of_case
from fleet.audit.scoring import Outcome, judge
from fleet.errors import ModelError
from fleet.llm.base import Model
from fleet.prompting.prompts import default_prompt
from fleet.prompting.views import AgentView
from fleet.routing.decider import Decider
from fleet.settings import Settings
from fleet.version import __version__

__all__ = ["HOSTED_CALLS", "decider_for", "evaluate"]

HOSTED_CALLS = 8  # decisions at a time where a provider answers; an offline model takes this process's own time
_HOPELESS = 5  # so many cases without any answer from the start: the model cannot be had
_ALL_THREADS = 1_000  # more than a case has


def decider_for(
    offered: Mapping[str, AgentView], router: Model, fallback: Model, settings: Settings, prompt: str | None = None
) -> Decider:
    """The dispatcher of an application with these agents and the default warmup; `prompt` in place of the default one.

    Raises: ConfigError for a role that cannot be one, or a prompt that does not render.
    """
    app = App(
        name="eval",
        agents=[
            DialogAgent(role, description=view.description, capabilities=view.capabilities)
            for role, view in offered.items()
        ],
        dispatcher=MessageDispatcher(prompt=prompt),
    )
    catalog = Catalog(
        app,
        default_worker_prompt=default_prompt("worker"),
        default_dispatcher_prompt=default_prompt("dispatcher"),
    )
    return Decider(catalog, router, fallback, replace(settings, candidates=_ALL_THREADS), __version__)


async def evaluate(
    cases: Iterable[Case],
    offered: Mapping[str, AgentView],
    decider: Decider,
    *,
    concurrency: int = 1,
    done: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Decide every case; outcomes in the order of the cases. `done` is told of each as it comes.

    Raises: ModelError if none of the first few cases got any answer; InputError from `cases`.
    """
    outcomes: dict[int, Outcome] = {}
    left = iter(enumerate(cases))

    async def lane() -> None:
        for index, case in left:
            began = time.perf_counter_ns()
            decided = await decider.decide(facts_of_case(case, offered))
            outcome = judge(case, decided.decision, (time.perf_counter_ns() - began) // 1000)
            outcomes[index] = outcome
            if len(outcomes) == _HOPELESS and all(each.error for each in outcomes.values()):
                raise ModelError(f"the first {_HOPELESS} cases got no answer: {outcome.error}")
            if done is not None:
                done(outcome)

    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(concurrency):
                lanes.create_task(lane())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [outcomes[index] for index in sorted(outcomes)]

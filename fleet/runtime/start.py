"""start_fleet: run a dispatcher and its agents on push queues, until told to stop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet.agents.agent import Agent, MessageDispatcher
from fleet.agents.app import App
from fleet.errors import ConfigError
from fleet.llm.base import Model
from fleet.runtime.fleet import Fleet
from fleet.runtime.queue import PushQueue
from fleet.runtime.signals import stop_on_signals
from fleet.settings import Settings

__all__ = ["serve", "start_fleet", "start_fleet_async"]


def start_fleet(
    *,
    agents: Sequence[Agent | MessageDispatcher],
    push_queues: Sequence[PushQueue] = (),
    max_concurrency: int | None = None,
    **options: Any,
) -> None:
    """Run the fleet until SIGTERM or SIGINT; both drain. Arguments: see `start_fleet_async`."""
    asyncio.run(start_fleet_async(agents=agents, push_queues=push_queues, max_concurrency=max_concurrency, **options))


async def start_fleet_async(
    *,
    agents: Sequence[Agent | MessageDispatcher],
    push_queues: Sequence[PushQueue] = (),
    max_concurrency: int | None = None,
    home: Path | str | None = None,
    data: Path | str | None = None,
    name: str = "",
    settings: Settings | None = None,
    models: dict[str, Model] | None = None,
) -> None:
    """Run the fleet until SIGTERM, SIGINT or cancellation; all three drain.

    `agents` holds one MessageDispatcher and the agents that it routes to; `data` is the folder with prompts/, warmup/
    and examples_db/ (default: the folder of the module that defines the dispatcher, if it has one of them). `home` and
    `max_concurrency` win over `settings`, which are else read from the environment.
    Raises: ConfigError, HomeError, HomeBusyError, LedgerError, GraphError.
    """
    dispatchers = [each for each in agents if isinstance(each, MessageDispatcher)]
    if len(dispatchers) > 1:
        raise ConfigError(f"a fleet has one dispatcher; {len(dispatchers)} were given")
    dispatcher = dispatchers[0] if dispatchers else MessageDispatcher()
    workers = [each for each in agents if not isinstance(each, MessageDispatcher)]
    folder = Path(data) if data is not None else _folder_of(dispatcher)
    app = App(name=name or type(dispatcher).__qualname__, agents=workers, dispatcher=dispatcher, data=folder)
    given: dict[str, Any] = {"home": None if home is None else Path(home), "concurrency": max_concurrency}
    if settings is None:
        settings = Settings.load(**given)
    else:
        settings = replace(settings, **{key: value for key, value in given.items() if value is not None})
    async with Fleet(app, settings, models=models) as fleet:
        await serve(fleet, push_queues)


async def serve(fleet: Fleet, push_queues: Sequence[PushQueue] = ()) -> None:
    """Run an open fleet until a signal or its `stop`. Signals need the main thread; elsewhere cancel the task."""
    feeds = [asyncio.create_task(queue.serve(fleet)) for queue in push_queues]
    with stop_on_signals(fleet.stop):
        try:
            await fleet.run()
        finally:
            for feed in feeds:
                feed.cancel()
            await asyncio.gather(*feeds, return_exceptions=True)


def _folder_of(dispatcher: MessageDispatcher) -> Path | None:
    try:
        folder = Path(inspect.getfile(type(dispatcher))).resolve().parent
    except (TypeError, OSError):
        return None
    if type(dispatcher) is MessageDispatcher:
        return None
    return folder if any((folder / name).is_dir() for name in ("prompts", "warmup", "examples_db")) else None

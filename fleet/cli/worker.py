"""`fleet worker`: the process that routes and answers, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.agents.app import App
from fleet.cli.apps import app_for
from fleet.cli.options import app_option, home_option, load_settings, unchecked_option
from fleet.cli.traces import receiver
from fleet.runtime.fleet import Fleet
from fleet.runtime.hold import Held
from fleet.runtime.home import Home
from fleet.runtime.signals import stop_on_signals
from fleet.settings import Settings

if TYPE_CHECKING:
    from fleet.audit.live import LiveTraces
    from fleet.audit.otel import Receiver

__all__ = ["models_line", "worker"]

Listener = Callable[[Fleet], AbstractAsyncContextManager[str]]
_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@app_option
@click.option("--concurrency", type=click.IntRange(min=1), help="Messages and turns at the same time [50].")
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True)
@click.option("--http", default="", metavar="HOST:PORT", help="Serve the HTTP API here too; port 0 takes a free one.")
@click.option("--standby", is_flag=True, help="If another worker has the home, wait until it ends, then go on for it.")
@click.option(
    "--takeover", is_flag=True, help="If another worker has the home, go on for it now; it can write no more."
)
@unchecked_option
@home_option
def worker(
    app: str,
    concurrency: int | None,
    log_level: str,
    http: str,
    standby: bool,
    takeover: bool,
    unchecked: bool,
    home: Path | None,
) -> None:
    """Route and answer whatever reaches the home's inbox.

    A home has one worker at a time. A second one is refused, stands by for the end of the first, or takes over from one
    that hangs or is frozen: whenever that one wakes, its writes are refused and it ends with exit code 76.

    SIGTERM or SIGINT drains: nothing new begins, what runs ends and is recorded. A second signal ends it at once;
    nothing is lost then either, and the next start goes on from the last recorded step.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load_settings(home, concurrency=concurrency)
    if standby and takeover:
        raise click.UsageError("--standby waits for a worker and --takeover does not; choose one.")
    held: Held = "wait" if standby else "take over" if takeover else "refuse"
    collector = receiver(settings.otel_endpoint, "FLEET_OTEL_ENDPOINT") if settings.otel_endpoint else None
    listen = _listener(http, settings) if http else None
    asyncio.run(_serve(app_for(app, settings, check_warmup=not unchecked), settings, held, collector, listen))


def _listener(address: str, settings: Settings) -> Listener:
    """What serves the HTTP API of a fleet once it is open; keys and address are looked at now. Raises: ConfigError."""
    from fleet.web.grants import Issuer  # an extra
    from fleet.web.serve import address_of, listening

    issuer, (host, port) = Issuer(settings), address_of(address)
    return lambda fleet: listening(fleet, issuer, host, port)


async def _serve(app: App, settings: Settings, held: Held, collector: Receiver | None, listen: Listener | None) -> None:
    fleet = Fleet(app, settings, held=held)
    serving = asyncio.current_task()
    gave_up = False

    def stop() -> None:
        nonlocal gave_up
        fleet.stop()
        if fleet.standing_by and serving is not None:
            gave_up = True
            serving.cancel()

    with stop_on_signals(stop), ExitStack() as after:  # what is traced includes what draining does
        try:
            async with fleet:
                if collector is not None:
                    fleet.on(after.enter_context(closing(_traces(collector, settings))))
                gc.collect()
                gc.freeze()  # a full collection over all that a start makes holds the event loop up for 100 ms
                on = f"{settings.home} with {models_line(fleet)}"
                click.echo(f"fleet: serving {app.path} on {on}; pid {os.getpid()}", err=True)
                async with AsyncExitStack() as serving_http:
                    if listen is not None:
                        url = await serving_http.enter_async_context(listen(fleet))
                        click.echo(f"fleet: HTTP API on {url}", err=True)
                    await fleet.run()
        except asyncio.CancelledError:
            if not gave_up:
                raise


def _traces(collector: Receiver, settings: Settings) -> LiveTraces:
    from fleet.audit.live import LiveTraces  # an extra

    return LiveTraces(collector, Home(settings.home).read_ledger)


def models_line(fleet: Fleet) -> str:
    """Which models are in force, for people: the router's, and each worker's once."""
    names = dict(fleet.models.names)
    router = names.pop("router")
    names.pop("fallback")
    router = "gates alone" if router == "none" else router
    return f"{router} routing and {', '.join(dict.fromkeys(names.values()))} answering"

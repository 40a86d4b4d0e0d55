"""`fleet worker`: the process that routes and answers, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.agents.app import App
from fleet.cli.apps import app_for
from fleet.cli.options import app_option, home_option, load_settings, unchecked_option
from fleet.cli.traces import receiver
from fleet.log import log
from fleet.runtime.fleet import Fleet
from fleet.runtime.home import Home
from fleet.settings import Settings

if TYPE_CHECKING:
    from fleet.audit.live import LiveTraces
    from fleet.audit.otel import Receiver

__all__ = ["models_line", "worker"]

_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@app_option
@click.option("--concurrency", type=click.IntRange(min=1), help="Messages and turns at the same time [50].")
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True)
@unchecked_option
@home_option
def worker(app: str, concurrency: int | None, log_level: str, unchecked: bool, home: Path | None) -> None:
    """Route and answer whatever reaches the home's inbox.

    SIGTERM or SIGINT drains: nothing new begins, what runs ends and is recorded. A second signal ends it at once;
    nothing is lost then either, and the next start goes on from the last recorded step.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load_settings(home, concurrency=concurrency)
    collector = receiver(settings.otel_endpoint, "FLEET_OTEL_ENDPOINT") if settings.otel_endpoint else None
    asyncio.run(_serve(app_for(app, settings, check_warmup=not unchecked), settings, collector))


async def _serve(app: App, settings: Settings, collector: Receiver | None) -> None:
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        log("worker.signal", signal=signal.Signals(number).name, again=stop.is_set())
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, on_signal, each)
    with ExitStack() as after:  # what is traced includes what draining does
        async with Fleet(app, settings) as fleet:
            if collector is not None:
                fleet.on(after.enter_context(closing(_traces(collector, settings))))
            click.echo(
                f"fleet: serving {app.path} on {settings.home} with {models_line(fleet)}; pid {os.getpid()}", err=True
            )
            stopping = asyncio.create_task(stop.wait())
            stopping.add_done_callback(lambda _: fleet.stop())
            await fleet.run()
            stopping.cancel()


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

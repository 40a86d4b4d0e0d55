"""Which application a command means."""

from __future__ import annotations

from fleet.agents.app import App, import_app
from fleet.cli.dry_run import refuse_broken_warmup
from fleet.cli.options import DEMO_APP
from fleet.errors import HomeError
from fleet.ledger.events import FleetStarted
from fleet.runtime.home import Home
from fleet.runtime.load import load_catalog
from fleet.settings import Settings

__all__ = ["app_for", "last_started"]


def app_for(given: str, settings: Settings, *, check_warmup: bool = True) -> App:
    """The application that was given, else the one that last ran on the home, else the demo.

    A home keeps its application: another one would retire its agents. With `check_warmup` one whose warmup raises is
    refused here, before anything is opened.
    Raises: ConfigError if it cannot be imported or its parts do not fit; WarmupError; LedgerError.
    """
    started = None if given else last_started(settings)
    app = import_app(given or (started.path if started else "") or DEMO_APP)
    if check_warmup:
        refuse_broken_warmup(load_catalog(app))
    return app


def last_started(settings: Settings) -> FleetStarted | None:
    """How the home was opened last by a worker; None for a new one. Raises: LedgerError."""
    try:
        with Home(settings.home).read_ledger() as ledger:
            for stored in ledger.read(types=(FleetStarted.TYPE,), newest_first=True, limit=1):
                if isinstance(stored.event, FleetStarted):
                    return stored.event
    except HomeError:  # a new home; one that cannot be read says so when it is opened
        pass
    return None

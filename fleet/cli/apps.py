"""Which application a command means."""

from __future__ import annotations

from fleet.agents.app import App, import_app
from fleet.cli.options import DEMO_APP
from fleet.errors import HomeError
from fleet.runtime.home import Home
from fleet.runtime.verify import app_of
from fleet.settings import Settings

__all__ = ["app_for"]


def app_for(given: str, settings: Settings) -> App:
    """The application that was given, else the one that last ran on the home, else the demo.

    A home keeps its application: another one would retire its agents.
    Raises: ConfigError if it cannot be imported; LedgerError.
    """
    return import_app(given or _recorded(settings) or DEMO_APP)


def _recorded(settings: Settings) -> str:
    try:
        with Home(settings.home).read_ledger() as ledger:
            return app_of(ledger)
    except HomeError:  # a new home; one that cannot be read says so when it is opened
        return ""

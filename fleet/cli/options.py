"""Options that commands share, and the settings that they amount to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fleet.settings import Settings

__all__ = ["DEMO_APP", "app_option", "home_option", "json_option", "load_settings", "redact_option", "unchecked_option"]

F = TypeVar("F", bound=Callable[..., Any])

DEMO_APP = "fleet.demo:app"


def _home(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """The command's own --home, else the one given before the command's name."""
    given: Path | None = ctx.find_root().params.get("home")
    return value if value is not None else given


def home_option(fn: F) -> F:
    """`--home DIR` as the parameter `home`: a Path, or None for what the settings say."""
    option: Callable[[F], F] = click.option(
        "--home",
        type=click.Path(path_type=Path),
        callback=_home,
        help="The folder with the ledger and the graph [.fleet, or FLEET_HOME].",
    )
    return option(fn)


def app_option(fn: F) -> F:
    """`--app MODULE:ATTR` as the parameter `app`: a str, "" if it was not given."""
    option: Callable[[F], F] = click.option(
        "--app", metavar="MODULE:ATTR", default="", help=f"The application [the home's own, else {DEMO_APP}]."
    )
    return option(fn)


def unchecked_option(fn: F) -> F:
    """`--no-warmup-check` as the parameter `unchecked`."""
    option: Callable[[F], F] = click.option(
        "--no-warmup-check", "unchecked", is_flag=True, help="Start even if warmup code raises on a made-up message."
    )
    return option(fn)


def json_option(fn: F) -> F:
    """`--json` as the parameter `as_json`."""
    option: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
    return option(fn)


def redact_option(fn: F) -> F:
    """`--redact` as the parameter `redact`."""
    option: Callable[[F], F] = click.option(
        "--redact", is_flag=True, help="Take names, e-mail, phone and card numbers out of free text."
    )
    return option(fn)


def load_settings(home: Path | None, **given: Any) -> Settings:
    """The settings of the environment, with what the command line gave over them; log lines are as they say."""
    settings = Settings.load(home=home, **given)
    if settings.prices:
        from fleet.llm.price_file import use_prices  # most do without

        use_prices(settings.prices)
    if settings.log_redact:
        from fleet.audit.redacted import redact_logs  # its rules take time to compile

        redact_logs()
    return settings

"""Loading an application: its declarations joined with its files."""

from __future__ import annotations

from fleet.agents.app import App
from fleet.agents.catalog import Catalog
from fleet.prompting.examples import examples_of
from fleet.prompting.prompts import default_prompt, render_prompt
from fleet.prompting.warmup import compile_warmup

__all__ = ["load_catalog"]


def load_catalog(app: App) -> Catalog:
    """The application joined with its files: warmup code compiled, prompts rendered and examples read once.

    Raises: ConfigError or WarmupError in one line for what does not fit together.
    """
    catalog = Catalog(
        app,
        default_worker_prompt=default_prompt("worker"),
        default_dispatcher_prompt=default_prompt("dispatcher"),
    )
    for found in (catalog.dispatcher, *catalog.roles.values()):
        compile_warmup(found.warmup)
        render_prompt(found, catalog)
        examples_of(found)
    return catalog

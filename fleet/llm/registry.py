"""From a model's name to the model: `provider:rest`, as in settings and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import ConfigError
from fleet.llm.anthropic import AnthropicModel
from fleet.llm.base import Model, Purpose
from fleet.llm.cassette import CassetteModel
from fleet.settings import Settings

if TYPE_CHECKING:
    from fleet.llm.offline.router import OfflineRouter

__all__ = ["FAST_MODEL", "default_model", "resolve_model"]

# The newest fast model that the SDK names (2.11, of October 2026).
FAST_MODEL = "anthropic:claude-haiku-5-5"

_FORMS = (
    "anthropic:NAME, offline:router, offline:worker, offline:recap, offline-first, offline-first:MODEL, cassette:PATH"
)


def resolve_model(name: str, settings: Settings) -> Model:
    """The model of this name, ready to be asked; whoever resolves it closes it.

    Raises: ConfigError for a name of another form, an anthropic model without a key, a cassette or the home's tuning of
    the router that cannot be read.
    """
    provider, _, rest = name.partition(":")
    if provider == "anthropic" and rest:
        if not settings.anthropic_api_key:
            raise ConfigError(
                f"{name} needs a key: set ANTHROPIC_API_KEY, or use offline:router and offline:worker without one"
            )
        return AnthropicModel(
            rest,
            api_key=settings.anthropic_api_key,
            base_url=settings.anthropic_base_url,
            retries=settings.model_retries,
        )
    if provider == "cassette" and rest:
        return CassetteModel(rest)
    # The offline models bring their vocabularies; who uses Claude does not load them.
    if name == "offline:router":
        return _offline_router(settings)
    if provider == "offline-first":
        from fleet.llm.offline.first import OfflineFirst

        model = resolve_model(rest or FAST_MODEL, settings)
        return OfflineFirst(_offline_router(settings), model, settings.router_sure)
    if name == "offline:worker":
        from fleet.llm.offline.worker import OfflineWorker

        return OfflineWorker()
    if name == "offline:recap":
        from fleet.llm.offline.recap import OfflineRecap

        return OfflineRecap()
    raise ConfigError(f"there is no model {name!r}; a model is one of {_FORMS}")


def _offline_router(settings: Settings) -> OfflineRouter:
    from fleet.llm.offline.router import OfflineRouter
    from fleet.llm.offline.tuning import read_tuning

    return OfflineRouter(settings.router_prior or None, read_tuning(settings.home))


def default_model(purpose: Purpose, settings: Settings) -> str:
    """The name of the model for routing or for work: as set, else Claude with a key, else the offline one."""
    chosen = settings.router_model if purpose == "route" else settings.worker_model
    if chosen:
        return chosen
    if settings.anthropic_api_key:
        return FAST_MODEL
    return "offline:router" if purpose == "route" else "offline:worker"

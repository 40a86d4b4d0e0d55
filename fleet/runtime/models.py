"""The models of one running fleet: resolved by name, each once, closed together."""

from __future__ import annotations

from fleet.agents.agent import Agent
from fleet.agents.app import App
from fleet.llm.base import Model
from fleet.llm.price_file import use_prices
from fleet.llm.registry import default_model, resolve_model
from fleet.settings import Settings

__all__ = ["Models"]


class Models:
    """Every model that an application's roles name. All are resolved when it is built, so a wrong name shows at start.

    `router` is None where gates alone route. `given` maps names to ready models; it wins over the registry (tests and
    benchmarks bring their own).
    Raises: ConfigError.
    """

    def __init__(self, app: App, settings: Settings, given: dict[str, Model] | None = None) -> None:
        use_prices(settings.prices)
        self._models: dict[str, Model] = dict(given or {})
        self._settings = settings
        router = app.dispatcher.model or default_model("route", settings)
        self._worker = default_model("work", settings)
        self.router = None if router == "none" else self._get(router)
        self.fallback = None if "none" in (router, settings.fallback_model) else self._get(settings.fallback_model)
        self._by_role = {role: self._get(agent.model or self._worker) for role, agent in app.agents.items()}
        self._recap = self._get(settings.compact_model) if settings.compact_model not in ("", "none") else None
        self._offline_recap = self._get("offline:recap") if not settings.compact_model else None

    def _get(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = resolve_model(name, self._settings)
        return self._models[name]

    def of(self, agent: Agent) -> Model:
        """The model that answers for an agent."""
        return self._by_role[agent.role]

    def recap_of(self, agent: Agent) -> Model | None:
        """The model that puts an agent's long conversations in short: the one set, else its own; None for nobody."""
        if self._recap is not None or self._offline_recap is None:
            return self._recap
        own = self._by_role[agent.role]
        return self._offline_recap if own.name.startswith("offline:") else own

    @property
    def names(self) -> dict[str, str]:
        """What is in force: router and fallback ("none" where no model is asked), and each role's model."""
        asked = {"router": self.router, "fallback": self.fallback}
        return {rung: model.name if model else "none" for rung, model in asked.items()} | {
            role: model.name for role, model in self._by_role.items()
        }

    async def aclose(self) -> None:
        """Let go of every connection."""
        for model in self._models.values():
            await model.aclose()

"""`offline-first`: the router without a key decides what it is sure of; another model is asked about the rest."""

from __future__ import annotations

from dataclasses import replace

from fleet.llm.base import Answer, Model, Request
from fleet.llm.offline.router import OfflineRouter

__all__ = ["OfflineFirst"]


class OfflineFirst:
    """Asks `router`, and `model` only where the router is sure to less than `sure` (0 to 1).

    What the router thought stays on record with the other model's answer, as `first` in `extra`.
    """

    def __init__(self, router: OfflineRouter, model: Model, sure: float) -> None:
        self._router, self._model, self._sure = router, model, sure

    @property
    def name(self) -> str:
        """`offline-first:` and the name of the model that is asked about the rest."""
        return f"offline-first:{self._model.name}"

    async def complete(self, request: Request) -> Answer:
        """Answer one request; a corrective retry is the model's. Raises: what the model raises."""
        first = await self._router.complete(request)
        if len(request.messages) == 1 and first.extra["confidence"] >= self._sure:
            return first
        answer = await self._model.complete(request)
        return replace(answer, extra={**answer.extra, "first": dict(first.extra)})

    async def aclose(self) -> None:
        """Let go of the model's connections."""
        await self._model.aclose()

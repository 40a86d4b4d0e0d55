"""Claude on loopback: a key, a request, and a call that is meant to fail."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.errors import ModelError
from fleet.llm.base import Model, Request

KEY = "sk-ant-loopback-5d1f0c9a7b3e"


def asking(words: str = "When?", **more: Any) -> Request:
    given = {"system": "Be brief.", "messages": ({"role": "user", "content": words},), "timeout_s": 10.0, **more}
    return Request(**given)


async def failure(model: Model, asked: Request | None = None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.complete(asked or asking())
    return caught.value

"""The trained judges as the file that the package ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lessons import Lessons
from net import Judge

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD
from fleet.llm.offline.weights import pack_weights

#: The largest whole number in a judge's own vectors, and in its table of pairs.
OWN_LEVELS, CROSS_LEVELS = 31, 15


def export(judges: Mapping[str, Judge], lessons: Lessons, known: int, about: Mapping[str, Any]) -> bytes:
    """The weights file: tables in few whole numbers, so that they compress well, layers in floats of 16 bits."""
    arrays: dict[str, np.ndarray] = {
        "entries": np.frombuffer("\n".join(lessons.entries).encode(), np.uint8),
        "rarity": lessons.rarity,
        "vectors": lessons.rows,
        "strength": lessons.strength,
    }
    shapes: dict[str, dict[str, Any]] = {}
    for name, judge in judges.items():
        state = {key: each.detach().numpy().astype(np.float32) for key, each in judge.state_dict().items()}
        shape = judge.shape
        shapes[name] = {"near": shape.near, "own": bool(shape.own), "pairs": list(judge.pair) if shape.pair else []}
        shapes[name]["crosses"] = 0.0
        if shape.own:
            words = state.pop("words")
            scales = np.maximum(np.abs(words).max(axis=1) / OWN_LEVELS, 1e-9).astype(np.float16)
            arrays[f"{name}.words"] = np.round(words / scales.astype(np.float32)[:, None]).astype(np.int8)
            arrays[f"{name}.words:scales"] = scales
        if shape.crosses:
            cross = state.pop("cross")
            scale = float(np.quantile(np.abs(cross), 0.9995)) / CROSS_LEVELS or 1.0
            arrays[f"{name}.cross"] = np.clip(np.round(cross / scale), -CROSS_LEVELS, CROSS_LEVELS).astype(np.int8)
            shapes[name]["crosses"] = scale
        for key, each in state.items():
            arrays[f"{name}.{key.removesuffix('.weight') if key.startswith('pair.') else key}"] = each.astype(
                np.float16
            )
    features = [len(MESSAGE), len(THREAD), len(AGENT)]
    return pack_weights({**about, "known": known, "features": features, "judges": shapes}, arrays)

"""The trained judges as the file that the package ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lessons import Lessons
from net import Judge

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD
from fleet.llm.offline.weights import pack_weights

#: The largest whole number in a judge's own vectors, in its table of pairs, and in its layers.
OWN_LEVELS, CROSS_LEVELS, LAYER_LEVELS = 31, 15, 127


def export(judges: Mapping[str, Judge], lessons: Lessons, known: int, about: Mapping[str, Any]) -> bytes:
    """The weights file: tables and layers in whole numbers, so that they compress well."""
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
            arrays.update(_whole(f"{name}.words", state.pop("words"), OWN_LEVELS))
        if shape.crosses:
            cross = state.pop("cross")
            scale = float(np.quantile(np.abs(cross), 0.9995)) / CROSS_LEVELS or 1.0
            arrays[f"{name}.cross"] = np.clip(np.round(cross / scale), -CROSS_LEVELS, CROSS_LEVELS).astype(np.int8)
            shapes[name]["crosses"] = scale
        for key, each in state.items():
            called = f"{name}.{key.removesuffix('.weight') if key.startswith('pair.') else key}"
            arrays.update(_whole(called, each, LAYER_LEVELS) if each.ndim == 2 else {called: each.astype(np.float16)})
    features = [len(MESSAGE), len(THREAD), len(AGENT)]
    return pack_weights({**about, "known": known, "features": features, "judges": shapes}, arrays)


def _whole(name: str, rows: np.ndarray, levels: int) -> dict[str, np.ndarray]:
    """The rows as whole numbers up to `levels`, and what each row is to be multiplied with."""
    scales = np.maximum(np.abs(rows).max(axis=1) / levels, 1e-6).astype(np.float16)
    whole = np.clip(np.round(rows / scales.astype(np.float32)[:, None]), -levels, levels)
    return {name: whole.astype(np.int8), f"{name}:scales": scales}

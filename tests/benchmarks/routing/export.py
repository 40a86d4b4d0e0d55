"""The trained network as the file that the package ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from net import Net

from fleet.llm.offline.features import AGENT, MESSAGE, THREAD
from fleet.llm.offline.weights import pack_weights

LAYERS = ("thread", "agent", "plain_thread", "plain_agent", "talk_thread", "talk_agent")


def export(
    net: Net, words: Sequence[str], rarity: Mapping[str, int], temperature: float, about: Mapping[str, Any]
) -> bytes:
    """The weights file. Word vectors and crosses become integers of 8 bits, the layers stay floats of 32."""
    state = {name: each.detach().numpy().astype(np.float32) for name, each in net.state_dict().items()}
    vectors = state["words"]
    scales = np.abs(vectors).max(axis=1) / 127
    small = np.round(vectors / np.maximum(scales, 1e-9)[:, None]).astype(np.int8)
    cross = state["cross"]
    cross_scale = float(np.quantile(np.abs(cross), 0.9995)) / 127 or 1.0
    arrays = {
        "words": "\n".join(words).encode(),
        "rarity": bytes(rarity[word] for word in words),
        "vectors": small.tobytes(),
        "vector_scales": scales.astype(np.float32).tobytes(),
        "cross": np.clip(np.round(cross / cross_scale), -127, 127).astype(np.int8).tobytes(),
    }
    shapes: dict[str, list[int]] = {}
    pairs = list(net.pair)
    layers = [(name, state[name]) for name in ("kinds", "plain_kinds")]
    layers += [(f"pair.{name}", state[f"pair.{name}.weight"]) for name in pairs]
    for name in LAYERS:
        layers += [
            (f"{name}_{each}", state[f"{name}_{each}"]) for each in ("in.weight", "in.bias", "out.weight", "out.bias")
        ]
    for name, each in layers:
        arrays[name], shapes[name] = each.tobytes(), list(each.shape)
    shared = len(MESSAGE) + len(state["pair.m0.weight"])
    head = {
        **about,
        "dim": vectors.shape[1],
        "in_crosses": net.known,
        "cross_scale": cross_scale,
        "temperature": temperature,
        "pairs": pairs,
        "shared": {"thread": shared, "agent": shared, **{name: len(MESSAGE) for name in LAYERS[2:]}},
        "features": [len(MESSAGE), len(THREAD), len(AGENT)],
        "shapes": shapes,
    }
    return pack_weights(head, arrays)

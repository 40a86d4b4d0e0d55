"""The router's weights: one file, read once. What it is made of and under which licence stands in its head."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Weights", "load_weights", "pack_weights", "unpack_weights"]

_FILE = "router.weights"
_MAGIC = b"fleet router 3\n"


@dataclass(frozen=True)
class Weights:
    """`head` says where the numbers come from; `arrays` holds them by name, as they are stored."""

    head: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def entries(self) -> list[str]:
        """The entries of the vocabulary, in order."""
        return self.arrays["entries"].tobytes().decode("utf-8").split("\n")

    def floats(self, name: str) -> NDArray[np.float32]:
        """An array by name, its rows times their scales where it has them."""
        found = self.arrays[name].astype(np.float32)
        scales = self.arrays.get(f"{name}:scales")
        return found if scales is None else found * scales.astype(np.float32)[:, None]


@cache
def load_weights() -> Weights:
    """The shipped weights; read once a process. About 40 ms."""
    return unpack_weights(resources.files("fleet.llm.offline").joinpath(_FILE).read_bytes())


def unpack_weights(packed: bytes) -> Weights:
    """What `pack_weights` made. Raises: ValueError for any other bytes."""
    if not packed.startswith(_MAGIC):
        raise ValueError("these are no weights of offline:router")
    head_line, _, body = packed.removeprefix(_MAGIC).partition(b"\n")
    head = json.loads(head_line)
    try:
        data = lzma.decompress(body)
    except lzma.LZMAError as error:
        raise ValueError(f"the weights of offline:router are cut or damaged: {error}") from error
    arrays, at = {}, 0
    for name, (kind, shape) in head["arrays"].items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(data, kind, count, at).reshape(shape)
        at += arrays[name].nbytes
    return Weights(head, arrays)


def pack_weights(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """One file: a line that names it, the head as a line of JSON, the arrays end to end, compressed."""
    kinds = {name: [each.dtype.newbyteorder("<").str, list(each.shape)] for name, each in arrays.items()}
    line = json.dumps({**head, "arrays": kinds}, ensure_ascii=True, sort_keys=False).encode()
    body = b"".join(each.astype(each.dtype.newbyteorder("<")).tobytes() for each in arrays.values())
    return _MAGIC + line + b"\n" + lzma.compress(body, preset=9 | lzma.PRESET_EXTREME)

"""The router's weights: one file, read once. What it is made of and under which licence stands in its head."""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

__all__ = ["Weights", "load_weights", "pack_weights"]

_FILE = "router.weights"
_MAGIC = b"fleet router 1\n"

Matrix = list[list[float]]


@dataclass(frozen=True)
class Weights:
    """`head` says where the numbers come from; `arrays` holds them by name, small integers with one scale a row."""

    head: Mapping[str, Any]
    arrays: Mapping[str, memoryview]

    @cached_property
    def words(self) -> dict[str, int]:
        """Known words and their numbers, from 0."""
        text = bytes(self.arrays["words"]).decode("utf-8")
        return {word: number for number, word in enumerate(text.split("\n"))}

    @cached_property
    def rarity(self) -> bytes:
        """How rare each known word is: 0 to 255."""
        return bytes(self.arrays["rarity"])

    def matrix(self, name: str) -> Matrix:
        """A layer's weights, a row for each output."""
        shape = self.head["shapes"][name]
        flat = array("f", bytes(self.arrays[name])).tolist()
        width = shape[1] if len(shape) == 2 else 1
        return [flat[at : at + width] for at in range(0, len(flat), width)]

    def vector(self, name: str) -> list[float]:
        """A layer's offsets, or one row of weights."""
        return array("f", bytes(self.arrays[name])).tolist()


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
    data, arrays, at = memoryview(zlib.decompress(body)), {}, 0
    for name, length in head["sizes"].items():
        arrays[name] = data[at : at + length]
        at += length
    return Weights(head, arrays)


def pack_weights(head: Mapping[str, Any], arrays: Mapping[str, bytes]) -> bytes:
    """One file: a line that names it, the head as a line of JSON, the arrays end to end, compressed."""
    whole = {**head, "sizes": {name: len(each) for name, each in arrays.items()}}
    line = json.dumps(whole, ensure_ascii=True, sort_keys=False).encode()
    return _MAGIC + line + b"\n" + zlib.compress(b"".join(arrays.values()), 9)

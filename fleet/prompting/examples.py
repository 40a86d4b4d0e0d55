"""Example files: a front-matter of `key: value` lines between two `---`, then the body that a worker is shown.

    ---
    name: Swap a shift
    request: Can I swap my Friday shift?
    ---
    User: Can I swap my Friday shift?
    Call: find_availability(day="Friday")
    …

The id is the number in the file's name. Ids are for ever: decisions on record name them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.agents.catalog import Definition, Text
from fleet.errors import ConfigError

__all__ = ["Example", "examples_of"]

_FRONT = re.compile(r"---\n(?P<front>.*?)\n---\n(?P<body>.*)\Z", re.S)


@dataclass(frozen=True)
class Example:
    """One example: its id, name, the request that it answers, every front-matter field, and its body."""

    id: int
    name: str
    request: str
    fields: Mapping[str, str]
    body: str


def examples_of(definition: Definition) -> dict[int, Example]:
    """The role's examples by id, in the order of the ids.

    Raises: ConfigError naming the file, for a front-matter that is missing, or without a name of one line.
    """
    return {number: _parse(number, text) for number, text in definition.examples.items()}


def _parse(number: int, text: Text) -> Example:
    match = _FRONT.match(text.body.replace("\r\n", "\n"))
    if match is None:
        raise ConfigError(f"{text.source}: an example begins with front-matter: ---, lines of `key: value`, ---")
    fields: dict[str, str] = {}
    for line in match["front"].splitlines():
        key, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise ConfigError(f"{text.source}: front-matter line {line!r} is no `key: value`")
        if line.strip():
            fields[key.strip()] = value.strip()
    name = fields.get("name", "")
    if not name or not name.isprintable():
        raise ConfigError(f"{text.source}: the front-matter needs a `name:` on one line")
    return Example(number, name, fields.get("request", ""), fields, match["body"].strip())

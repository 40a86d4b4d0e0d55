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

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.agents.catalog import Definition, Text
from fleet.errors import ConfigError, InputError

__all__ = ["Example", "add_example", "examples_of"]

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


def add_example(data: Path, role: str, text: str, *, least: int = 0) -> Path:
    """Put an example into the data folder, whole or not at all; gives the file.

    `text` is the whole file. Its number is the smallest from `least` on that is above those of all the role's files.
    Of two who add at once, each gets a number of its own.
    Raises: ConfigError for a text that is no example; InputError if the folder cannot be written.
    """
    name = _parse(least, Text("the new example", text)).name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "example"
    folder = data / "examples_db" / role
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{role}-", dir=folder.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            return _place(Path(temporary), folder, slug, least)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}; no example was added") from None


def _place(temporary: Path, folder: Path, slug: str, least: int) -> Path:
    """Give the file the next number. What holds a number while the file gets its name is a file `.ROLE-NUMBER`."""
    number = least
    while True:
        number = max([number, *(_number(each) + 1 for each in folder.iterdir())])
        held = folder.parent / f".{folder.name}-{number}"
        try:
            held.hardlink_to(temporary)
        except FileExistsError:
            number += 1
            continue
        try:
            if all(_number(each) < number for each in folder.iterdir()):
                return temporary.replace(folder / f"{number}-{slug}.md")
        finally:
            held.unlink()


def _number(path: Path) -> int:
    digits = path.name.partition("-")[0]
    return int(digits) if digits.isdecimal() else -1


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

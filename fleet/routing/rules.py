"""Channel rules: which agents an inbound channel or address is for, in a TOML file that may change while we run.

Rules are tried in the file's order, and the first that matches settles the message.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from fleet.errors import ConfigError
from fleet.ledger.base import Blob
from fleet.ledger.events import RulesChanged
from fleet.log import log
from fleet.prompting.views import MessageView

__all__ = ["Rule", "Rules", "read_rules"]

PerThread = Literal["caller", "session", "message"]
_LOOK_S = 1.0  # between two looks at the file
_FIELDS = {"name", "channel", "address", "agents", "thread", "metadata"}


@dataclass(frozen=True)
class Rule:
    """One rule. `channel` and `address` are patterns (* and ?); `address` is looked for in the message's metadata.

    `agents` all get the message, the first as its own, the others as dispatches. `thread` says what one thread is for:
    each caller, each session of a caller, or each message. `metadata` is the jobs'.
    """

    name: str
    agents: tuple[str, ...]
    channel: str = "*"
    address: str = "*"
    thread: PerThread = "caller"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, message: MessageView) -> bool:
        """Whether the message came by this rule's channel and address."""
        given = message.metadata.get("address")
        address = str.__str__(given) if isinstance(given, str) else ""
        return fnmatchcase(message.channel, self.channel) and fnmatchcase(address, self.address)


def read_rules(body: bytes, source: str, roles: Container[str]) -> tuple[Rule, ...]:
    """The rules in a TOML text. Raises: ConfigError in one line that names the rule."""
    try:
        given = tomllib.loads(body.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is not TOML: {error}") from None
    tables = given.pop("rule", [])
    if given or not isinstance(tables, list):
        raise ConfigError(f"{source} has {next(iter(given), 'rule')!r}; it holds [[rule]] tables and nothing else")
    found: dict[str, Rule] = {}
    for number, table in enumerate(tables, 1):
        rule = _rule(table, f"{source}, rule {number}", roles)
        if found.setdefault(rule.name, rule) is not rule:
            raise ConfigError(f"{source}: two rules are named {rule.name!r}")
    return tuple(found.values())


def _rule(table: Any, where: str, roles: Container[str]) -> Rule:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is no table; write [[rule]]")
    where = f"{where} ({table['name']})" if isinstance(table.get("name"), str) else where
    if unknown := sorted(set(table) - _FIELDS):
        raise ConfigError(f"{where} has no field {unknown[0]!r}; it takes {', '.join(sorted(_FIELDS))}")
    for name in ("name", "channel", "address"):
        value = table.get(name, "*" if name != "name" else "")
        if not isinstance(value, str) or not value or not value.isprintable():
            raise ConfigError(f"{where}: {name} is one printable line")
    agents = table.get("agents")
    if not isinstance(agents, list) or not agents or not all(isinstance(each, str) for each in agents):
        raise ConfigError(f'{where}: agents is a list of roles such as ["helper"]')
    for role in agents:
        if role not in roles:
            raise ConfigError(f"{where}: no agent {role!r} is declared")
    if len(set(agents)) < len(agents):
        raise ConfigError(f"{where}: an agent is named twice")
    if table.get("thread", "caller") not in get_args(PerThread):
        raise ConfigError(f"{where}: thread is {', '.join(get_args(PerThread))}, not {table['thread']!r}")
    metadata = table.get("metadata", {})
    try:
        metadata = json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError):
        metadata = None
    if not isinstance(metadata, dict):
        raise ConfigError(f"{where}: metadata is a table of texts and numbers")
    return Rule(**{**table, "agents": tuple(agents), "metadata": metadata})


class Rules:
    """The rules of one file, read again when it changes. A file that is wrong then changes nothing.

    `news` has what the ledger is to be told: that the rules are others now, or why a changed file was refused.
    Raises, when made: ConfigError for a file that cannot be read, or is wrong.
    """

    def __init__(self, path: Path, roles: Container[str]) -> None:
        self._path, self._roles = path, roles
        self.news: list[tuple[RulesChanged, Blob]] = []
        self._looked, self._stamp = time.monotonic(), self._state()
        self._rules = self._read()

    def match(self, message: MessageView) -> Rule | None:
        """The first rule that matches, by the file as it is now, give or take a second."""
        if time.monotonic() - self._looked >= _LOOK_S:
            self._look()
        return next((rule for rule in self._rules if rule.matches(message)), None)

    def _look(self) -> None:
        self._looked, stamp = time.monotonic(), self._state()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._rules = self._read()
        except ConfigError as error:
            log("rules.refused", level=logging.WARNING, file=str(self._path), error=error)
            self.news.append((RulesChanged(source=self._path.name, error=error.message), Blob.of("")))

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self) -> tuple[Rule, ...]:
        try:
            body = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"rules {self._path}: {error.strerror or error}") from None
        rules = read_rules(body, self._path.name, self._roles)
        changed = RulesChanged(
            source=self._path.name, rules=tuple(rule.name for rule in rules), file=hashlib.sha256(body).hexdigest()
        )
        self.news.append((changed, Blob.of(body)))
        return rules

"""Every agent joined with its files: what is in force, as texts and one hash per role.

The joins are by role: prompts/<role>.md, warmup/<role>.py (else warmup/worker.py),
examples_db/<role>/<number>-<name>.md.
What an agent declares in code wins over its files; what neither gives comes from the defaults below.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.agents.agent import Agent, AgentKind, MessageDispatcher
from fleet.agents.app import App
from fleet.errors import ConfigError

__all__ = ["Catalog", "Definition", "Text"]

_EXAMPLE_FILE = re.compile(r"(\d+)-[A-Za-z0-9][A-Za-z0-9_-]*\.md")

DEFAULT_WORKER_WARMUP = """\
print("Current UTC time:", now.isoformat(timespec="seconds"))
if timezone:
    print("The user's time:", local_now.isoformat(timespec="minutes"), timezone)
print("User:")
print(user)
print("Language:", language)
if "default_example_id" in globals():
    print("Selected example:")
    show_example(default_example_id)
if job.metadata:
    print("Job metadata:", job)
"""

DEFAULT_DISPATCHER_WARMUP = """\
print("Current UTC time:", now.isoformat(timespec="seconds"))
print("Incoming message:")
print(message)
print("User:")
print(message.sender)
print("Language:")
print(preferred_language_for(message.sender) or "en")
"""


@dataclass(frozen=True)
class Text:
    """A text in force, and where it comes from: a file's name within the data folder, or `<code>`, `<default>`."""

    source: str
    body: str


@dataclass(frozen=True)
class Definition:
    """One role as it is in force. `examples` maps an id to its file; `hash` covers everything that is declared."""

    role: str
    kind: AgentKind
    description: str
    capabilities: tuple[str, ...]
    prompt: Text
    warmup: Text
    examples: Mapping[int, Text]
    body: str
    agent: Agent | None

    @property
    def hash(self) -> str:
        """The sha256 of `body`, in hex: what the ledger's `agent.declared` names."""
        return hashlib.sha256(self.body.encode()).hexdigest()


class Catalog:
    """The application's definitions by role, and its dispatcher's.

    Raises: ConfigError for a data folder that is missing, a file that is not UTF-8, or an example file whose name is
    not <number>-<name>.md, or whose number another one has.
    """

    def __init__(self, app: App, *, default_worker_prompt: str, default_dispatcher_prompt: str) -> None:
        self.app = app
        if app.data is not None and not app.data.is_dir():
            raise ConfigError(f"application {app.name}: there is no data folder {app.data}")
        self._data = app.data
        self.roles: dict[str, Definition] = {
            role: self._define(agent, Text("<default>", default_worker_prompt)) for role, agent in app.agents.items()
        }
        self.dispatcher = self._define_dispatcher(app.dispatcher, Text("<default>", default_dispatcher_prompt))

    def _define(self, agent: Agent, default: Text) -> Definition:
        prompt = _given(agent.prompt) or self._file(f"prompts/{agent.role}.md") or default
        warmup = (
            _given(agent.warmup)
            or self._file(f"warmup/{agent.role}.py")
            or self._file("warmup/worker.py")
            or Text("<default>", DEFAULT_WORKER_WARMUP)
        )
        examples = self._examples(agent.role)
        goal = re.search(r"^GOAL:[ \t]*(.+)$", prompt.body, re.M) if prompt is not default else None
        description = agent.description or (goal.group(1).strip() if goal else "")
        capabilities = agent.capabilities or tuple(each.description.split(". ")[0].rstrip(".") for each in agent.tools)
        body = _body(agent.role, agent.KIND, description, capabilities, prompt, warmup, examples, [
            {"name": each.name, "effect": each.effect, "schema": each.as_block()} for each in agent.tools
        ], agent.model, agent.dispatch, agent.may_dispatch)  # fmt: skip
        return Definition(agent.role, agent.KIND, description, capabilities, prompt, warmup, examples, body, agent)

    def _define_dispatcher(self, dispatcher: MessageDispatcher, default: Text) -> Definition:
        prompt = _given(dispatcher.prompt) or self._file("prompts/dispatcher.md") or default
        warmup = (
            _given(dispatcher.warmup)
            or self._file("warmup/dispatcher.py")
            or Text("<default>", DEFAULT_DISPATCHER_WARMUP)
        )
        body = _body("dispatcher", "dispatcher", "", (), prompt, warmup, {}, [], dispatcher.model)
        return Definition("dispatcher", "dispatcher", "", (), prompt, warmup, {}, body, None)

    def _file(self, name: str) -> Text | None:
        path = self._data / name if self._data else None
        return Text(name, _read(path)) if path and path.is_file() else None

    def _examples(self, role: str) -> dict[int, Text]:
        folder = self._data / "examples_db" / role if self._data else None
        found: dict[int, Text] = {}
        for path in sorted(folder.iterdir()) if folder and folder.is_dir() else ():
            match = _EXAMPLE_FILE.fullmatch(path.name)
            if match is None:
                raise ConfigError(f"{path}: an example file is named <number>-<name>.md")
            number = int(match.group(1))
            if number in found:
                raise ConfigError(f"{path}: {found[number].source} has the number {number} too; numbers are unique")
            found[number] = Text(f"examples_db/{role}/{path.name}", _read(path))
        return dict(sorted(found.items()))


def _given(body: str | None) -> Text | None:
    return None if body is None else Text("<code>", body)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None


def _body(
    role: str,
    kind: str,
    description: str,
    capabilities: tuple[str, ...],
    prompt: Text,
    warmup: Text,
    examples: Mapping[int, Text],
    tools: list[dict[str, Any]],
    model: str,
    dispatch: str = "auto",
    may_dispatch: tuple[str, ...] = (),
) -> str:
    """The definition as canonical JSON: what is hashed, and what the ledger keeps as a blob."""
    declared = {
        "role": role,
        "kind": kind,
        "description": description,
        "capabilities": capabilities,
        "prompt": prompt.body,
        "warmup": warmup.body,
        "examples": {str(number): text.body for number, text in examples.items()},
        "tools": tools,
        "model": model,
    }
    if dispatch != "auto":
        declared["dispatch"] = dispatch
    if may_dispatch:
        declared["may_dispatch"] = may_dispatch
    return json.dumps(declared, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

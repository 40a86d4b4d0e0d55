"""Read a dispatcher's printed request back into facts: the message, the agents, the threads.

The router sees exactly what a hosted model would see. User text is printed as one quoted line, so a line that looks
like a heading is one; whatever does not fit is left out, and nothing that was not printed can be named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["Printed", "PrintedAgent", "PrintedThread", "read_messages", "read_printed"]

_THREAD = re.compile(r"threads\[(0|[1-9][0-9]{0,5})\]:\s*$")
_AGENT = re.compile(r"- ([^\s:](?:[^:]*[^\s:])?):(?:\s+(.*))?$")
_EXAMPLE = re.compile(r"\s+example_id=(0|[1-9][0-9]{0,8}):\s?(.*)$")
_FIELD = re.compile(r"(agent|name|status|summary|latest_activity|last_assistant_message):(?:\s+(.*))?$")
_TOP = re.compile(r"(Current UTC time|Incoming message|User|Language|Available agents|Recent threads):(?:\s+(.*))?$")
_NONE = "No description"  # as an agent without one is printed


@dataclass(frozen=True)
class PrintedAgent:
    """One agent on offer. `examples` are `(example id, text)` as printed."""

    role: str
    description: str = ""
    capabilities: tuple[str, ...] = ()
    examples: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class PrintedThread:
    """One thread on offer, at `threads[index]`; `latest_activity` is aware UTC, or None when it was not readable."""

    index: int
    agent: str = ""
    name: str = ""
    status: str = ""
    summary: str = ""
    latest_activity: datetime | None = None
    last_assistant_message: str = ""


@dataclass(frozen=True)
class Printed:
    """Everything one routing decision may be made from."""

    message: str = ""
    now: datetime | None = None
    language: str = ""
    agents: tuple[PrintedAgent, ...] = ()
    threads: tuple[PrintedThread, ...] = ()


def read_messages(messages: Sequence[Mapping[str, Any]]) -> Printed:
    """Find the transcript in a request's messages: the last user message that holds an `Incoming message:` line.

    A corrective retry appends the bad answer and its verdict, so the transcript need not be the last message.
    """
    texts = [_text(message.get("content")) for message in messages if message.get("role") == "user"]
    for text in reversed(texts):
        if re.search(r"^(Incoming message|Available agents|Recent threads):", text, re.MULTILINE):
            return read_printed(text)
    return Printed(message=texts[-1] if texts else "")


def read_printed(transcript: str) -> Printed:
    """Read one transcript. Never raises: what cannot be read is left out."""
    reader = _Reader()
    for line in re.split(r"\r\n|\r|\n", transcript):
        reader.feed(line)
    return reader.result()


@dataclass
class _Reader:
    section: str = ""
    body: dict[str, list[str]] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    threads: dict[int, dict[str, str]] = field(default_factory=dict)
    agent: dict[str, Any] | None = None
    thread: dict[str, str] | None = None

    def feed(self, line: str) -> None:
        top = _TOP.match(line)
        if top:
            self.section, self.agent, self.thread = top[1], None, None
            if top[2]:
                self.body.setdefault(top[1], []).append(top[2])
        elif self.section == "Available agents":
            self._agent_line(line)
        elif self.section == "Recent threads":
            self._thread_line(line)
        elif self.section and line.strip():
            self.body.setdefault(self.section, []).append(line)

    def _agent_line(self, line: str) -> None:
        if head := _AGENT.match(line):
            said = _value(head[2])
            self.agent = {"description": "" if said == _NONE else said, "capabilities": (), "examples": {}}
            self.agents.setdefault(head[1], self.agent)
        elif self.agent is not None:
            if example := _EXAMPLE.match(line):
                self.agent["examples"].setdefault(int(example[1]), _value(example[2]))
            elif line.strip().startswith("capabilities:"):
                said = _value(line.strip().removeprefix("capabilities:"))
                self.agent["capabilities"] = tuple(part.strip() for part in said.split(";") if part.strip())

    def _thread_line(self, line: str) -> None:
        if head := _THREAD.match(line):
            self.thread = {}
            self.threads.setdefault(int(head[1]), self.thread)
        elif self.thread is not None and line.strip():
            if named := _FIELD.match(line):
                self.thread.setdefault(named[1], _value(named[2]))
            else:
                self.thread.setdefault("summary", _value(line))

    def result(self) -> Printed:
        def said(heading: str) -> str:
            return "\n".join(_value(line) for line in self.body.get(heading, ()))

        return Printed(
            message=said("Incoming message"),
            now=_time(said("Current UTC time")),
            language=said("Language").strip(),
            agents=tuple(
                PrintedAgent(role, each["description"], each["capabilities"], tuple(each["examples"].items()))
                for role, each in self.agents.items()
            ),
            threads=tuple(
                PrintedThread(
                    index,
                    each.get("agent", ""),
                    each.get("name", ""),
                    each.get("status", ""),
                    each.get("summary", ""),
                    _time(each.get("latest_activity", "")),
                    each.get("last_assistant_message", ""),
                )
                for index, each in sorted(self.threads.items())
            ),
        )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(str(block.get("text", "")) for block in content if block.get("type") == "text")
    return ""


def _value(raw: str | None) -> str:
    """One printed value: a quoted line is decoded, `None` is nothing, anything else is taken as it stands."""
    text = (raw or "").strip()
    if text.startswith('"'):
        try:
            decoded = json.loads(text)
        except ValueError:
            return text
        return decoded if isinstance(decoded, str) else text
    return "" if text == "None" else text


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

"""What warmup code sees: frozen views of the message, the user, threads and agents.

A view is a copy taken while reading; assigning to it does nothing to the graph. Texts that came from outside are
`Untrusted`: printed, they are one quoted line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet.clock import from_us
from fleet.graph.records import JobRecord, ThreadRecord
from fleet.ledger.events import Assignment, DispatchRequested, MessageAccepted
from fleet.prompting.quote import Untrusted, quote, quote_json

__all__ = ["AgentView", "JobView", "MessageView", "ThreadView", "UserView"]


@dataclass(frozen=True)
class UserView:
    """The sender. Printed: the quoted id. `language` is the last one that a thread of theirs was started in, or ""."""

    id: Untrusted
    language: str = ""

    def __str__(self) -> str:
        return quote(self.id)


@dataclass(frozen=True)
class MessageView:
    """One inbound message. Printed: its text as a quoted line. The texts in `metadata` are untrusted too.

    `dispatch` is the assignment of an explicit dispatch; `roles` are those that it may go to (none: all).
    """

    id: str
    sender: UserView
    text: Untrusted
    channel: str = ""
    session_id: str = ""
    language: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dispatch: Assignment | None = None
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        return quote(self.text)

    @classmethod
    def of(cls, message: MessageAccepted, language: str = "") -> MessageView:
        """The view of an accepted message; `language` is its user's last one."""
        return cls(
            message.message_id,
            UserView(Untrusted(message.user), language),
            Untrusted(message.text),
            message.channel,
            message.session_id,
            message.language,
            _inert(message.metadata),
            message.assignment if isinstance(message, DispatchRequested) else None,
            message.roles,
        )


@dataclass(frozen=True)
class JobView:
    """A worker's job. Printed: its metadata, what its newest dispatch gave it, as one line of inert JSON."""

    id: str
    agent: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return quote_json(self.metadata)

    @classmethod
    def of(cls, job: JobRecord) -> JobView:
        """The view of a job of the graph."""
        return cls(job.id, job.agent, _inert(json.loads(job.metadata)) if job.metadata else {})


@dataclass(frozen=True)
class ThreadView:
    """One of the sender's threads. Printed: its summary as a quoted line. Times are aware, in UTC.

    `status` is the last turn's result (success, blocked, need_input, failed), `working` while one runs.
    """

    id: str
    agent: str
    name: Untrusted
    language: str
    status: str
    summary: Untrusted
    latest_activity_at: datetime
    last_assistant_message: Untrusted

    def __str__(self) -> str:
        return quote(self.summary)

    @classmethod
    def of(cls, thread: ThreadRecord) -> ThreadView:
        """The view of a thread of the graph."""
        return cls(
            thread.id,
            thread.agent,
            Untrusted(thread.name),
            thread.language,
            thread.status,
            Untrusted(thread.summary),
            from_us(thread.latest_activity_at),
            Untrusted(thread.last_assistant_message),
        )


@dataclass(frozen=True)
class AgentView:
    """A specialist that may be chosen. `description` and `capabilities` are the application's own words."""

    role: str
    description: str
    capabilities: tuple[str, ...] = ()
    examples: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.role}: {self.description or 'No description'}"


def _inert(value: Any) -> Any:
    """JSON with every text in it untrusted."""
    if isinstance(value, str):
        return Untrusted(value)
    if isinstance(value, Mapping):
        return {Untrusted(key): _inert(each) for key, each in value.items()}
    return [_inert(each) for each in value] if isinstance(value, list) else value

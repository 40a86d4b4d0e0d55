"""Labelled cases: one routing decision a line, with its right answer.

    {"id", "now": ISO time, "message": text,
     "threads": newest first: [{"id", "agent", "summary", "latest_activity_at", "last_assistant_message"}],
     "agents": [role, …], "gold": {"action": "continue", "thread": i} or {"action": "new", "agent": role or null},
     "strata": [name, …], "language": optional}

The agents' file maps roles to description, capabilities and examples: `{"agents": {role: {…}}}`. A router is shown
`now`, `message`, `language`, `threads` and `agents`, and nothing else of a case.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from fleet.errors import InputError
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import AgentView, MessageView, ThreadView, UserView
from fleet.routing.facts import Facts

__all__ = ["CONVERSATION", "Case", "facts_of_case", "read_cases", "read_offered"]

CONVERSATION = "conversation"  # the one role on offer where a case names none
_AGENTS = "agents.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CaseThread(_Part):
    """A thread that was there to be continued."""

    id: str
    agent: str | None = None
    summary: str | None = None
    latest_activity_at: AwareDatetime
    last_assistant_message: str | None = None
    name: str = ""
    status: str = ""


class Gold(_Part):
    """The right answer. `thread` is an index; where `agent` is None, only the action counts."""

    action: Literal["continue", "new"]
    thread: int | None = None
    agent: str | None = None


class Case(_Part):
    """One case."""

    id: str
    now: AwareDatetime
    message: str
    threads: tuple[CaseThread, ...] = ()
    agents: tuple[str, ...] = ()
    gold: Gold
    strata: tuple[str, ...] = ()
    language: str = ""

    @model_validator(mode="after")
    def _gold_fits(self) -> Case:
        if self.gold.action == "continue" and not (
            self.gold.thread is not None and 0 <= self.gold.thread < len(self.threads)
        ):
            raise ValueError(f"gold.thread is {self.gold.thread} and there are {len(self.threads)} threads")
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles on offer."""
        return self.agents or (CONVERSATION,)


class _Offered(_Part):
    description: str = ""
    capabilities: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


_OFFERED = TypeAdapter(dict[str, _Offered])


def read_offered(cases: Path, given: Path | None) -> dict[str, AgentView]:
    """The agents by role, out of `given` or agents.json beside the cases; `conversation` is always among them.

    No agents.json beside the cases is no error: then a case may name no role. Raises: InputError.
    """
    path = given or cases.parent / _AGENTS
    views = {CONVERSATION: AgentView(CONVERSATION, "")}
    if given is None and not path.is_file():
        return views
    try:
        found = _OFFERED.validate_python(json.loads(_read(path)).get("agents"))
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}") from None
    except (ValueError, AttributeError) as error:
        raise InputError(f'{path}: not a JSON object with "agents": {error}') from None
    for role, each in found.items():
        examples = tuple((number, " ".join(text.split())) for number, text in enumerate(each.examples))
        capabilities = tuple(" ".join(text.split()) for text in each.capabilities)
        views[role] = AgentView(role, " ".join(each.description.split()), capabilities, examples)
    return views


def read_cases(path: Path, offered: Mapping[str, AgentView]) -> Iterator[Case]:
    """The cases of a .jsonl or .jsonl.gz file in order, one at a time; blank lines are skipped.

    Raises: InputError with the line's number for what is no case, or names an agent that is not in `offered`.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _case(line, f"{path}, line {number}", offered)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def facts_of_case(case: Case, offered: Mapping[str, AgentView]) -> Facts:
    """What the dispatcher's warmup can ask for, as if the case were happening."""
    threads = [
        ThreadView(
            each.id,
            each.agent or CONVERSATION,
            Untrusted(each.name),
            case.language,
            each.status,
            Untrusted(each.summary or ""),
            each.latest_activity_at.astimezone(UTC),
            Untrusted(each.last_assistant_message or ""),
        )
        for each in case.threads
    ]
    return Facts(
        MessageView(case.id, UserView(Untrusted("user")), Untrusted(case.message)),
        case.now.astimezone(UTC),
        {role: offered[role] for role in case.roles},
        lambda count: threads[:count],
        lambda user: case.language or None,
    )


def _case(line: bytes, where: str, offered: Mapping[str, AgentView]) -> Case:
    try:
        case = Case.model_validate_json(line.strip())
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}") from None
    for role in case.roles:
        if role not in offered:
            raise InputError(f"{where}: no agent {role!r} is described; name the agents' file with --agents")
    return case


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in a line."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ").replace(" at line 1 column ", " at column ")
    return f"{place}: {said}" if place else said

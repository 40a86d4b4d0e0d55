"""What is asked for with an explicit dispatch, out of the words of whoever asks: the same for Python, CLI and HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.errors import InputError
from fleet.ledger.events import Assignment

__all__ = ["MODES", "asked_for", "roles_of"]

MODES = ("queue", "sync", "handoff", "workflow", "ask_user")


def asked_for(agents: str | Sequence[str], mode: str, **fields: Any) -> Assignment:
    """The assignment to an agent, or in the mode `workflow` to several, one after the other.

    In the mode `ask_user` the user says where it goes, on in a thread or to a new one of these agents (none: of any).
    `fields` are the assignment's own. Raises: InputError for another mode, or agents that do not go with it.
    """
    if mode not in MODES:
        raise InputError(f"a dispatch's mode is {', '.join(MODES[:-1])} or {MODES[-1]}, not {mode!r}; nothing was sent")
    roles = (agents,) if isinstance(agents, str) else tuple(agents)
    if mode == "workflow":
        if not roles or not all(roles):
            raise InputError("a workflow names its agents, in their order; nothing was sent")
        return Assignment(**{**fields, "agent": roles[0], "new_thread": not fields.get("thread_id"), "workflow": roles})
    if mode == "ask_user":
        return Assignment(**{**fields, "ask": True, "among": tuple(filter(None, roles))})
    if len(roles) > 1:
        raise InputError("several agents are for a workflow, mode workflow, or for mode ask_user; nothing was sent")
    return Assignment(agent=roles[0] if roles else "", handoff=mode == "handoff", **fields)


def roles_of(asked: Assignment | None) -> tuple[str, ...]:
    """The roles that a dispatch names: the workflow's, those to ask about, or its agent's, if it names one."""
    if asked is None:
        return ()
    return asked.workflow or asked.among or ((asked.agent,) if asked.agent else ())

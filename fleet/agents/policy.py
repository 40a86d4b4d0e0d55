"""What a turn, a job and a user's day may cost: one object, for the fleet and for each agent."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from fleet.errors import ConfigError

__all__ = ["Policy"]


@dataclass(frozen=True)
class Policy:
    """Limits; None is no word on it: then the application's policy counts, then the setting of the same name.

    `max_steps` are model and tool steps in one turn. Times are seconds: one model call with its retries, one tool call
    (a tool's own `timeout_s` wins), one turn. `model_retries` is how often a provider's client tries a call again, 0
    for never; `max_attempts` how often a turn that ends in errors that nobody foresaw is tried, first after
    `retry_backoff_s`, then after twice as long each time. Budgets are tokens (input and output) and US dollars as the
    price table has them: of one turn, of a job in its life, of one user in a UTC day over all agents. What is reached
    ends the turn before its next model call, as failed, with a reply that says so. Of tasks handed to other agents,
    `turn_subjobs` is how many one turn may hand out, `subjob_depth` how often a task may be handed down; what a child
    uses counts for its parent's turn and job too, and a turn's time does not run while it waits for a child:
    `job_timeout_s` bounds what a turn takes with all that it waits for, and then ends it and them.
    `thread_reminders` is how many reminders of one thread may be open.
    Raises: ConfigError for a limit that is not above 0, or retries below.
    """

    max_steps: int | None = None
    model_timeout_s: float | None = None
    model_retries: int | None = None
    max_attempts: int | None = None
    retry_backoff_s: float | None = None
    tool_timeout_s: float | None = None
    turn_timeout_s: float | None = None
    job_timeout_s: float | None = None
    turn_tokens: int | None = None
    turn_usd: float | None = None
    job_tokens: int | None = None
    job_usd: float | None = None
    day_tokens: int | None = None
    day_usd: float | None = None
    subjob_depth: int | None = None
    turn_subjobs: int | None = None
    thread_reminders: int | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None or (each.name == "model_retries" and value == 0 and value is not False):
                continue
            whole = str(each.type).startswith("int")
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value > 0:
                kind = "whole number" if whole else "number"
                raise ConfigError(f"a policy's {each.name} is a {kind} above 0, not {value!r}")

    def over(self, other: Policy) -> Policy:
        """This policy, with the other's limits where it has none."""
        mine: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return Policy(**{name: getattr(other, name) if value is None else value for name, value in mine.items()})

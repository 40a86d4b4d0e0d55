"""Whether a turn may go on: its steps and time, and what it, its job, its user's day and its task have used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.agents.app import App
from fleet.agents.policy import Policy
from fleet.graph.records import DAY_US, JobRecord, UserRecord
from fleet.settings import Settings

__all__ = ["Breach", "breach_of", "late_of", "policies_of", "time_left_s", "wait_left_s"]


@dataclass(frozen=True)
class Breach:
    """A limit that is reached: the fixed words that the user is told, by their name, and why, for the record."""

    words: str
    reason: str


def policies_of(app: App, settings: Settings) -> Mapping[str, Policy]:
    """The policy in force for each role: the agent's own words, then the application's, then the settings'."""
    given = Policy(
        max_steps=settings.max_steps,
        model_timeout_s=settings.model_timeout_s,
        max_attempts=settings.max_attempts,
        retry_backoff_s=settings.retry_backoff_s,
        tool_timeout_s=settings.tool_timeout_s,
        turn_timeout_s=settings.turn_timeout_s,
        subjob_depth=settings.subjob_depth,
        turn_subjobs=settings.turn_subjobs,
        thread_reminders=settings.thread_reminders,
    )
    return {role: agent.policy.over(app.policy).over(given) for role, agent in app.agents.items()}


def breach_of(policy: Policy, job: JobRecord, user: UserRecord, now_us: int) -> Breach | None:
    """The first limit that the open turn has reached; None if it may ask its model once more."""
    if policy.max_steps is not None and job.turn_steps >= policy.max_steps:
        return Breach("too_long", f"no end after {job.turn_steps} steps")
    left = _left_s(policy.turn_timeout_s, job.turn_at, now_us)
    if left is not None and left <= 0:
        return Breach("too_long", f"no end after {policy.turn_timeout_s:g} s")
    if late := late_of(policy, job, now_us):
        return late
    today = user.day == now_us // DAY_US
    for what, tokens, spent, most_tokens, most_usd in (
        ("turn", job.turn_tokens, job.turn_spent, policy.turn_tokens, policy.turn_usd),
        ("conversation", job.tokens, job.spent, policy.job_tokens, policy.job_usd),
        (
            "day", user.day_tokens if today else 0, user.day_spent if today else 0, policy.day_tokens,
            policy.day_usd,
        ),
        (
            "task", job.tokens, job.spent, job.most_tokens or None,
            job.most_spent / 1_000_000 or None,
        ),
    ):  # fmt: skip
        words = f"used_up_{what}"
        if most_tokens is not None and tokens >= most_tokens:
            return Breach(words, f"budget of the {what}: {tokens} of {most_tokens} tokens are used")
        if most_usd is not None and spent >= round(most_usd * 1_000_000):
            return Breach(words, f"budget of the {what}: {spent / 1_000_000:.6f} of {most_usd:.6f} USD are spent")
    return None


def late_of(policy: Policy, job: JobRecord, now_us: int) -> Breach | None:
    """What there is to say if the open turn has taken too long with all that it waited for; None if it has not."""
    left = wait_left_s(policy, job, now_us)
    if left is None or left > 0:
        return None
    return Breach("too_long", f"no end after {policy.job_timeout_s:g} s, with all that it waited for")


def time_left_s(policy: Policy, job: JobRecord, now_us: int) -> float | None:
    """Seconds that the open turn has left for work of its own; None for no limit."""
    given = (_left_s(policy.turn_timeout_s, job.turn_at, now_us), wait_left_s(policy, job, now_us))
    return min((each for each in given if each is not None), default=None)


def wait_left_s(policy: Policy, job: JobRecord, now_us: int) -> float | None:
    """Seconds that the open turn has left for what it waits for; None for no limit."""
    return _left_s(policy.job_timeout_s, job.turn_began, now_us)


def _left_s(most_s: float | None, since_us: int, now_us: int) -> float | None:
    return None if most_s is None else most_s - (now_us - since_us) / 1_000_000

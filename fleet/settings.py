"""What can be set, in one table; the only reader of the environment.

A row is (name, default, unit, help). The environment variable is FLEET_ and the name in capitals, except where
`_ENV` says otherwise. Settings are frozen once read: a running fleet never changes its mind half-way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fleet.errors import ConfigError

__all__ = ["ROWS", "Row", "Settings"]


@dataclass(frozen=True)
class Row:
    """One setting: its name, default, unit ("" where it has none) and one line of help."""

    name: str
    default: Any
    unit: str
    help: str

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return _ENV.get(self.name, "FLEET_" + self.name.upper())


_ENV = {"anthropic_api_key": "ANTHROPIC_API_KEY", "anthropic_base_url": "ANTHROPIC_BASE_URL"}
_SECRET = frozenset({"anthropic_api_key", "token_secret"})
_MAY_BE_ZERO = frozenset(
    {"log_redact", "model_retries", "inbox_limit", "disk_reserve_mb", "router_prior", "ask_below", "burst_window_s"}
)
_AT_MOST_ONE = frozenset({"router_prior", "router_sure", "ask_below"})

ROWS = (
    Row("home", Path(".fleet"), "folder", "Holds the ledger and the graph; made with mode 0700."),
    Row(
        "router_model",
        "",
        "model",
        "Routes messages; empty: Claude with a key, else offline:router; offline-first:MODEL: both; none: nobody.",
    ),
    Row("worker_model", "", "model", "Answers in threads; empty: Claude with a key, else offline:worker."),
    Row("fallback_model", "offline:router", "model", "Decides when the router's answers are refused or it is down."),
    Row("anthropic_api_key", "", "secret", "Key for anthropic:* models."),
    Row("anthropic_base_url", "", "URL", "Another server that speaks the Messages API; empty: the provider's own."),
    Row(
        "router_prior",
        0.0,
        "share",
        "For offline:router: the share of messages that continue the newest thread; 0: not known.",
    ),
    Row("router_sure", 0.8, "probability", "For offline-first: what offline:router is less sure of goes to the model."),
    Row("ask_below", 0.0, "probability", "What the router is less sure of is asked of the user; 0: nobody is asked."),
    Row("ask_expiry_s", 600.0, "seconds", "How long the user may answer, before the router's first choice counts."),
    Row("concurrency", 50, "calls", "Model calls for routing at the same time, and as many turns."),
    Row("gate_timeout_s", 5.0, "seconds", "Longest wait for one asynchronous gate."),
    Row(
        "gate_failures",
        "stop",
        "",
        "A gate that raises or is late: stop (an error on record), or pass the message on.",
    ),
    Row("candidates", 5, "threads", "The sender's most recent threads that the router is shown."),
    Row("history", 40, "entries", "Entries of a thread's conversation that its worker is shown; older turns in short."),
    Row(
        "compact_tokens",
        24000,
        "tokens",
        "A conversation that is longer, at 4 characters a token, is put in short too.",
    ),
    Row("compact_model", "", "model", "Puts long conversations in short; empty: the agent's own; none: nobody."),
    Row("max_steps", 12, "steps", "Model and tool steps in one turn before it ends as failed."),
    Row("router_max_tokens", 2048, "tokens", "Room for a routing answer, thinking included."),
    Row("worker_max_tokens", 4096, "tokens", "Room for one answer of a worker, thinking included."),
    Row("model_timeout_s", 60.0, "seconds", "Longest wait for one model call, the client's own retries included."),
    Row("model_retries", 2, "retries", "How often the provider's client tries again after 408, 409, 429 and 5xx."),
    Row("prices", "", "file", "Your own prices of models, TOML or JSON, over the list prices; counted from then on."),
    Row("tool_timeout_s", 60.0, "seconds", "Longest run of one tool call."),
    Row("turn_timeout_s", 900.0, "seconds", "Longest turn; it ends before its next model call, as failed."),
    Row("subjob_depth", 3, "times", "How often a task may be handed down, from agent to agent."),
    Row("turn_subjobs", 10, "tasks", "What one turn may hand to other agents."),
    Row("thread_reminders", 20, "reminders", "Open reminders that one thread may have."),
    Row("confirm_s", 3600.0, "seconds", "How long a question about a tool call may be answered with yes."),
    Row("delivery_attempts", 1500, "attempts", "Tries to hand over a reply, a day's worth, before it is set aside."),
    Row("delivery_backoff_s", 1.0, "seconds", "Pause before the second try; doubles with each one after it…"),
    Row("delivery_backoff_max_s", 60.0, "seconds", "…up to this."),
    Row("max_message_bytes", 65536, "bytes", "Largest message that is accepted, as UTF-8."),
    Row("burst_window_s", 0.0, "seconds", "A user's messages within so long of each other are routed as one; 0: none."),
    Row("burst_most_s", 10.0, "seconds", "The first of such messages is routed after so long, whatever else comes."),
    Row(
        "priority_step_s",
        600.0,
        "seconds",
        "A message of priority 1 passes others that came up to so long before it.",
    ),
    Row(
        "max_attempts",
        3,
        "attempts",
        "Tries at a message that ends in unforeseen errors, before it is a dead letter.",
    ),
    Row("retry_backoff_s", 1.0, "seconds", "Pause before the second of these tries; doubles with each one after it."),
    Row("sweep_s", 30.0, "seconds", "How often the sweeper looks for what is stuck."),
    Row("stuck_s", 600.0, "seconds", "Without progress for so long, work is cut off and counts as a failed attempt."),
    Row("inbox_limit", 100_000, "messages", "Waiting to be routed, before more are refused for now; 0: no limit."),
    Row("disk_reserve_mb", 64, "MiB", "With less room on the disk no new message is accepted; 0: no reserve."),
    Row("checkpoint_events", 2000, "events", "The graph commits after so many applied events…"),
    Row("checkpoint_s", 5.0, "seconds", "…or after so long with something applied and not committed."),
    Row("compact_commits", 300, "commits", "After so many the graph is kept once more, and goes on in a fresh file."),
    Row("retention_days", 90.0, "days", "A thread in which so long nothing happened is moved by `fleet archive`."),
    Row("drain_s", 30.0, "seconds", "How long SIGTERM waits for the turns in flight."),
    Row("token_secret", "", "secret", "Signs and checks the HTTP API's tokens (HS256); 32 bytes or more."),
    Row("token_key", "", "file", "Or an Ed25519 key, PEM (EdDSA); a public one checks and does not sign."),
    Row("token_audience", "fleet", "", "The audience that tokens are for."),
    Row("otel_endpoint", "", "URL", "Collector that a worker sends traces to; empty: none. Needs the extra otel."),
    Row("log_redact", 0, "0 or 1", "1: log lines without names, e-mail addresses, phone and card numbers."),
)


@dataclass(frozen=True)
class Settings:
    """Every setting's value; `Settings.load()` reads the environment, keyword arguments win over it.

    Fields, defaults and units: `ROWS` (a test holds the two together).
    """

    home: Path = Path(".fleet")
    router_model: str = ""
    worker_model: str = ""
    fallback_model: str = "offline:router"
    anthropic_api_key: str = ""
    anthropic_base_url: str = ""
    router_prior: float = 0.0
    router_sure: float = 0.8
    ask_below: float = 0.0
    ask_expiry_s: float = 600.0
    concurrency: int = 50
    gate_timeout_s: float = 5.0
    gate_failures: str = "stop"
    candidates: int = 5
    history: int = 40
    compact_tokens: int = 24000
    compact_model: str = ""
    max_steps: int = 12
    router_max_tokens: int = 2048
    worker_max_tokens: int = 4096
    model_timeout_s: float = 60.0
    model_retries: int = 2
    prices: str = ""
    tool_timeout_s: float = 60.0
    turn_timeout_s: float = 900.0
    subjob_depth: int = 3
    turn_subjobs: int = 10
    thread_reminders: int = 20
    confirm_s: float = 3600.0
    delivery_attempts: int = 1500
    delivery_backoff_s: float = 1.0
    delivery_backoff_max_s: float = 60.0
    max_message_bytes: int = 65536
    burst_window_s: float = 0.0
    burst_most_s: float = 10.0
    priority_step_s: float = 600.0
    max_attempts: int = 3
    retry_backoff_s: float = 1.0
    sweep_s: float = 30.0
    stuck_s: float = 600.0
    inbox_limit: int = 100_000
    disk_reserve_mb: int = 64
    checkpoint_events: int = 2000
    checkpoint_s: float = 5.0
    compact_commits: int = 300
    retention_days: float = 90.0
    drain_s: float = 30.0
    token_secret: str = ""
    token_key: str = ""
    token_audience: str = "fleet"  # noqa: S105 - a name, no secret
    otel_endpoint: str = ""
    log_redact: int = 0

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings from `environ` (the process's by default), then `given`; None in `given` means not given.

        Raises: ConfigError for a value that is no number where one is needed, or is out of range.
        """
        env = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for row in ROWS:
            text = env.get(row.env, "")
            if text:
                values[row.name] = _convert(row, text)
        values.update({name: value for name, value in given.items() if value is not None})
        known = {row.name for row in ROWS}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"there is no setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        for row in ROWS:
            value = values.get(row.name)
            if not isinstance(row.default, (int, float)) or value is None:
                continue
            if row.name in _MAY_BE_ZERO and not value >= 0:
                raise ConfigError(f"{row.env} must be 0 or more ({row.unit}), not {value!r}")
            if row.name not in _MAY_BE_ZERO and not value > 0:
                raise ConfigError(f"{row.env} must be above 0 ({row.unit}), not {value!r}")
            if row.name in _AT_MOST_ONE and not value <= 1:
                raise ConfigError(f"{row.env} must be at most 1 ({row.unit}), not {value!r}")
        return cls(**values)

    def __repr__(self) -> str:
        shown = (f"{f.name}={'***' if f.name in _SECRET else repr(getattr(self, f.name))}" for f in fields(self))
        return f"Settings({', '.join(shown)})"


def _convert(row: Row, text: str) -> Any:
    kind = Path if isinstance(row.default, Path) else type(row.default)
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{row.env} must be a number ({row.unit}), not {text!r}") from None

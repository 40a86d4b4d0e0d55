"""Every error that fleet raises, and the exit code that the command line gives it.

    FleetError                      2
    ├── ConfigError                 2  settings, application, prompts, warmup or examples do not fit together
    ├── InputError                  2  something a person or caller passed in is refused; nothing was written
    ├── InboxFullError             75  as many messages wait as may; nothing was written, try again in `retry_after` s
    ├── ReceiverError              75  who should take an export cannot be reached; try again later
    ├── GrantError                  2  a token is missing, expired, for another audience, or not one of ours
    ├── HomeError                   2  the home folder cannot be used
    │   └── HomeBusyError           2  another worker holds the home
    ├── LedgerError                 2  the ledger cannot be read or written
    │   ├── LedgerUnavailableError 75  it cannot be written just now (disk full, locked): a later try may succeed
    │   ├── StaleWriteError         2  the stream moved on; this writer's view is old
    │   ├── TakenOverError         76  another worker took the home over; this one may write no more
    │   ├── UnstorableError         2  an event that cannot be stored as it is; others can
    │   └── TamperedError           1  the hash chain does not hold
    ├── GraphError                  2  the graph cannot be opened, or an event cannot be applied
    ├── ActionRejected              2  a routing answer that is no valid action
    ├── WarmupError                 2  warmup code raised
    ├── ToolError                   2  a tool failed; the model is told why
    └── ModelError                  2  a model call failed
        ├── ModelRefusedError       2  the provider refused the request (key, quota, arguments): a retry is useless
        ├── ModelUnavailableError   2  no answer in time, or the provider is down: a later try may succeed
        └── ModelAnswerError        2  an answer came and cannot be read

A docstring here is the error's default message, so every `raise` may be bare.
"""

from __future__ import annotations

__all__ = [
    "ActionRejected",
    "ConfigError",
    "FleetError",
    "GrantError",
    "GraphError",
    "HomeBusyError",
    "HomeError",
    "InboxFullError",
    "InputError",
    "LedgerError",
    "LedgerUnavailableError",
    "ModelAnswerError",
    "ModelError",
    "ModelRefusedError",
    "ModelUnavailableError",
    "ReceiverError",
    "StaleWriteError",
    "TakenOverError",
    "TamperedError",
    "ToolError",
    "UnstorableError",
    "WarmupError",
]


class FleetError(Exception):
    """fleet could not go on."""

    exit_code = 2

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class ConfigError(FleetError):
    """The application's parts do not fit together; run `fleet check`."""


class InputError(FleetError):
    """The input was refused and nothing was written."""


class InboxFullError(FleetError):
    """As many messages wait to be routed as may; nothing was written. Try again in `retry_after` seconds."""

    exit_code = 75

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[InboxFullError], tuple[str, int]]:
        return (type(self), (self.message, self.retry_after))


class ReceiverError(FleetError):
    """Who should take the export cannot be reached."""

    exit_code = 75


class GrantError(FleetError):
    """The token is missing, expired, for another audience, or not one of ours."""


class HomeError(FleetError):
    """The home folder cannot be used."""


class HomeBusyError(HomeError):
    """Another worker holds this home."""


class LedgerError(FleetError):
    """The ledger cannot be read or written."""


class LedgerUnavailableError(LedgerError):
    """The ledger cannot be written just now; nothing was written. Try again later."""

    exit_code = 75


class StaleWriteError(LedgerError):
    """The stream has moved on since it was read; nothing was written."""


class TakenOverError(LedgerError):
    """Another worker took this home over; nothing more was written here."""

    exit_code = 76


class UnstorableError(LedgerError):
    """This event cannot be stored; nothing was written."""


class TamperedError(LedgerError):
    """The ledger's hash chain does not hold."""

    exit_code = 1


class GraphError(FleetError):
    """The graph cannot be opened, or an event cannot be applied to it."""


class ActionRejected(FleetError):  # noqa: N818 - a verdict on an answer; its name is part of the public API
    """The routing answer holds no valid action.

    `code` is one of the verdicts of `fleet.sandbox.action`; `message` is the sentence that the model is told.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[ActionRejected], tuple[str, str]]:
        return (type(self), (self.code, self.message))


class WarmupError(FleetError):
    """Warmup code raised."""


class ToolError(FleetError):
    """The tool failed."""


class ModelError(FleetError):
    """The model call failed."""


class ModelRefusedError(ModelError):
    """The provider refused the request."""


class ModelUnavailableError(ModelError):
    """The model gave no answer in time."""


class ModelAnswerError(ModelError):
    """The model's answer cannot be read."""

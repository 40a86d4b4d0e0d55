"""Gates: application code that settles a message before any model."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fleet.errors import ConfigError

__all__ = ["DispatchAction", "DispatchResult", "Dispatcher", "Said", "ask_gates", "by_session", "chain", "keyed_thread"]


class DispatchAction(StrEnum):
    """What a gate does with a message.

    ROUTE: to the thread of `key`, started if there is none; CREATE_AGENT: to a new thread; DROP: nowhere, on record;
    ERROR: nowhere, on record as an error.
    """

    ROUTE = "ROUTE"
    CREATE_AGENT = "CREATE_AGENT"
    DROP = "DROP"
    ERROR = "ERROR"


@dataclass(frozen=True)
class DispatchResult:
    """A gate's word on one message.

    `key` names a thread of the sender's: the same key of the same sender is the same thread, two senders never share
    one. `agent` is the role of a thread that it starts; "" takes the default agent, or the first one declared.
    """

    key: str
    action: DispatchAction
    agent: str = ""
    reason: str = ""


class Dispatcher:
    """A gate with a name and a time limit, out of a function of one message, sync or async.

    The function returns a `DispatchResult`, or None to pass the message on to the next gate, and in the end to the
    routing model. One that has to wait for something must be async: a sync one holds every other message up. `name`
    (default: the function's) is what decisions say settled them; `timeout_s` wins over the setting gate_timeout_s.
    Raises: ConfigError for something that cannot be called, or a limit that is not above 0.
    """

    def __init__(self, fn: Callable[..., Any], *, name: str = "", timeout_s: float | None = None) -> None:
        if not callable(fn):
            raise ConfigError(f"a gate is a function of one message, not {type(fn).__name__}")
        if timeout_s is not None and not timeout_s > 0:
            raise ConfigError(f"a gate's timeout_s must be above 0, not {timeout_s!r}")
        called = getattr(fn, "__name__", type(fn).__name__)
        self.fn, self.name, self.timeout_s = fn, name or (called if called.isidentifier() else "gate"), timeout_s

    def __repr__(self) -> str:
        return f"Dispatcher({self.name})"

    async def ask(self, message: Any, timeout_s: float) -> DispatchResult | None:
        """What the function says about the message; None passes it on.

        Raises: ConfigError if it says anything else; TimeoutError after its limit; whatever the function raises.
        """
        said = self.fn(message)
        if inspect.isawaitable(said):
            limit = self.timeout_s or timeout_s
            try:
                async with asyncio.timeout(limit) as waiting:
                    said = await said
            except TimeoutError as error:
                if not waiting.expired():
                    raise
                raise TimeoutError(f"the gate {self.name} said nothing within {limit:g} s") from error
        if said is None:
            return None
        if isinstance(said, DispatchResult):
            if not all(isinstance(each, str) for each in (said.key, said.agent, said.reason)):
                raise ConfigError("a DispatchResult's key, agent and reason are str")
            key, agent, reason = (str.__str__(each) for each in (said.key, said.agent, said.reason))  # views' texts too
            return DispatchResult(key, DispatchAction(said.action), agent, reason)
        raise ConfigError(f"a gate returns a DispatchResult, or None to pass, not {type(said).__name__}")


def by_session(message: Any) -> DispatchResult | None:
    """The gate that an application without any has: to the thread of the message's session, where it names one."""
    if not message.session_id:
        return None
    return DispatchResult(message.session_id, DispatchAction.ROUTE, reason=f"session {message.session_id}")


def chain(given: Any) -> tuple[Dispatcher, ...]:
    """The gates that an application's `gate` names, in the order in which they are asked.

    Raises: ConfigError for what is no function, Dispatcher or sequence of them.
    """
    if isinstance(given, Dispatcher) or callable(given):
        given = (given,)
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise ConfigError(f"gate is a function, a Dispatcher or a list of them, not {type(given).__name__}")
    return tuple(each if isinstance(each, Dispatcher) else Dispatcher(each) for each in given)


@dataclass(frozen=True)
class Said:
    """What a chain of gates came to: the result of the first that did not pass, and its name.

    `trouble` holds the traceback of a gate that failed; with `result` None the message goes on all the same.
    """

    result: DispatchResult | None = None
    gate: str = ""
    trouble: str = ""


async def ask_gates(gates: Sequence[Dispatcher], message: Any, timeout_s: float, *, pass_failures: bool) -> Said:
    """Ask gate after gate until one settles the message. Never raises for what a gate did.

    A gate that raises or takes too long settles it as an ERROR; with `pass_failures` the next one is asked.
    """
    failed, trouble = "", ""
    for gate in gates:
        try:
            said = await gate.ask(message, timeout_s)
        # The application's own code may raise anything; the message is not lost for it.
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _being_cancelled():
                raise
            failed, trouble = gate.name, trouble + traceback.format_exc(limit=8)
            if not pass_failures:
                return Said(DispatchResult("", DispatchAction.ERROR, reason=trouble), gate.name, trouble)
            continue
        if said is not None:
            return Said(said, gate.name, trouble)
    return Said(None, failed, trouble)


def keyed_thread(user: str, key: str, agent: str = "") -> str:
    """What names the thread of a sender's key; with `agent`, of that agent."""
    return hashlib.sha256("\n".join(("key", user, agent, key)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

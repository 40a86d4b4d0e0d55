"""fleet: a durable runtime for fleets of LLM agents.

It routes each message of an endless stream to the thread that it continues, or starts a new thread with the right
specialist agent, lets that agent answer, and can say why a message went where it did.

The names here are the public API. They load when they are first used: `import fleet` alone imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fleet.version import __version__ as __version__

if TYPE_CHECKING:
    from fleet.agents.agent import Agent, DialogAgent, MessageDispatcher, SupervisedAgent, create_tool
    from fleet.agents.app import App
    from fleet.agents.context import AppEvent, ToolContext, reducer
    from fleet.agents.policy import Policy
    from fleet.agents.tool import tool
    from fleet.errors import FleetError, ToolError
    from fleet.graph.db import db0, memo
    from fleet.routing.gates import DispatchAction, Dispatcher, DispatchResult
    from fleet.runtime.fleet import Fleet
    from fleet.runtime.intake import Message
    from fleet.runtime.outbox import Reply
    from fleet.runtime.queue import PushQueue
    from fleet.runtime.start import start_fleet, start_fleet_async
    from fleet.settings import Settings

__all__ = [
    "Agent",
    "App",
    "AppEvent",
    "DialogAgent",
    "DispatchAction",
    "DispatchResult",
    "Dispatcher",
    "Fleet",
    "FleetError",
    "Message",
    "MessageDispatcher",
    "Policy",
    "PushQueue",
    "Reply",
    "Settings",
    "SupervisedAgent",
    "ToolContext",
    "ToolError",
    "create_tool",
    "db0",
    "memo",
    "reducer",
    "start_fleet",
    "start_fleet_async",
    "tool",
]

_HOMES = {
    "fleet.agents.agent": ("Agent", "DialogAgent", "MessageDispatcher", "SupervisedAgent", "create_tool"),
    "fleet.agents.app": ("App",),
    "fleet.agents.context": ("AppEvent", "ToolContext", "reducer"),
    "fleet.agents.policy": ("Policy",),
    "fleet.agents.tool": ("tool",),
    "fleet.errors": ("FleetError", "ToolError"),
    "fleet.graph.db": ("db0", "memo"),
    "fleet.routing.gates": ("DispatchAction", "DispatchResult", "Dispatcher"),
    "fleet.runtime.fleet": ("Fleet",),
    "fleet.runtime.intake": ("Message",),
    "fleet.runtime.outbox": ("Reply",),
    "fleet.runtime.queue": ("PushQueue",),
    "fleet.runtime.start": ("start_fleet", "start_fleet_async"),
    "fleet.settings": ("Settings",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'fleet' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

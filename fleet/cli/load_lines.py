"""A worker's load for people."""

from __future__ import annotations

from fleet.audit.wording import duration
from fleet.runtime.beat import AgentLoad, Load

__all__ = ["agent_load", "load_lines"]


def load_lines(load: Load) -> list[str]:
    """The one figure with what it is made of; then rates, and how late the event loop is."""
    inbox, turns, outbox = (load.queues[name] for name in ("inbox", "turns", "outbox"))
    queues = (("messages to be routed", inbox), ("to be answered", turns), ("replies to be delivered", outbox))
    told = ", ".join(
        f"{queue.waiting} {what}{f' (the oldest for {duration(queue.oldest_us)})' if queue.waiting else ''}"
        for what, queue in queues
    )
    return [
        f"{load.load:.2f}: routes {load.routing} of {load.routing_most} at a time, answers in {load.turns} of "
        f"{load.turns_most} turns; {told}",
        f"lately {load.routed_per_s:.3g} messages routed and {load.ended_per_s:.3g} turns ended a second; the event "
        f"loop is {duration(load.delay_us)} late, {duration(load.longest_delay_us)} at most",
    ]


def agent_load(load: AgentLoad) -> str:
    """What one agent is doing."""
    most = f" of at most {load.most}" if load.most else ""
    waiting = f", {load.waiting} jobs wait for it" if load.waiting else ""
    return f"{load.running} run{most}{waiting}"

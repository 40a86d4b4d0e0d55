"""An explicit dispatch as it is asked for: which agent gets the message, in which thread, by whose word."""

from __future__ import annotations

from fleet.ledger.decision import Record

__all__ = ["Assignment"]


class Assignment(Record):
    """Where a message goes because somebody said so.

    `agent` is a role ("": the thread's own agent); `thread_id` the thread that it continues; with `new_thread` it
    always starts one; with neither it continues the user's newest thread of that agent, if there is one. With
    `handoff` the thread goes over to `agent`, its history with it. `key` names the user's thread of the agent as a
    gate's does; `name` is for a thread that it starts; `by` says who asked, `by_user` that it was the
    user, whose quota it then counts for; `retry_of` is the dispatch that this one tries again.
    """

    agent: str = ""
    thread_id: str = ""
    new_thread: bool = False
    handoff: bool = False
    key: str = ""
    name: str = ""
    by: str = ""
    by_user: bool = False
    retry_of: str = ""

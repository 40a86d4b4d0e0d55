"""An explicit dispatch as it is asked for: which agent gets the message, in which thread, by whose word."""

from __future__ import annotations

from fleet.ledger.decision import Record

__all__ = ["STEP", "Assignment"]

STEP = ".step"  # an id that ends so, and in a number, is of a workflow's step


class Assignment(Record):
    """Where a message goes because somebody said so.

    `agent` is a role ("": the thread's own agent); `thread_id` the thread that it continues; with `new_thread` it
    always starts one; with neither it continues the user's newest thread of that agent, if there is one. With `handoff`
    the thread goes over to `agent`, its history with it. `key` names the user's thread of the agent as a gate's does;
    `name` is for a thread that it starts; `by` says who asked, `by_user` that it was the user, whose quota it then
    counts for; `retry_of` is the dispatch that this one tries again. With `ask` nobody has said where it goes: the user
    is asked, among the roles `among` (none: all).
    `workflow` has the roles that the work goes through, each one's result the next one's input, each in a new thread;
    this is its `step`, counted from 1, of the dispatch `step_of` ("": this one, its first step).
    """

    agent: str = ""
    thread_id: str = ""
    new_thread: bool = False
    handoff: bool = False
    ask: bool = False
    among: tuple[str, ...] = ()
    key: str = ""
    name: str = ""
    by: str = ""
    by_user: bool = False
    retry_of: str = ""
    workflow: tuple[str, ...] = ()
    step_of: str = ""
    step: int = 1

    def then(self, message_id: str) -> str:
        """The id of the message that the workflow's next step begins with; "" if there is none after this one."""
        if self.step >= len(self.workflow):
            return ""
        return f"{self.step_of or message_id}{STEP}{self.step + 1}"

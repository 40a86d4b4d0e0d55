"""The demo's help desk with a channel and one more tool that reach outside: both write to files, and so can be counted.

FLEET_TEST_OUTSIDE names the folder with the files `delivered` and `announced`.
"""

from __future__ import annotations

import os
from pathlib import Path

from fleet import DialogAgent, ToolContext, tool
from fleet.agents.tool import Tool
from fleet.demo import app

__all__ = ["app"]


@tool(effect="external", confirm="never")
def announce(context: ToolContext, text: str) -> str:
    """Announce something to the whole company."""
    write("announced", f"{context.idempotency_key} {text}")
    return "It is announced."


def write(name: str, line: str) -> None:
    with (Path(os.environ["FLEET_TEST_OUTSIDE"]) / name).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def hand_over(reply_id: str) -> None:
    write("delivered", reply_id)


def deliver(reply_id: str) -> None:
    hand_over(reply_id)


for agent in app.agents.values():
    agent.tools = (*agent.tools, Tool.of(announce))
    if isinstance(agent, DialogAgent):
        agent.send_message = deliver

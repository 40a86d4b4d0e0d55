"""An application whose tools write into its durable state: what was said, and marks that others cross."""

from __future__ import annotations

from fleet import App, AppEvent, DialogAgent, ToolContext, reducer, tool

__all__ = ["APP", "app", "mark_or_cross", "write_down"]

APP = "support.remembering:app"


class Remembered(AppEvent):
    NAME = "forget.remembered"
    user: str
    words: str


@reducer(Remembered)
def remember(state, event):
    state[f"said:{event.user}"] = event.words


@tool(effect="write", confirm="never")
def write_down(words: str, context: ToolContext) -> str:
    """Write something down."""
    context.emit(Remembered(user=context.user, words=words))
    return f"written: {words}"


class Marked(AppEvent):
    NAME = "forget.marked"
    owner: str


class Crossed(AppEvent):
    NAME = "forget.crossed"
    owner: str


@reducer(Marked)
def mark(state, event):
    state[f"mark:{event.owner}"] = 1


@reducer(Crossed)
def cross(state, event):
    state[f"mark:{event.owner}"] += 1


@tool(effect="write", confirm="never")
def mark_or_cross(context: ToolContext) -> str:
    """Make a mark for ana; whoever else calls it crosses hers."""
    context.emit(Marked(owner="ana") if context.user == "ana" else Crossed(owner="ana"))
    return "done"


app = App(
    name="remembering",
    agents=[DialogAgent(role="helper", description="Helps with everything", tools=[write_down, mark_or_cross])],
)

"""What the router is shown: the warmup's transcript, and exactly what it put up for choice.

The application's warmup runs first. Facts that it did not print, the agents or the threads, are printed after it, so
that there is always something to choose from. `threads[i]` means the thread that was printed at i.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.agents.agent import MessageDispatcher
from fleet.agents.catalog import Text
from fleet.errors import WarmupError
from fleet.graph.records import RECENT_KEPT
from fleet.prompting.quote import quote
from fleet.prompting.views import AgentView, ThreadView
from fleet.prompting.warmup import Transcript, run_warmup
from fleet.routing.facts import Facts

__all__ = ["Shown", "show", "show_plain"]

_INDEX = re.compile(r"^threads\[(\d+)\]", re.M)


@dataclass(frozen=True)
class Shown:
    """One decision's transcript, and what it may choose from: threads by printed index, roles, example ids by role."""

    transcript: str
    threads: tuple[ThreadView, ...]
    roles: tuple[str, ...]
    examples: Mapping[str, tuple[int, ...]]
    language: str


def show(warmup: Text, dispatcher: MessageDispatcher, facts: Facts, count: int) -> Shown:
    """Run the dispatcher's warmup over the facts; `count` threads where the code names no number.

    Raises: WarmupError if the code does, or prints a thread that is not one of the sender's.
    """
    run = _Run(dispatcher, facts, count)
    space = run_warmup(warmup, run.names(), run.out)
    text = run.out.text
    printed = {int(index) for index in _INDEX.findall(text)}
    offered = space.get("threads")
    threads = list(facts.recent(count)) if run.threads is None else run.threads
    if isinstance(offered, list):
        threads = [each for each in offered if isinstance(each, ThreadView)]
    if printed:
        threads = [each for index, each in enumerate(threads) if set(range(index + 1)) <= printed]
    if run.roles is None:
        run.print_agents()
    if not printed:
        run.print_threads(threads)
    return run.shown(threads)


def show_plain(facts: Facts, count: int) -> Shown:
    """The facts without any application code: what decides when its warmup failed."""
    run = _Run(MessageDispatcher(), facts, count)
    run.out.print("Current UTC time:", facts.now.isoformat(timespec="seconds"))
    run.out.print("Incoming message:")
    run.out.print(facts.message)
    run.print_agents()
    threads = list(facts.recent(count))
    run.print_threads(threads)
    return run.shown(threads)


class _Run:
    """One run's names and what they gave out."""

    def __init__(self, dispatcher: MessageDispatcher, facts: Facts, count: int) -> None:
        self.dispatcher, self.facts, self.count = dispatcher, facts, count
        self.out = Transcript()
        self.roles: tuple[str, ...] | None = None
        self.threads: list[ThreadView] | None = None
        self.examples: dict[str, tuple[int, ...]] = {}

    def names(self) -> dict[str, Any]:
        """Everything that the warmup may name: the application's verbs win over the built-in ones."""
        names: dict[str, Any] = {
            "now": self.facts.now,
            "preferred_language_for": self.facts.language_of,
            "list_agent_examples": lambda role: list(self.facts.agents[role].examples),
            "quote": quote,
            **self.dispatcher.context,
        }
        find = names.get("find_agents")
        history = names.get("recent_chat_threads") or self.dispatcher.chat_history
        listing = names["list_agent_examples"]
        names |= {
            "message": self.facts.message,
            "find_agents": lambda: self._find(find),
            "recent_chat_threads": lambda count=self.count: self._recent(history, count),
            "list_agent_examples": lambda role: self._listed(listing, role),
        }
        return names

    def _find(self, find: Callable[[], Any] | None) -> dict[str, AgentView]:
        found = find() if find else None
        allowed = self.facts.agents
        views = dict(allowed) if found is None else {role: allowed[role] for role in found if role in allowed}
        self.roles = tuple(views)
        return views

    def _recent(self, history: Callable[..., Any] | None, count: int) -> list[ThreadView]:
        given = history(count=count) if history else None
        if given is None:
            self.threads = list(self.facts.recent(count))
        else:
            own = {thread.id: thread for thread in self.facts.recent(RECENT_KEPT)}
            wanted = [getattr(each, "id", None) for each in given if each is not None]
            self.threads = [own[key] for key in wanted if isinstance(key, str) and key in own][:count]
        return list(self.threads)

    def _listed(self, listing: Callable[[str], Any], role: str) -> list[tuple[int, str]]:
        known = {number for number, _ in self.facts.agents[role].examples} if role in self.facts.agents else set()
        found = [(number, name) for number, name in listing(role) or () if number in known]
        self.examples[role] = tuple(number for number, _ in found)
        return found

    def print_agents(self) -> None:
        """The standard section about agents."""
        self.out.print("Available agents:")
        for role, view in self._find(self.dispatcher.context.get("find_agents")).items():
            self.out.print(f"- {view}")
            if view.capabilities:
                self.out.print(f"  capabilities: {'; '.join(view.capabilities)}")
            for number, name in self._listed(lambda known: self.facts.agents[known].examples, role):
                self.out.print(f"  example_id={number}: {name}")

    def print_threads(self, threads: Sequence[ThreadView]) -> None:
        """The standard section about threads."""
        self.out.print("Recent threads:")
        for index, thread in enumerate(threads):
            self.out.print(f"threads[{index}]:")
            self.out.print(f"agent: {thread.agent}")
            if thread.name:
                self.out.print(f"name: {thread.name}")
            if thread.status:
                self.out.print(f"status: {thread.status}")
            self.out.print(thread.summary)
            self.out.print("latest_activity:", thread.latest_activity_at)
            self.out.print("last_assistant_message:", thread.last_assistant_message)

    def shown(self, threads: Sequence[ThreadView]) -> Shown:
        """What came of the run."""
        if not self.out.text.strip():
            raise WarmupError("the warmup printed nothing")
        language = self.facts.language_of(self.facts.message.sender) or "en"
        return Shown(self.out.text, tuple(threads), self.roles or (), dict(self.examples), language)

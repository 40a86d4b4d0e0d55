"""What the router is shown: the warmup's transcript, and exactly what it put up for choice.

The application's warmup runs first. Facts that it did not print, the message, the agents or the threads, are printed
after it, so that there is always something to choose from. `threads[i]` means the thread that was printed at i.
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

_INDEX = re.compile(r"(\d+)\]")


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

    The list that the code prints from has the name `threads`: the thread printed at i is `threads[i]`.
    Raises: WarmupError if the code raises, has no such list, or prints a thread that is not one of the sender's.
    """
    run = _Run(dispatcher, facts, count)
    try:
        space = run_warmup(warmup, run.names(), run.out)
        return run.completed(space.get("threads"))
    except WarmupError:
        raise
    except Exception as error:  # the application's own verbs, called outside of its warmup
        raise WarmupError(f"warmup {warmup.source}: {type(error).__name__}: {quote(str(error)[:300])}") from error


def show_plain(facts: Facts, count: int) -> Shown:
    """The facts without any application code: what decides when its warmup failed."""
    run = _Run(MessageDispatcher(), facts, count)  # without the application's verbs
    run.out.print("Current UTC time:", facts.now.isoformat(timespec="seconds"))
    run.print_message()
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
        listing = names["list_agent_examples"]
        names |= {
            "message": self.facts.message,
            "find_agents": self._find,
            "recent_chat_threads": lambda count=self.count: self._recent(count),
            "list_agent_examples": lambda role: self._listed(listing, role),
        }
        return names

    def _find(self) -> dict[str, AgentView]:
        find = self.dispatcher.context.get("find_agents")
        found = find() if find else None
        allowed = self.facts.agents
        views = dict(allowed) if found is None else {role: allowed[role] for role in found if role in allowed}
        self.roles = tuple(views)
        return views

    def _recent(self, count: int) -> list[ThreadView]:
        history = self.dispatcher.context.get("recent_chat_threads") or self.dispatcher.chat_history
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

    def completed(self, offered: Any) -> Shown:
        """What was printed, with the sections that were not; `offered` is the code's list `threads`."""
        text = self.out.text
        printed = _indexes(text)
        if printed:
            threads = self._bound(offered, printed)
        elif isinstance(offered, list):
            threads = self._own([each for each in offered if isinstance(each, ThreadView)])
        else:
            threads = self._recent(self.count) if self.threads is None else self.threads
        if quote(self.facts.message.text) not in text:
            self.print_message()
        if self.roles is None:
            self.print_agents()
        if not printed:
            self.print_threads(threads)
        return self.shown(threads)

    def _bound(self, offered: Any, printed: set[int]) -> list[ThreadView]:
        """The threads that were printed, from index 0 on without a gap: `threads[i]` can mean nothing else."""
        if not isinstance(offered, list):
            raise WarmupError("the warmup prints threads[…] and has no list named threads that they come from")
        threads: list[ThreadView] = []
        for index, each in enumerate(offered):
            if index not in printed or not isinstance(each, ThreadView):
                break
            threads.append(each)
        return self._own(threads)

    def _own(self, threads: list[ThreadView]) -> list[ThreadView]:
        given = {thread.id for thread in self.threads or ()}
        if given.issuperset(thread.id for thread in threads):
            return threads
        own = {thread.id for thread in self.facts.recent(RECENT_KEPT)}
        if any(thread.id not in own for thread in threads):
            raise WarmupError("the warmup offers a thread that is not one of the sender's")
        return threads

    def print_message(self) -> None:
        """The standard section about the message."""
        self.out.print("Incoming message:")
        self.out.print(self.facts.message)

    def print_agents(self) -> None:
        """The standard section about agents."""
        self.out.print("Available agents:")
        for role, view in self._find().items():
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
        return Shown(self.out.text, tuple(threads), self.roles or (), dict(self.examples), self.facts.language)


def _indexes(transcript: str) -> set[int]:
    """The numbers i of the lines that begin with `threads[i]`; a regex over it all takes six times as long."""
    parts = f"\n{transcript}".split("\nthreads[")
    return {int(found[1]) for part in parts[1:] if (found := _INDEX.match(part)) is not None}

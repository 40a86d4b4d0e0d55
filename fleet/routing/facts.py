"""Candidates: what one routing decision may choose from, read from the graph as frozen views."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fleet.agents.catalog import Catalog
from fleet.graph.living import LivingRoot
from fleet.graph.recent import recent_ids
from fleet.graph.records import UserRecord
from fleet.ledger.events import MessageAccepted
from fleet.log import log
from fleet.prompting.examples import examples_of
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import AgentView, MessageView, ThreadView

__all__ = ["Facts", "ThreadViews", "agent_views", "facts_of", "together"]

_KEPT_VIEWS = 10_000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True)
class Facts:
    """Everything that one decision can ask for. `recent(count)` gives threads, newest first.

    `thread(id)` is one of the sender's own, however old and whoever's; None if there is none such. `forgotten` is the
    seq of the event with which everything of the sender was erased, 0 for most. `allowed` has the
    roles that the message may go to, printed or not; None: all.
    """

    message: MessageView
    now: datetime
    agents: Mapping[str, AgentView]
    recent: Callable[[int], Sequence[ThreadView]]
    language_of: Callable[[Any], str | None]
    thread: Callable[[str], ThreadView | None] = lambda thread_id: None
    forgotten: int = 0
    allowed: Container[str] | None = None

    def may(self, role: str) -> bool:
        """Whether the message may go to this role."""
        return self.allowed is None or role in self.allowed

    @property
    def owner(self) -> str:
        """Whose the threads are that a key names: a sender who was forgotten never meets an old thread's id again."""
        user = self.message.sender.id
        return f"{user}\n{self.forgotten}" if self.forgotten else user

    @property
    def language(self) -> str:
        """The language for a thread where no router chooses one: a tag, `en` where the application gives none."""
        try:
            found = self.language_of(self.message.sender)
        except Exception as error:  # the application's own function; the message is not lost for it
            log("language.unknown", level=logging.WARNING, message=self.message.id, error=type(error).__name__)
            found = self.message.language
        return found if isinstance(found, str) and _LANGUAGE.fullmatch(found) else "en"


def together(facts: Facts, others: Sequence[Facts]) -> Facts:
    """The facts about a message that says what all of these say, a line each or more; the rest of it is the first's."""
    if not others:
        return facts
    text = "\n".join(each.message.text.raw for each in (facts, *others))
    return replace(facts, message=replace(facts.message, text=Untrusted(text)))


def agent_views(catalog: Catalog) -> dict[str, AgentView]:
    """The catalog's agents as a router is shown them: without those that are dispatched explicitly alone."""
    return {
        role: AgentView(
            role,
            " ".join(found.description.split()),
            tuple(" ".join(each.split()) for each in found.capabilities),
            tuple((number, example.name) for number, example in examples_of(found).items()),
        )
        for role, found in catalog.roles.items()
        if found.agent is None or found.agent.dispatch != "explicit"
    }


class ThreadViews:
    """Views of the graph's threads, each read once until an event touches it: reading a record costs 0.1 ms."""

    def __init__(self, root: LivingRoot) -> None:
        self._root = root
        self._views: dict[str, ThreadView] = {}

    def __getitem__(self, thread_id: str) -> ThreadView:
        view = self._views.get(thread_id)
        if view is None:
            if len(self._views) >= _KEPT_VIEWS:
                self._views.clear()
            view = self._views[thread_id] = ThreadView.of(self._root.threads[thread_id])
        return view

    def forget(self, thread_id: str) -> None:
        """Read the thread anew next time: an event has touched it."""
        self._views.pop(thread_id, None)

    def recent(self, user: UserRecord, user_id: str, roles: Container[str], count: int) -> list[ThreadView]:
        """The user's `count` most recent threads with an agent out of `roles`, newest first."""
        found: list[ThreadView] = []
        for thread_id in recent_ids(user):
            if len(found) >= count:
                break
            view = self[thread_id]
            if view.agent in roles:
                found.append(view)
        return found


def facts_of(
    root: LivingRoot,
    threads: ThreadViews,
    message: MessageAccepted,
    agents: Mapping[str, AgentView],
    now: datetime,
    language_of: Callable[[Any], str | None] | None = None,
    roles: Container[str] | None = None,
) -> Facts:
    """The facts about one accepted message. Threads are the sender's own, and only of `roles` (None: of `agents`)."""
    known = root.users.get(message.user)
    language = known.language if known is not None else ""

    def preferred(user: Any) -> str | None:
        asked = language_of(user) if language_of else None
        return asked or message.language or language or None

    def recent(count: int) -> list[ThreadView]:
        return [] if known is None else threads.recent(known, message.user, agents if roles is None else roles, count)

    def thread(thread_id: str) -> ThreadView | None:
        found = root.threads.get(thread_id)
        own = found is not None and found.user == message.user and not found.parent
        return threads[thread_id] if own else None

    forgotten = known.forgotten if known is not None else 0
    return Facts(MessageView.of(message, language), now, agents, recent, preferred, thread, forgotten)

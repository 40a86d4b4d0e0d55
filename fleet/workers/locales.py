"""The locale of a thread: who decides it, and what its agent is told about it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fleet.agents.app import App
from fleet.agents.locales import read_locale
from fleet.graph.records import ThreadRecord
from fleet.ledger.events import MessageAccepted
from fleet.log import log

__all__ = ["locale_for", "locale_of", "rules_for"]

_RULES = "Locale: {locale}. Write in its language; dates, times, numbers and money as is usual there."


def locale_of(thread: ThreadRecord) -> str:
    """What the thread is answered in: its locale, else the language that it was started in."""
    return thread.locale or thread.language or "en"


def locale_for(app: App, thread: ThreadRecord, messages: Sequence[MessageAccepted]) -> str:
    """The locale that the thread has from its next turn on; "" where its language is all there is.

    What a tool has set counts first, then the agent's own language, what the newest message says, what the thread has
    by an earlier one, what the application says of the user. A task of another agent has its parent's.
    """
    agent = app.agents.get(thread.agent)
    if thread.locale_set or thread.parent or (agent is not None and agent.locale):
        return thread.locale
    said = next((each.language for each in reversed(messages) if each.language), "")
    if said and (tag := read_locale(said)):
        return tag
    return thread.locale or _by_the_application(app, thread.user)


def rules_for(app: App, thread: ThreadRecord, locale: str) -> str:
    """What an agent is told about the thread's locale, in lines; "" where its language is all there is to say."""
    rules = app.words.rules(locale or thread.language)
    if not locale and not rules:
        return ""
    return "\n".join(filter(None, (_RULES.format(locale=locale or thread.language), rules.rstrip()))) + "\n"


def _by_the_application(app: App, user: str) -> str:
    if app.locale_of is None:
        return ""
    try:
        given = app.locale_of(user)
        tag = read_locale(given) if given else ""
        if tag is None:
            log("locale.unknown", level=logging.WARNING, error="no locale")
    except Exception as error:  # the application's own function
        log("locale.unknown", level=logging.WARNING, error=type(error).__name__)
        return ""
    return tag or ""

"""Facts of one routing decision, made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet import App, DialogAgent
from fleet.ledger.events import MessageAccepted
from fleet.llm.scripted import ScriptedModel
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import MessageView, ThreadView
from fleet.routing.decider import Decider
from fleet.routing.facts import Facts, agent_views
from fleet.runtime.load import load_catalog
from fleet.settings import Settings

NOW = datetime(2026, 11, 21, 0, 41, 44, tzinfo=UTC)


def thread(
    number: int, summary: str = "", *, agent: str = "helper", last: str = "Which day?", **fields: Any
) -> ThreadView:
    given: dict[str, Any] = {
        "id": f"thr_{number}",
        "agent": agent,
        "name": Untrusted(f"Topic {number}"),
        "language": "en",
        "status": "need_input",
        "summary": Untrusted(summary or f"User: question {number}"),
        "latest_activity_at": NOW - timedelta(minutes=number + 1),
        "last_assistant_message": Untrusted(last),
    }
    return ThreadView(**(given | fields))


def small_app(**options: Any) -> App:
    agents = [
        DialogAgent(role="helper", description="Helps with everything", capabilities=["help", "more help"]),
        DialogAgent(role="billing", description="Handles invoices", locale=options.pop("locale", "")),
    ]
    return App(name="small", agents=options.pop("agents", agents), **options)


def facts(
    app: App,
    text: str = "Friday is better",
    threads: Sequence[ThreadView] = (),
    *,
    user: str = "ana",
    language: str = "",
    language_of: Callable[[Any], Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Facts:
    message = MessageAccepted(message_id="msg_1", user=user, text=text, language=language, metadata=metadata or {})
    return Facts(
        MessageView.of(message),
        NOW,
        agent_views(load_catalog(app)),
        lambda count: list(threads[:count]),
        language_of or (lambda asked: language or None),
    )


def decider(app: App, router: Any, fallback: Any = (), **settings: Any) -> Decider:
    """A decider whose models follow scripts."""
    return Decider(
        load_catalog(app),
        ScriptedModel(router, name="test:router"),
        ScriptedModel(fallback, name="test:fallback"),
        Settings(**settings),
        "1.2.3",
    )

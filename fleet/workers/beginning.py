"""How a turn begins: what its model is shown besides the conversation, printed by the agent's warmup."""

from __future__ import annotations

from fleet.agents.catalog import Catalog
from fleet.agents.zones import zone_of
from fleet.clock import now
from fleet.graph.living import LivingRoot
from fleet.graph.records import JobRecord
from fleet.ledger.base import Blob, Ledger
from fleet.ledger.events import TurnStarted
from fleet.prompting.examples import examples_of
from fleet.prompting.prompts import render_prompt
from fleet.prompting.views import JobView, ThreadView
from fleet.settings import Settings
from fleet.workers.conversation import warm_up
from fleet.workers.ending import waiting_ids
from fleet.workers.heard import last_ids, messages_of
from fleet.workers.locales import locale_for, rules_for
from fleet.workers.reminders import to_take_up

__all__ = ["Beginnings"]


class Beginnings:
    """The beginnings of turns, for every agent of one application. `system` has each role's prompt.

    Prompts are rendered, and examples read, when it is built. Raises: ConfigError.
    """

    def __init__(self, catalog: Catalog, ledger: Ledger, root: LivingRoot, settings: Settings) -> None:
        self._app, self._roles, self._ledger, self._root, self._settings = (
            catalog.app, catalog.roles, ledger, root, settings,
        )  # fmt: skip
        self.system = {role: render_prompt(found, catalog) for role, found in catalog.roles.items()}
        self._prompts = {role: Blob.of(text) for role, text in self.system.items()}
        self._examples = {role: examples_of(found) for role, found in catalog.roles.items()}

    def of(self, job: JobRecord) -> tuple[TurnStarted, tuple[Blob, ...]]:
        """The next turn of a job takes up all that waits for it; with it the texts that are durable with the event."""
        ids = waiting_ids(job)
        thread = self._root.threads[job.thread]
        messages = messages_of(self._ledger, job, ids or last_ids(self._ledger, job))
        locale = locale_for(self._app, thread, messages if ids else ())
        warm = warm_up(
            self._roles[job.agent],
            self._examples[job.agent],
            messages=messages,
            thread=ThreadView.of(thread),
            job=JobView.of(job),
            example=job.default_example_id,
            now=now(),
            zone=zone_of(self._app, thread.user),
            locale=locale or thread.language,
            rules=rules_for(self._app, thread, locale),
        )
        transcript, prompt = Blob.of(warm.transcript), self._prompts[job.agent]
        started = TurnStarted(
            job_id=job.id,
            thread_id=thread.id,
            turn=job.turn + 1,
            message_ids=ids,
            transcript=transcript.hash,
            prompt=prompt.hash,
            prompt_name=self._roles[job.agent].prompt.source,
            trouble=warm.trouble,
            history=self._settings.history,
            reminders=to_take_up(job),
            locale=locale,
            recap=job.recap_turn,
        )
        return started, (transcript, prompt)

"""One decision: gate, candidates, warmup, model, action, and the fallback ladder. It writes nothing.

The ladder, each rung on record as what it is: the router's model (with one corrective retry); the deterministic
router on the same transcript; the application's default agent; a person.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fleet.agents.catalog import Catalog
from fleet.clock import from_us, to_us
from fleet.errors import WarmupError
from fleet.ledger.base import Blob
from fleet.ledger.events import Attempt, Candidate, Decision
from fleet.llm.base import Model
from fleet.prompting.prompts import render_prompt
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import MessageView, ThreadView, UserView
from fleet.routing.facts import Facts, agent_views
from fleet.routing.gates import DispatchAction, DispatchResult, run_gate
from fleet.routing.shown import Shown, show, show_plain
from fleet.routing.thinking import Thought, ask
from fleet.sandbox import DispatchTo, StartNewThread
from fleet.settings import Settings

__all__ = ["Decided", "Decider"]

Rung = Literal["", "router", "agent", "human"]


@dataclass(frozen=True)
class Decided:
    """A decision as it will be recorded, and the bulky texts that it names by hash.

    `decision.thread_id` is set where an existing thread is continued; a new thread's ids are given when the decision
    is written. `key` is a gate's, for the thread that it routes to.
    """

    decision: Decision
    blobs: tuple[Blob, ...] = ()
    key: str = ""


class Decider:
    """Decides about messages for one application. Prompts are rendered, and so checked, when it is built.

    Raises: ConfigError for a prompt that does not render.
    """

    def __init__(self, catalog: Catalog, router: Model, fallback: Model, settings: Settings, code_version: str) -> None:
        self._catalog, self._router, self._fallback, self._settings = catalog, router, fallback, settings
        self._code_version = code_version
        self._system = render_prompt(catalog.dispatcher, catalog)
        self._prompt = Blob.of(self._system)
        self._sample = Blob.of(_sample(catalog, settings.candidates))
        self._calls = asyncio.Semaphore(settings.concurrency)

    async def decide(self, facts: Facts, queue_us: int = 0) -> Decided:
        """Decide where one message goes; `queue_us` is how long it has waited.

        Never raises for what a gate, warmup or model did: the record says what happened, and the next rung decides.
        """
        latency: dict[str, int] = {"queue": queue_us} if queue_us else {}
        if self._catalog.app.gate is not None:
            began = time.perf_counter_ns()
            settled = await self._ask_gate(facts)
            latency["gate"] = _since(began)
            if settled is not None:
                return self._gated(settled, facts, latency)
        began = time.perf_counter_ns()
        count = self._settings.candidates
        failures: list[str] = []
        try:
            shown = show(self._catalog.dispatcher.warmup, self._catalog.app.dispatcher, facts, count)
        except WarmupError as error:
            failures.append(error.message)
            shown = show_plain(facts, count)
        latency["warmup"] = _since(began)
        return await self._think(facts, shown, failures, latency)

    async def _think(self, facts: Facts, shown: Shown, failures: list[str], latency: dict[str, int]) -> Decided:
        rungs: list[tuple[Rung, Model]] = [("router", self._fallback)]
        if not failures:
            rungs.insert(0, ("", self._router))
        attempts: list[Attempt] = []
        for rung, model in rungs:
            began = time.perf_counter_ns() if self._calls.locked() else 0
            async with self._calls:
                if began:
                    latency["queue"] = latency.get("queue", 0) + _since(began)
                thought = await self._ask(model, shown)
            attempts += thought.attempts
            for stage, took in thought.latency_us.items():
                latency[stage] = latency.get(stage, 0) + took
            if thought.action is not None:
                return self._acted(facts, shown, thought, rung, failures, attempts, latency)
            failures.append(thought.failure)
        default = self._catalog.app.default_agent
        placed: dict[str, Any] = {"outcome": "human", "fallback": "human"}
        if default in shown.roles:
            placed = {"outcome": "start_new_thread", "fallback": "agent", "agent": default, "language": shown.language}
        return self._record(
            shown, attempts, latency, by="fallback", fallback_reason="; ".join(failures), **placed
        )  # fmt: skip

    async def _ask(self, model: Model, shown: Shown) -> Thought:
        return await ask(
            model,
            self._system,
            shown,
            max_tokens=self._settings.router_max_tokens,
            timeout_s=self._settings.model_timeout_s,
        )

    def _acted(
        self,
        facts: Facts,
        shown: Shown,
        thought: Thought,
        rung: Rung,
        failures: Sequence[str],
        attempts: Sequence[Attempt],
        latency: dict[str, int],
    ) -> Decided:
        action = thought.action
        fields: dict[str, Any] = {"by": "fallback" if rung else "model", "fallback": rung, "reason": thought.reason}
        if rung:
            fields["fallback_reason"] = "; ".join(failures)
        if isinstance(action, DispatchTo):
            thread = shown.threads[action.thread_index]
            fields |= {
                "outcome": "dispatch_to",
                "thread_index": action.thread_index,
                "thread_id": thread.id,
                "agent": thread.agent,
                "name": thread.name.raw,
                "language": thread.language,
            }
        elif isinstance(action, StartNewThread):
            locale = self._catalog.app.agents[action.agent].locale
            fields |= {
                "outcome": "start_new_thread",
                "agent": action.agent,
                "name": action.name or "",
                "language": locale or action.language,
                "default_example_id": action.default_example_id,
            }
        return self._record(shown, attempts, latency, **fields)

    def _record(self, shown: Shown, attempts: Sequence[Attempt], latency: dict[str, int], **fields: Any) -> Decided:
        transcript = Blob.of(shown.transcript, like=self._sample.hash)
        decision = Decision(
            candidates=tuple(
                Candidate(
                    thread_id=thread.id,
                    agent=thread.agent,
                    name=thread.name.raw,
                    latest_activity_at=to_us(thread.latest_activity_at),
                )
                for thread in shown.threads
            ),
            agents=shown.roles,
            examples=dict(shown.examples),
            transcript=transcript.hash,
            prompt=self._prompt.hash,
            prompt_name=self._catalog.dispatcher.prompt.source,
            attempts=tuple(attempts),
            latency_us=latency,
            code_version=self._code_version,
            **fields,
        )
        return Decided(decision, (self._sample, transcript, self._prompt))

    async def _ask_gate(self, facts: Facts) -> DispatchResult | str | None:
        """What the gate said; a str is the traceback of what it raised."""
        gate = self._catalog.app.gate
        if gate is None:
            return None
        try:
            return await run_gate(gate, facts.message)
        except Exception:  # the application's own code: whatever it raises is on record, and the message is not lost
            return traceback.format_exc(limit=8)

    def _gated(self, said: DispatchResult | str, facts: Facts, latency: dict[str, int]) -> Decided:
        base: dict[str, Any] = {"by": "gate", "latency_us": latency, "code_version": self._code_version}
        if isinstance(said, str):
            return Decided(Decision(outcome="error", gate_reason=said, **base))
        base["gate_reason"] = said.reason or said.action.value
        if said.action is DispatchAction.DROP:
            return Decided(Decision(outcome="drop", **base))
        agent = said.agent or self._catalog.app.default_agent or next(iter(self._catalog.roles))
        if said.action is DispatchAction.ERROR or agent not in self._catalog.roles:
            if said.action is not DispatchAction.ERROR:
                base["gate_reason"] = f"the gate named the agent {agent!r}, which is not declared"
            return Decided(Decision(outcome="error", **base))
        name = "".join(each for each in said.key if each.isprintable())[:80]
        decision = Decision(outcome="start_new_thread", agent=agent, language=facts.language, name=name, **base)
        return Decided(decision, key=said.key if said.action is DispatchAction.ROUTE else "")


def _sample(catalog: Catalog, count: int) -> str:
    """What the warmup prints for a made-up message: most of every transcript, and nothing of any user."""
    user = UserView(Untrusted("somebody"))
    message = MessageView("msg_0123456789abcdef", user, Untrusted("Hello, can you help me?"))
    at = from_us(0)
    thread = ThreadView(
        "thr_0123456789abcdef", next(iter(catalog.roles)), Untrusted("A question"), "en", "need_input",
        Untrusted("User: Hello Agent: Hello, what can I do for you?"), at, Untrusted("Would you like that?"),
    )  # fmt: skip
    facts = Facts(message, at, agent_views(catalog), lambda wanted: [thread] * min(wanted, 2), lambda _: "en")
    try:
        return show(catalog.dispatcher.warmup, catalog.app.dispatcher, facts, count).transcript
    except Exception:  # the application's own code, for facts that it did not expect
        return show_plain(facts, count).transcript


def _since(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1000

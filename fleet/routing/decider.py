"""One decision: gates, candidates, warmup, model, action, and the fallback ladder. It writes nothing.

The ladder, each rung on record as what it is: the router's model (with one corrective retry); the deterministic
router on the same transcript; the application's default agent; a person. A fleet without a routing model has the last
two alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from fleet.agents.catalog import Catalog
from fleet.clock import from_us, to_us
from fleet.errors import WarmupError
from fleet.ledger.base import Blob, Ledger
from fleet.ledger.events import Attempt, Candidate, Decision, QuestionAsked
from fleet.llm.base import Model
from fleet.prompting.prompts import render_prompt
from fleet.prompting.quote import Untrusted
from fleet.prompting.views import MessageView, ThreadView, UserView
from fleet.routing.asking import Asking
from fleet.routing.decided import Decided
from fleet.routing.facts import Facts, agent_views, together
from fleet.routing.policy import Policy
from fleet.routing.settling import Passed, Settling, goes_along
from fleet.routing.shown import Shown, show, show_plain
from fleet.routing.thinking import Thought, ask
from fleet.sandbox import DispatchTo, StartNewThread
from fleet.settings import Settings

__all__ = ["Decider"]

Rung = Literal["", "router", "agent", "human"]


class Decider:
    """Decides about messages for one application. Prompts are rendered, and so checked, when it is built.

    Without a `router` no model is asked, not even `fallback`: gates settle what they can, the rest is the default
    agent's or a person's. Raises: ConfigError for a prompt that does not render, or a gate that is none.
    """

    def __init__(
        self, catalog: Catalog, router: Model | None, fallback: Model | None, settings: Settings, code_version: str
    ) -> None:
        self._catalog, self._router, self._fallback, self._settings = catalog, router, fallback, settings
        self._code_version = code_version
        self._policy = Policy(catalog, code_version)
        self._settling = Settling(catalog, settings, code_version, routed=router is not None)
        self._asking = Asking(catalog, settings)
        self.rules = self._settling.rules
        self._system = render_prompt(catalog.dispatcher, catalog)
        self._prompt = Blob.of(self._system)
        self._sample = Blob.of(_sample(catalog, settings.candidates))
        self._calls = asyncio.Semaphore(settings.concurrency)

    def recall(self, ledger: Ledger) -> None:
        """Let quotas count what the ledger says was given lately. Raises: LedgerError."""
        self._policy.recall(ledger)

    async def decide(
        self, facts: Facts, queue_us: int = 0, behind: Sequence[Facts] = (), *, ask: bool = False
    ) -> Decided:
        """Decide where one message goes; `queue_us` is how long it has waited.

        `behind` are the facts of other messages of one burst with it: those that nothing would settle otherwise are
        decided by the same decision, and a model is shown their texts with its own, as one message.
        With `ask` its user may have to say where it belongs: then the decision comes with a question.
        Never raises for what a gate, warmup or model did: the record says what happened, and the next rung decides.
        """
        latency: dict[str, int] = {"queue": queue_us} if queue_us else {}
        limited = self._policy.limit(facts)
        if isinstance(limited, Decided):
            return limited
        settled = await self._settling.settle(limited, latency)
        covered = [each async for each in self._alike(limited, settled, behind, latency)] if behind else []
        question = None
        if not isinstance(settled, Decided):
            limited = together(limited, covered)
            decided = await self._ask_models(limited, latency) if self._router else self._unasked(limited, latency)
            settled = decided if settled is None else settled.on(decided)
            question = self._asking.question(limited, settled) if ask else None
        counted = settled if question is not None else self._policy.counted(settled)
        return replace(counted, covers=len(covered), question=question)

    def answered(self, asked: QuestionAsked, number: int, answer_id: str, facts: Facts) -> Decided:
        """The decision about a message whose user answered with choice `number`, in message `answer_id`."""
        return self._policy.counted(self._asking.answered(asked, number, answer_id, facts))

    def unanswered(self, asked: QuestionAsked, answer_id: str = "") -> Decided:
        """The decision about a message whose user said nothing in time, or in `answer_id` something else."""
        return self._policy.counted(self._asking.unanswered(asked, answer_id))

    async def _alike(
        self, first: Facts, settled: Decided | Passed | None, behind: Sequence[Facts], latency: dict[str, int]
    ) -> AsyncIterator[Facts]:
        """Those messages, up to the first other one, that may go where the first goes and are settled as it is."""
        for facts in behind if goes_along(settled, settled) else ():
            limited, took = self._policy.targets(facts), dict[str, int]()
            if isinstance(limited, Decided) or limited.allowed != first.allowed:
                return
            alike = goes_along(settled, await self._settling.settle(limited, took))
            if "gate" in took:
                latency["gate"] = latency.get("gate", 0) + took["gate"]
            if not alike or not self._policy.admits(facts):
                return
            yield facts

    async def _ask_models(self, facts: Facts, latency: dict[str, int]) -> Decided:
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
        rungs: list[tuple[Rung, Model | None]] = [("router", self._fallback)]
        if not failures:
            rungs.insert(0, ("", self._router))
        attempts: list[Attempt] = []
        for rung, model in rungs:
            if model is None:
                continue
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
        placed = self._last_resort(shown.roles, shown.language)
        return self._record(shown, attempts, latency, fallback_reason="; ".join(failures), **placed)

    def _unasked(self, facts: Facts, latency: dict[str, int]) -> Decided:
        """What becomes of a message that no gate settled in a fleet without a routing model."""
        reason = "nothing settled it before a model, and this fleet has no routing model"
        placed = self._last_resort(tuple(facts.agents), facts.language)
        return Decided(Decision(latency_us=latency, code_version=self._code_version, fallback_reason=reason, **placed))

    def _last_resort(self, roles: tuple[str, ...], language: str) -> dict[str, Any]:
        """The default agent, if it may be given the message, else a person."""
        default = self._catalog.app.default_agent
        if default not in roles:
            return {"by": "fallback", "outcome": "human", "fallback": "human"}
        return {
            "by": "fallback", "outcome": "start_new_thread", "fallback": "agent", "agent": default,
            "language": language,
        }  # fmt: skip

    async def _ask(self, model: Model, shown: Shown) -> Thought:
        policy = self._catalog.app.dispatcher.policy
        return await ask(
            model,
            self._system,
            shown,
            max_tokens=self._settings.router_max_tokens,
            timeout_s=policy.model_timeout_s or self._settings.model_timeout_s,
            retries=policy.model_retries,
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

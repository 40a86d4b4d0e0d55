"""Long conversations: between two turns the oldest ones are put into a recap, which a model writes.

It is on record as one event, or nothing has changed: a crash, a model that fails and a budget that is used up leave the
conversation as it was, and the end of the next turn tries again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from fleet.agents.agent import Agent
from fleet.agents.policy import Policy
from fleet.clock import now_us
from fleet.errors import ModelAnswerError
from fleet.graph.living import LivingRoot
from fleet.graph.records import TAIL_KEPT, JobRecord
from fleet.ledger.events import HistoryCompacted
from fleet.ledger.storable import storable
from fleet.llm.base import Answer, Model, Request, ask_model
from fleet.llm.prices import cost_usd
from fleet.log import log
from fleet.settings import Settings
from fleet.workers.budget import breach_of
from fleet.workers.recap import cut_of, request_for

__all__ = ["Compactor"]

_LONGEST_S = 30.0  # of a call: the thread's next message waits for it
_MOST = 8000  # characters of a recap


class Compactor:
    """Compacts the conversations of jobs. `model_for` gives the model that does so for an agent, None where none does.

    `record` appends to a job's stream and returns once it is applied.
    """

    def __init__(
        self,
        root: LivingRoot,
        model_for: Callable[[Agent], Model | None],
        record: Callable[..., Awaitable[None]],
        settings: Settings,
        policies: Mapping[str, Policy],
    ) -> None:
        self._root, self._model_for, self._record, self._policies = root, model_for, record, policies
        self._entries, self._tokens = min(settings.history, TAIL_KEPT), settings.compact_tokens
        self._timeout_s = min(_LONGEST_S, settings.model_timeout_s)

    async def compact(self, job: JobRecord, agent: Agent) -> None:
        """Compact a job's conversation, if it has grown too long. Its last turn has ended.

        Raises: LedgerError or GraphError when that cannot be recorded; nothing for what a model did.
        """
        model = self._model_for(agent)
        tail = list(job.tail)
        cut = cut_of(tail, self._entries, self._tokens, _asked_in(job)) if model is not None else None
        if model is None or cut is None:
            return
        thread = self._root.threads[job.thread]
        if breach := breach_of(self._policies[job.agent], job, self._root.users[thread.user], now_us()):
            log("history.not_compacted", level=logging.WARNING, job=job.id, reason=breach.reason)
            return
        began = time.perf_counter_ns()
        try:
            answer, recap = await _ask(model, request_for(tail[: cut.entries], job.recap, self._timeout_s))
        except Exception as error:  # a model may raise anything, and no message waits for this one
            log("history.not_compacted", level=logging.WARNING, job=job.id, error=type(error).__name__)
            return
        usage = answer.usage
        await self._record(job, HistoryCompacted(
            job_id=job.id, thread_id=thread.id, user=thread.user, first_turn=job.recap_turn + 1,
            last_turn=cut.last_turn, recap=recap, model=answer.model, input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens, cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens, cost_usd=cost_usd(answer.model, usage),
            latency_us=(time.perf_counter_ns() - began) // 1000,
        ))  # fmt: skip


async def _ask(model: Model, request: Request) -> tuple[Answer, str]:
    """The model's answer and its text. Raises: ModelError, also for an answer that is no whole text; what it raises."""
    answer = await ask_model(model, request)
    text = "".join(str(block["text"]) for block in answer.content if block.get("type") == "text").strip()
    if answer.stop_reason != "end_turn" or not text or len(text) > _MOST:
        raise ModelAnswerError(f"{model.name} gave no recap: {answer.stop_reason}, {len(text)} characters")
    return answer, str(storable(text))


def _asked_in(job: JobRecord) -> set[int]:
    """The turns in which a question about a call was asked that may still be answered, or whose answer waits."""
    pending = [each for each in json.loads(job.pending) if each["expires_at"] >= now_us()]
    return {each["turn"] for each in (*pending, *json.loads(job.settled)) if "turn" in each}

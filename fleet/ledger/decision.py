"""The record of one decision: what was shown, answered, refused, chosen, by which prompt and model, at what cost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Asked", "Attempt", "Candidate", "Choice", "DecidedBy", "Decision", "Outcome", "Record"]

DecidedBy = Literal["model", "gate", "fallback", "dispatch", "policy", "joined", "user"]
Outcome = Literal["dispatch_to", "start_new_thread", "drop", "error", "human", "cancelled", "answer"]
Asked = Literal["", "answered", "none", "lapsed", "expired", "gone"]


class Record(BaseModel):
    """A frozen value that refuses fields it does not know. Pydantic builds a class's code when it is first needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", defer_build=True)


class Candidate(Record):
    """A thread as the router saw it; its place in the list is its printed index."""

    thread_id: str
    agent: str
    name: str = ""
    latest_activity_at: int = 0


class Choice(Record):
    """Where the user who is asked may send a message: on in a thread, or with "" to a new one of `agent`.

    `probability` is how likely the router held it; 0: it did not say.
    """

    agent: str
    thread_id: str = ""
    name: str = ""
    probability: float = 0.0


class Attempt(Record):
    """One answer of a model to a routing request, or the error in its place; `answer` is the raw text.

    Of a refused answer, `message` is its verdict's sentence, and `told` word for word what the model was sent about
    it: "" where it was not asked again.
    """

    model: str
    answer: str = ""
    stop_reason: str = ""
    verdict: str = "ok"
    message: str = ""
    told: str = ""
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    latency_us: int = 0
    extra: dict[str, Any] = Field(default_factory=dict)


class Decision(Record):
    """Where one message went, and everything that led there.

    `transcript` and `prompt` are blob hashes of what the model was shown; `prompt_name` is the template's file;
    `candidates`, `agents` and `examples` (role → ids) are exactly what was printed; `reason` is the model's
    comments; `gate` names the gate that settled it, or failed, `gate_reason` has its words or traceback; `fallback`
    names the rung that decided, `fallback_reason` why; `latency_us` maps a stage (queue, gate, warmup, prompt,
    model, parse) to its duration. Where an explicit dispatch decided, `gate` is who asked for it, `gate_reason` why it
    was refused or called off, `metadata` what its job is given; where policy refused, `gate` is the limit.
    A message of a burst is `joined` to the first one of it, by its id: that one's decision is the decision, and this
    one goes where it went. The first one's has the ids of those that it `covers`.
    With `handed_from` the thread was that agent's, and goes over to `agent`. `then` is the id that the next step of a
    workflow begins with, once the job's turn has ended well.
    Where the user was asked, `asked` says what came of it: `answered` with a choice, with `none` of them, with a choice
    that was `gone` by then, `lapsed` since the next message was about something else, `expired`; `answered_by` is the
    user's next message. That message, if it was the answer, has the outcome `answer`, and in `answer_to` the id of the
    one that it settled.
    """

    by: DecidedBy
    outcome: Outcome
    thread_id: str = ""
    job_id: str = ""
    agent: str = ""
    handed_from: str = ""
    then: str = ""
    joined: str = ""
    covers: tuple[str, ...] = ()
    thread_index: int | None = None
    name: str = ""
    language: str = ""
    default_example_id: int | None = None
    reason: str = ""
    gate: str = ""
    gate_reason: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    asked: Asked = ""
    answered_by: str = ""
    answer_to: str = ""
    fallback: Literal["", "router", "agent", "human"] = ""
    fallback_reason: str = ""
    candidates: tuple[Candidate, ...] = ()
    agents: tuple[str, ...] = ()
    examples: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    transcript: str = ""
    prompt: str = ""
    prompt_name: str = ""
    attempts: tuple[Attempt, ...] = ()
    latency_us: dict[str, int] = Field(default_factory=dict)
    code_version: str = ""

    @property
    def new_thread(self) -> bool:
        """Whether this decision started the thread."""
        return self.outcome == "start_new_thread"

"""What happens in a job's turns: model answers, tool calls and the approvals that they wait for, how a turn ends."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fleet.ledger.event import Event, Queue

__all__ = [
    "AppEventRecorded", "CallResolved", "ConfirmationAsked", "ConfirmationSettled", "JobHandedOver", "ModelAnswered",
    "SubjobStarted", "ToolIntended", "ToolReturned", "TurnEnded", "TurnResult", "TurnStarted",
]  # fmt: skip

TurnResult = Literal["success", "blocked", "need_input", "failed"]


class JobHandedOver(Event):
    """Between two turns the job goes over to the agent that its thread was handed to. Stream: job:ID."""

    TYPE = "job.handed_over"
    job_id: str
    thread_id: str
    before: str
    agent: str


class TurnStarted(Event):
    """A job woke up to answer these messages. Stream: job:ID.

    `transcript` and `prompt` are blob hashes of what the model is shown, with at most `history` entries of the
    conversation; `trouble` says why the warmup that ran was the default one. `by` is the person whose reply the
    turn is, for which no model is asked. `reminders` are the ids of those that are due and that it takes up.
    `locale` is the BCP 47 tag that the thread has from here on, "" where its language is all there is. The turns up to
    `recap` are shown in short.
    """

    TYPE = "turn.started"
    job_id: str
    thread_id: str
    turn: int
    message_ids: tuple[str, ...]
    transcript: str = ""
    prompt: str = ""
    prompt_name: str = ""
    trouble: str = ""
    history: int = 0
    by: str = ""
    reminders: tuple[str, ...] = ()
    locale: str = ""
    recap: int = 0

    def blobs(self) -> tuple[str, ...]:
        return (self.transcript, self.prompt)


class ModelAnswered(Event):
    """One model call of a turn; `content` holds the blocks as the Messages API spells them. Stream: job:ID."""

    TYPE = "step.model"
    job_id: str
    turn: int
    content: tuple[dict[str, Any], ...]
    stop_reason: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    latency_us: int = 0


class ConfirmationAsked(Event):
    """A call waits for somebody's approval: this tool, with these arguments and no others. Stream: job:ID.

    `arguments_hash` is the sha256 of the arguments, with the defaults of those left out, as canonical JSON; `approver`
    is `user` (whoever the thread belongs to, or an operator) or `operator`; `question` is what the user is asked; after
    `expires_at` no yes counts. `message_ids` are those of the turn that made the call.
    """

    TYPE = "confirm.asked"
    confirm_id: str
    job_id: str
    thread_id: str
    user: str
    turn: int
    call_id: str
    tool: str
    arguments: dict[str, Any]
    arguments_hash: str
    question: str
    approver: Literal["user", "operator"] = "user"
    expires_at: int
    message_ids: tuple[str, ...] = ()


class ConfirmationSettled(Event):
    """The one answer to a confirmation. Stream: confirm:ID, version 1, so that the first answer counts.

    `by` is `user` or an operator's name; `message_id` is the message that said so, "" for an operator. A question that
    the next message of its thread does not answer, or that was no answer since it was older, has lapsed.
    """

    TYPE = "confirm.settled"
    confirm_id: str
    job_id: str
    thread_id: str
    user: str
    verdict: Literal["approved", "denied", "expired", "lapsed"]
    by: str = ""
    message_id: str = ""

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns", self.confirm_id),)


class CallResolved(Event):
    """A person says what became of a call that was cut off. Stream: call:JOB:CALL, version 1."""

    TYPE = "call.resolved"
    job_id: str
    thread_id: str
    user: str
    call_id: str
    tool: str
    took_effect: bool
    note: str = ""
    by: str = ""

    @property
    def key(self) -> str:
        """What it is called in the queue and among what a turn has taken up."""
        return f"{self.job_id}:{self.call_id}"

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns", self.key),)


class SubjobStarted(Event):
    """A job's turn hands a task to another agent: a child job, in a thread of its own. Stream: job:ID, version 1.

    `parent`, `turn` and `call_id` say which call asked for it, and with `wait` has the child's first turn for its
    result; `message_id` is what the child's turn answers, `text` the task; `most_…` is what the child may use, 0: no
    word on it.
    """

    TYPE = "subjob.started"
    job_id: str
    parent: str
    turn: int
    call_id: str
    thread_id: str
    user: str
    agent: str
    name: str
    message_id: str
    text: str
    wait: bool = True
    most_tokens: int = 0
    most_usd: float = 0.0

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns", self.message_id),)


class ToolIntended(Event):
    """A tool with effects is about to run: recorded before it does. Stream: job:ID."""

    TYPE = "tool.intended"
    job_id: str
    turn: int
    call_id: str
    tool: str
    arguments: dict[str, Any]
    idempotency_key: str


class ToolReturned(Event):
    """A tool call ended, well or not; `content` is what the model is told. Stream: job:ID.

    `settled` names what a person had to say first: a confirmation's id, or the key of a resolved call. `unknown`:
    nobody can tell whether the call took effect.
    """

    TYPE = "tool.returned"
    job_id: str
    turn: int
    call_id: str
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    content: str
    error: bool = False
    latency_us: int = 0
    settled: str = ""
    unknown: bool = False


class AppEventRecorded(Event):
    """An application event that a tool emitted, appended together with that tool's result. Stream: job:ID."""

    TYPE = "app.event"
    name: str
    version: int = 1
    job_id: str
    user: str
    data: dict[str, Any]


class TurnEnded(Event):
    """A turn came to its uniform result. `reply` is what the user is told (a supervised agent tells nobody).

    `summary` is the thread's, for the dispatcher; `reason` says why a turn was blocked or failed; `settled` names the
    confirmations, resolved calls, persons' replies and reminders that it took up; `by` is the person whose reply it
    is, "" for the agent's own. With `then` the result is the input of a workflow's next step, which begins with the
    message of that id; `subjobs` are the child jobs that it waited for and that are called off with it; `asks` names
    the confirmations that the reply puts to the user, who can answer no others. A blocked turn may say what it
    `waits_for`: an operator's word on a call that needs approval, or that was cut off. Stream: job:ID.
    """

    TYPE = "turn.ended"
    job_id: str
    thread_id: str
    user: str
    turn: int
    message_ids: tuple[str, ...]
    result: TurnResult
    reply_id: str = ""
    reply: str = ""
    deliver: bool = True
    summary: str = ""
    reason: str = ""
    settled: tuple[str, ...] = ()
    by: str = ""
    then: str = ""
    subjobs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    waits_for: Literal["", "approval", "resolution"] = ""

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        reply: tuple[tuple[Queue, str], ...] = (("outbox", self.reply_id),) if self.reply_id and self.deliver else ()
        return (*reply, ("steps", self.then)) if self.then else reply

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return tuple(("turns", key) for key in (*self.message_ids, *self.settled))

"""A message's trace: spans with the times of the ledger. Values only; nothing here knows a tracing library.

    fleet.message                        from accepted to delivered; the dispatch.* events stand on it
    ├── fleet.route                      from accepted to decided
    │   ├── fleet.queue · fleet.gate · fleet.warmup
    │   ├── chat MODEL                   each answer of a routing model
    │   ├── fleet.parse
    │   └── fleet.apply                  the decision becomes durable
    ├── invoke_agent ROLE                the turn that answers
    │   ├── chat MODEL
    │   └── execute_tool NAME
    └── fleet.deliver

Durations are as recorded. Of a stage only its duration is on record, so the stages stand one behind the other from
the moment of acceptance on, in the order in which they run. A turn that answers several messages stands whole in the
first one's trace; the others' link to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.audit import semconv as sem
from fleet.audit.content import Content
from fleet.audit.explanation import Step
from fleet.audit.persons import BY_PERSONS
from fleet.audit.span import Event, Kind, Span, Values
from fleet.audit.timeline import Followed, follow, totals_of
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Attempt, Decision, FleetStarted, MessageAccepted, MessageDecided, ReplyFailed

__all__ = ["spans_of"]

_SEQUENCE = ("queue", "gate", "warmup", "prompt")  # stages before the model
_FAILED = ("failed", "blocked")


def spans_of(ledger: Ledger, decided: Stored, content: Content | None = None) -> list[Span]:
    """The trace of the message that the event `decided` is about, root first, parents before children.

    Texts of users, models and tools are in it only with `content`. Reads that message's history only.
    """
    event = decided.event
    if not isinstance(event, MessageDecided):
        raise TypeError(f"event {decided.seq} is a {event.TYPE}, no decision")
    (accepted, *_) = ledger.read_stream(decided.stream)
    trace = _Trace(accepted, decided, event, follow(ledger, accepted, decided), content)
    return [trace.root(), *trace.routing(), *trace.turn(), *trace.delivery()]


class _Trace:
    def __init__(
        self,
        accepted: Stored,
        decided: Stored,
        event: MessageDecided,
        followed: Followed,
        content: Content | None,
    ) -> None:
        self.accepted, self.decided, self.followed, self.content = accepted, decided, followed, content
        self.event, self.decision = event, event.decision
        self.steps = [step for step in followed.steps if step.kind not in (FleetStarted.TYPE, *BY_PERSONS)]

    def _span(self, part: str, parent: str, name: str, start: int, end: int, **rest: Any) -> Span:
        return Span(self.event.message_id, part, parent, name, start, max(start, end), **rest)

    def root(self) -> Span:
        """The message's own span, with the events of its dispatch."""
        message, decision, ended = self.accepted.event, self.decision, self.followed.ended
        attributes: dict[str, Any] = {"fleet.message.id": self.event.message_id, sem.USER_ID: self.event.user}
        if isinstance(message, MessageAccepted):
            attributes |= {"fleet.channel": message.channel, "fleet.session.id": message.session_id}
        attributes |= _where(decision) | {"fleet.result": ended.result if ended else ""}
        if self.content:
            attributes |= self.content.message(self.event)
        error = ""
        if decision.outcome == "error":
            error = "its burst ended as an error" if decision.joined else f"the {decision.by} ended it as an error"
        elif ended is not None and ended.result in _FAILED:
            error = f"the turn ended as {ended.result}"
        elif isinstance(self.followed.delivery, ReplyFailed):
            error = "the reply was not delivered"
        end = max([self.decided.at, *(step.at for step in self.steps)])
        return self._span(
            "message", "", "fleet.message", self.accepted.at, end,
            attributes=_known(attributes), events=self._events(), kind="consumer", error=error,
        )  # fmt: skip

    def _events(self) -> list[Event]:
        decision, at, ended = self.decision, self.decided.at, self.followed.ended
        where = _known(_where(decision))
        events = [Event(sem.REQUEST_CREATED, self.accepted.at), Event(sem.DECISION_MADE, at, where)]
        if decision.thread_id:
            events.append(Event(sem.SCHEDULED, at, _known({"fleet.job.id": decision.job_id})))
        elif decision.outcome == "human":
            events.append(Event(sem.TAKEN_OVER, at))
        else:
            events.append(Event(sem.FAILED if decision.outcome == "error" else sem.COMPLETED, at))
        for step in self.followed.steps:
            if step.kind == FleetStarted.TYPE and step.at >= at:  # what was begun is finished by another process
                events.append(Event("fleet.worker.started", step.at, {"fleet.pid": step.data["pid"]}))
            elif step.kind == "turn.ended" and ended is not None:
                name = sem.FAILED if ended.result in _FAILED else sem.COMPLETED
                events.append(Event(name, step.at, {"fleet.result": ended.result}))
        return events

    def routing(self) -> list[Span]:
        """How it was decided: the stages, one behind the other."""
        decision, end = self.decision, self.decided.at
        took = decision.latency_us
        spans = [
            self._span(
                "route", "message", "fleet.route", self.accepted.at, end,
                attributes=_known(_where(decision) | {"fleet.seq": self.decided.seq}),
            )
        ]  # fmt: skip
        at = self.accepted.at
        stages: list[tuple[str, str, int, dict[str, Any]]] = [
            (stage, f"fleet.{stage}", took[stage], {"attributes": self._stage(stage)})
            for stage in _SEQUENCE
            if stage in took
        ]
        for number, each in enumerate(decision.attempts, 1):
            stages.append((f"answer {number}", _chat(each.model), each.latency_us, self._attempt(number, each)))
        if "parse" in took:
            verdicts = [each.verdict or "no answer" for each in decision.attempts]
            refused = not any(verdict == "ok" for verdict in verdicts)
            parsed = {"attributes": {"fleet.verdicts": verdicts}, "error": "no answer is an action" if refused else ""}
            stages.append(("parse", "fleet.parse", took["parse"], parsed))
        for part, name, us, rest in stages:
            start, at = at, min(at + us, end)
            spans.append(self._span(part, "route", name, start, at, **rest))
        return [*spans, self._span("apply", "route", "fleet.apply", at, end)]

    def _stage(self, stage: str) -> Values:
        return _known(self.content.gate(self.decision)) if stage == "gate" and self.content else {}

    def _attempt(self, number: int, attempt: Attempt) -> dict[str, Any]:
        attributes = _calling(attempt.model) | {
            sem.PROMPT_NAME: self.decision.prompt_name,
            "fleet.prompt.hash": self.decision.prompt,
            "fleet.verdict": attempt.verdict,
        }
        if attempt.error:
            attributes[sem.ERROR_TYPE] = "no_answer"
        else:
            attributes |= _answered(attempt.model, attempt.stop_reason, totals_of([attempt]).as_dict()["tokens"])
            attributes["fleet.cost_usd"] = attempt.cost_usd
        sure = attempt.extra.get("confidence")
        attributes["fleet.confidence"] = sure if isinstance(sure, float) else ""
        if self.content:
            attributes |= self.content.routing(self.decision, number)
        error = "the model gave no answer" if attempt.error else ""
        return {"attributes": _known(attributes), "kind": _kind(attempt.model), "error": error}

    def turn(self) -> list[Span]:
        """The turn that answers, and its steps."""
        began = next((step for step in self.steps if step.kind == "turn.started"), None)
        if began is None:
            return []
        ended = next((step for step in self.steps if step.kind == "turn.ended"), None)
        inside = [step for step in self.steps if began.seq <= step.seq and not step.kind.startswith("reply.")]
        part, lead = f"turn {began.seq}", began.data["message_ids"][0]
        whole = lead == self.event.message_id
        result = ended.data["result"] if ended else ""
        models = (step.data["model"] for step in inside if step.kind == "step.model")
        attributes = {
            sem.OPERATION_NAME: sem.INVOKE_AGENT,
            sem.PROVIDER_NAME: next((_calling(model)[sem.PROVIDER_NAME] for model in models), ""),
            sem.AGENT_NAME: self.decision.agent,
            sem.CONVERSATION_ID: self.decision.thread_id,
            "fleet.job.id": began.data["job_id"],
            "fleet.turn": began.data["turn"],
            "fleet.result": result,
            sem.ERROR_TYPE: result if result in _FAILED else "",
        }
        if whole and self.content and ended:
            attributes |= self.content.ended(ended)
        events = [
            Event(f"fleet.{step.kind}", step.at, {"fleet.name": _named(step)})
            for step in inside
            if whole and step.kind in ("tool.intended", "confirm.asked", "subjob.started", "app.event", "reminder.set")
        ]
        span = self._span(
            part, "message", f"{sem.INVOKE_AGENT} {self.decision.agent}", began.at, inside[-1].at,
            attributes=_known(attributes), events=events, link=None if whole else (lead, part),
            error=f"the turn ended as {result}" if result in _FAILED else "",
        )  # fmt: skip
        return [span, *self._steps(part, began, inside)] if whole else [span]

    def _steps(self, parent: str, began: Step, inside: Sequence[Step]) -> list[Span]:
        spans: list[Span] = []
        first: Step | None = began
        for step in inside:
            if step.kind == "step.model":
                name, rest = _chat(step.data["model"]), self._answer(step, first)
                first = None
            elif step.kind == "tool.returned":
                name, rest = f"{sem.EXECUTE_TOOL} {step.data['tool']}", self._tool(step)
            else:
                continue
            start = max(began.at, step.at - (step.took_us or 0))
            spans.append(self._span(f"step {step.seq}", parent, name, start, step.at, **rest))
        return spans

    def _answer(self, step: Step, began: Step | None) -> dict[str, Any]:
        """A model call of the turn; `began` is given with the first."""
        data = step.data
        attributes = _calling(data["model"]) | _answered(data["model"], data["stop_reason"], data["tokens"])
        attributes |= {
            sem.CONVERSATION_ID: self.decision.thread_id,
            sem.AGENT_NAME: self.decision.agent,
            "fleet.cost_usd": data["cost_usd"],
        }
        if self.content:
            attributes |= self.content.answer(step, began)
        return {"attributes": _known(attributes), "kind": _kind(data["model"])}

    def _tool(self, step: Step) -> dict[str, Any]:
        data = step.data
        attributes = {
            sem.OPERATION_NAME: sem.EXECUTE_TOOL,
            sem.TOOL_NAME: data["tool"],
            sem.TOOL_TYPE: "function",
            sem.TOOL_CALL_ID: data["call_id"],
            sem.ERROR_TYPE: "tool_error" if data["error"] else "",
        }
        if self.content:
            attributes |= self.content.tool(step)
        error = "the tool failed" if data["error"] else ""
        return {"attributes": _known(attributes), "error": error}

    def delivery(self) -> list[Span]:
        """The reply's way to its channel."""
        for step in self.steps:
            if step.kind in ("reply.delivered", "reply.failed"):
                attributes = {
                    "fleet.reply.id": step.data["reply_id"],
                    "fleet.attempts": step.data["attempts"],
                    sem.ERROR_TYPE: step.data.get("error", ""),
                }
                start = step.at - (step.took_us or 0)
                error = "the reply was not delivered" if step.trouble else ""
                return [
                    self._span(
                        f"deliver {step.seq}", "message", "fleet.deliver", start, step.at,
                        attributes=_known(attributes), error=error,
                    )
                ]  # fmt: skip
        return []


def _where(decision: Decision) -> dict[str, Any]:
    """Where it went and who decided: ids and words of ours only. `fleet.gate` is a dispatch's sender too."""
    return {
        "fleet.action": decision.outcome,
        "fleet.by": decision.by,
        "fleet.fallback": decision.fallback,
        "fleet.gate": decision.gate,
        "fleet.joined": decision.joined,
        sem.AGENT_NAME: decision.agent,
        sem.CONVERSATION_ID: decision.thread_id,
    }


def _calling(model: str) -> dict[str, Any]:
    """Which provider's model was called: those without another prefix speak the Messages API."""
    prefix, _, rest = model.rpartition(":")
    provider = prefix if prefix and prefix != "anthropic" else "anthropic"
    named = rest if provider == "anthropic" else model
    return {sem.OPERATION_NAME: sem.CHAT, sem.PROVIDER_NAME: provider, sem.REQUEST_MODEL: named}


def _chat(model: str) -> str:
    return f"{sem.CHAT} {_calling(model)[sem.REQUEST_MODEL]}"


def _kind(model: str) -> Kind:
    return "client" if _calling(model)[sem.PROVIDER_NAME] == "anthropic" else "internal"


def _answered(model: str, stop_reason: str, tokens: Mapping[str, int]) -> dict[str, Any]:
    """What came back. Tokens are left out where none were counted; those of the input include the cached ones."""
    answered: dict[str, Any] = {
        sem.RESPONSE_MODEL: model,
        sem.RESPONSE_FINISH_REASONS: [stop_reason] if stop_reason else [],
    }
    if any(tokens.values()):
        answered |= {
            sem.USAGE_INPUT_TOKENS: tokens["input"] + tokens["cache_read"] + tokens["cache_write"],
            sem.USAGE_OUTPUT_TOKENS: tokens["output"],
            sem.USAGE_CACHE_READ_INPUT_TOKENS: tokens["cache_read"],
            sem.USAGE_CACHE_CREATION_INPUT_TOKENS: tokens["cache_write"],
        }
    return answered


def _named(step: Step) -> str:
    """What a step is about: a tool, an application's event, an agent."""
    return str(next(step.data[each] for each in ("tool", "name", "agent") if each in step.data))


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What has a value."""
    return {name: value for name, value in attributes.items() if value not in ("", [], None)}

"""The texts of a message's trace, as attributes: what people, models and tools said. Only where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fleet.audit import semconv as sem
from fleet.audit.explanation import Step
from fleet.errors import LedgerError
from fleet.ledger.base import Ledger
from fleet.ledger.events import Decision, MessageAccepted, MessageDecided
from fleet.routing.thinking import echo_of
from fleet.workers.conversation import messages_for

__all__ = ["Content"]


class Content:
    """Reads texts out of a ledger; give it a redacted one to have them redacted. Messages are JSON in a string."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def message(self, event: MessageDecided) -> dict[str, Any]:
        """The user's text, and why it went where it did."""
        decision = event.decision
        return {
            "fleet.text": event.text,
            "fleet.thread.name": decision.name,
            "fleet.reason": decision.reason,
            "fleet.fallback.reason": decision.fallback_reason,
        }

    def gate(self, decision: Decision) -> dict[str, Any]:
        """The gate's own words."""
        return {"fleet.gate.reason": decision.gate_reason}

    def routing(self, decision: Decision, number: int) -> dict[str, Any]:
        """What the routing model was sent before its answer `number`, from 1 on, and the answer."""
        attempt = decision.attempts[number - 1]
        said = [_message("user", [_text(self._blob(decision.transcript))])]
        before = decision.attempts[number - 2] if number > 1 else None
        if before is not None and before.told:
            said.append(_message("assistant", [_text(echo_of(before.answer))]))
            said.append(_message("user", [_text(before.told)]))
        found = self._sent(decision.prompt, said)
        if attempt.error:
            return found | {"fleet.error": attempt.error}
        return found | {sem.OUTPUT_MESSAGES: _json([_answer([_text(attempt.answer)], attempt.stop_reason)])}

    def answer(self, step: Step, began: Step | None) -> dict[str, Any]:
        """An answer of the turn's model; with the turn's first, `began`, what the turn was begun with.

        Earlier messages of the thread stand in their own traces and are not repeated.
        """
        found: dict[str, Any] = {}
        if began is not None:
            words = "\n".join(self._words(began.data["message_ids"]))
            tail = [json.dumps({"role": "user", "content": words})]
            (newest,) = messages_for(tail, self._blob(began.data["transcript"]), 1)
            found = self._sent(began.data["prompt"]["hash"], [_message("user", [_text(str(newest["content"]))])])
        parts = [_part(block) for block in step.data["content"]]
        return found | {sem.OUTPUT_MESSAGES: _json([_answer(parts, step.data["stop_reason"])])}

    def tool(self, step: Step) -> dict[str, Any]:
        """A tool's arguments and result."""
        return {sem.TOOL_CALL_ARGUMENTS: _json(step.data["arguments"]), sem.TOOL_CALL_RESULT: step.data["content"]}

    def ended(self, step: Step) -> dict[str, Any]:
        """What the user was told, and why a turn was blocked or failed."""
        return {"fleet.reply": step.data["reply"], "fleet.reason": step.data["reason"]}

    def _sent(self, prompt: str, said: list[dict[str, Any]]) -> dict[str, Any]:
        system = self._blob(prompt)
        return {
            sem.SYSTEM_INSTRUCTIONS: _json([_text(system)]) if system else "",
            sem.INPUT_MESSAGES: _json(said),
        }

    def _words(self, message_ids: Iterable[str]) -> Iterable[str]:
        for message_id in message_ids:
            event = self._ledger.read_stream(f"message:{message_id}")[0].event
            yield event.text if isinstance(event, MessageAccepted) else ""

    def _blob(self, hash_: str) -> str:
        """A stored text; what the ledger does not hold any more is empty."""
        try:
            return self._ledger.blob(hash_).decode() if hash_ else ""
        except LedgerError:
            return ""


def _message(role: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": role, "parts": parts}


def _answer(parts: list[dict[str, Any]], stop_reason: str) -> dict[str, Any]:
    return _message("assistant", parts) | {"finish_reason": stop_reason}


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block of the Messages API as the conventions spell it."""
    if block["type"] == "text":
        return _text(block["text"])
    if block["type"] == "tool_use":
        return {"type": "tool_call", "id": block["id"], "name": block["name"], "arguments": block["input"]}
    if block["type"] == "thinking":
        return {"type": "reasoning", "content": block["thinking"]}
    return dict(block)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

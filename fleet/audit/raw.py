"""What the models of one message saw and said, word for word, out of the ledger's blobs."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fleet.audit.explanation import Explanation, Step
from fleet.audit.sent import first_messages
from fleet.errors import LedgerError
from fleet.ledger.base import Ledger
from fleet.routing.thinking import echo_of

__all__ = ["RawPart", "raw_parts"]


@dataclass(frozen=True)
class RawPart:
    """One text as it was sent or received. `what` names it; `hash` is its blob's, "" if it is kept in the event."""

    what: str
    text: str
    hash: str = ""

    def as_dict(self) -> dict[str, str]:
        """The JSON object."""
        return {"what": self.what, "hash": self.hash, "text": self.text}


def raw_parts(ledger: Ledger, explanation: Explanation) -> tuple[RawPart, ...]:
    """The router's system prompt, transcript, answers and what it was told about them; then the same of the turn.

    Word for word as they were sent and received. A text that the ledger does not hold any more is named with the
    reason in its place.
    """
    parts: list[RawPart] = []
    decision = explanation.decision
    if decision is not None and decision.attempts:
        parts += _blobs(ledger, "router", decision.prompt, decision.transcript)
    for number, attempt in enumerate(decision.attempts if decision else (), 1):
        if attempt.verdict:
            parts.append(RawPart(f"router: answer {number} of {attempt.model}", attempt.answer))
            if attempt.told:
                echo = echo_of(attempt.answer)
                if echo != attempt.answer:
                    parts.append(RawPart(f"router: shown as its answer {number}", echo))
                parts.append(RawPart(f"router: told about answer {number} ({attempt.verdict})", attempt.told))
        else:
            parts.append(RawPart(f"router: no answer {number} of {attempt.model}", attempt.error))
    answers = 0
    for step in explanation.steps:
        if step.kind == "turn.started":
            parts += _first_call(ledger, explanation.message.user, step)
        elif step.kind == "step.model":
            answers += 1
            content = json.dumps(step.data["content"], ensure_ascii=False, indent=2)
            parts.append(RawPart(f"agent: answer {answers} of {step.data['model']}", content))
        elif step.kind == "tool.returned" and answers:  # else it is among the messages before the first answer
            parts.append(
                RawPart(f"agent: told about {step.data['call_id']} ({step.data['tool']})", step.data["content"])
            )
    return tuple(parts)


def _first_call(ledger: Ledger, user: str, step: Step) -> list[RawPart]:
    """What the turn's first model call was sent: earlier messages of the thread too."""
    parts = _blobs(ledger, "agent", step.data["prompt"]["hash"], "")
    hash_ = step.data["transcript"]
    if not hash_:
        return parts
    try:
        *earlier, newest = first_messages(ledger, user, step.seq, ledger.blob(hash_).decode())
    except LedgerError as error:
        return [*parts, RawPart("agent: transcript and message", f"(not in the record: {error.message})", hash_)]
    if earlier:
        said = json.dumps(earlier, ensure_ascii=False, indent=2)
        parts.append(RawPart("agent: earlier messages of the thread", said))
    content = newest["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for number, block in enumerate(content):
        what = "agent: and in the same message" if number else "agent: transcript and message"
        text = block["text"] if block["type"] == "text" else json.dumps(block, ensure_ascii=False, indent=2)
        parts.append(RawPart(what, text))
    return parts


def _blobs(ledger: Ledger, who: str, prompt: str, transcript: str) -> list[RawPart]:
    return [
        RawPart(f"{who}: {what}", _blob(ledger, hash_), hash_)
        for what, hash_ in (("system prompt", prompt), ("transcript", transcript))
        if hash_
    ]


def _blob(ledger: Ledger, hash_: str) -> str:
    try:
        return ledger.blob(hash_).decode()
    except LedgerError as error:
        return f"(not in the record: {error.message})"

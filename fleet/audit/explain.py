"""Why a message went where it did: read from the ledger alone, beside a running worker or from a copied file."""

from __future__ import annotations

import re

from fleet.audit.asked import asked_of, came_of_it
from fleet.audit.explanation import Explanation, Shown, State, Step
from fleet.audit.find import find_message
from fleet.audit.inert import inert, name
from fleet.audit.labels import labels_of
from fleet.audit.letters import LETTERS, letter_step, standing
from fleet.audit.rules import rules_of
from fleet.audit.timeline import Followed, asked_steps, follow, totals_of
from fleet.audit.wording import duration
from fleet.clock import iso
from fleet.errors import InputError, LedgerError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Decision, MessageAccepted, MessageDecided, MessageDropped, QuestionAsked, ReplyFailed

__all__ = ["explain", "find_message"]

_THREAD = re.compile(r"threads\[(\d+)\]")
_HEADING = re.compile(r"[A-Z][\w ]*:$")  # as in "Available agents:"
_SAID = 300  # characters of a reason within a sentence
_ENDS: dict[str, State] = {
    "drop": "dropped", "error": "error", "human": "human", "cancelled": "cancelled", "answer": "answer",
}  # fmt: skip
_RESULTS: dict[str, State] = {
    "success": "answered",
    "need_input": "answered",
    "blocked": "blocked",
    "failed": "failed",
}
_STAGES = ("queue", "gate", "warmup", "prompt", "model", "parse")


def explain(ledger: Ledger, message_id: str) -> Explanation:
    """Everything on record about the message with this very id; it reads that message's history only.

    Raises: InputError if there is no such message; LedgerError if the ledger cannot be read.
    """
    accepted: Stored | None = None
    decided: Stored | None = None
    question: Stored | None = None
    letters: list[Stored] = []
    for stored in ledger.read_stream(f"message:{message_id}"):
        if isinstance(stored.event, MessageAccepted):
            accepted = stored
        elif isinstance(stored.event, LETTERS):
            letters.append(stored)
        elif isinstance(stored.event, MessageDecided):
            decided = stored
        elif isinstance(stored.event, QuestionAsked):
            question = stored
    if accepted is None or not isinstance(accepted.event, MessageAccepted):
        raise InputError(f"there is no message {name(message_id)} in this ledger")
    message = accepted.event
    steps = [
        Step(accepted.at, accepted.seq, MessageAccepted.TYPE, None, {"user": message.user, "channel": message.channel}),
        *map(letter_step, letters),
        *(asked_steps(ledger, question) if question is not None else ()),
    ]
    if decided is None or not isinstance(decided.event, MessageDecided):
        asked = asked_of(ledger, question, None)
        is_open = question is not None and all(each.seq < question.seq for each in letters)
        stands = standing(message, letters, asked.expires_at if asked is not None and is_open else 0)
        steps.sort(key=lambda step: step.seq)
        return Explanation(message, accepted.at, accepted.seq, *stands, steps=tuple(steps), asked=asked)
    decision = decided.event.decision
    steps.append(_decided(decided, decision, accepted.at))
    followed = follow(ledger, accepted, decided, letters)
    steps = sorted([*steps, *followed.steps], key=lambda step: step.seq)
    notes: list[str] = []
    candidates = _candidates(ledger, decision, notes)
    state, outcome = _outcome(decision, followed, accepted.at, steps)
    if letters and isinstance(letters[-1].event, MessageDropped):
        state, _, outcome = standing(message, letters)
    ended = followed.ended
    return Explanation(
        message,
        accepted.at,
        accepted.seq,
        state,
        _where(decision),
        outcome,
        decision,
        decided.at,
        decided.seq,
        candidates,
        tuple(steps),
        totals_of(decision.attempts),
        followed.answering,
        followed.handed_on,
        followed.handed_models,
        followed.started.turn if followed.started else None,
        ended.result if ended else "",
        ended.reply if ended else "",
        ended.reply_id if ended else "",
        rules=_rules(ledger, decision, notes),
        labels=labels_of(ledger, message_id),
        notes=tuple(notes),
        asked=asked_of(ledger, question, decision),
    )


def _decided(stored: Stored, decision: Decision, accepted_at: int) -> Step:
    stages = {stage: decision.latency_us[stage] for stage in _STAGES if stage in decision.latency_us}
    data = {
        "by": decision.by,
        "joined": decision.joined,
        "action": decision.outcome,
        "latency_us": stages | dict(decision.latency_us),
    }
    return Step(stored.at, stored.seq, MessageDecided.TYPE, stored.at - accepted_at, data, decision.by == "fallback")


def _text(ledger: Ledger, hash_: str, notes: list[str]) -> str:
    """A blob's text; what could not be read becomes a note."""
    if not hash_:
        return ""
    try:
        return ledger.blob(hash_).decode()
    except LedgerError as error:
        notes.append(error.message)
        return ""


def _rules(ledger: Ledger, decision: Decision, notes: list[str]) -> tuple[str, ...]:
    return rules_of(_text(ledger, decision.prompt, notes)) if decision.attempts else ()


def _candidates(ledger: Ledger, decision: Decision, notes: list[str]) -> tuple[Shown, ...]:
    """The candidates with their lines of the transcript."""
    printed = _printed(_text(ledger, decision.transcript, notes))
    return tuple(
        Shown(
            index,
            each.thread_id,
            each.agent,
            each.name,
            each.latest_activity_at,
            decision.thread_index == index,
            tuple(printed.get(index, ())),
        )
        for index, each in enumerate(decision.candidates)
    )


def _printed(transcript: str) -> dict[int, list[str]]:
    """The lines below each `threads[i]`, up to the next one or a heading. No user's text can begin a line there."""
    found: dict[int, list[str]] = {}
    lines: list[str] | None = None
    for line in transcript.split("\n"):
        head = _THREAD.match(line)
        if head:
            lines = found.setdefault(int(head[1]), [])
            rest = line[head.end() :].lstrip(": ")
            if rest:
                lines.append(rest)
        elif _HEADING.match(line):
            lines = None
        elif lines is not None and line.strip():
            lines.append(line)
    return found


def _where(decision: Decision) -> str:
    """One sentence: where the message went, and who decided that."""
    agent, thread = name(decision.agent), name(decision.thread_id)
    titled = f"{thread} {inert(decision.name)}" if decision.name else thread
    by = f"{_by(decision)}{came_of_it(decision)}"
    if decision.outcome == "answer":
        return f"Nowhere by itself: it answers what the user was asked about {name(decision.answer_to)}."
    if decision.outcome == "dispatch_to":
        if decision.handed_from:
            return f"It continues thread {titled}, handed over from {name(decision.handed_from)} to {agent}; {by}."
        place = "" if decision.thread_index is None else f", printed as threads[{decision.thread_index}]"
        return f"It continues thread {titled} of {agent}{place}; {by}."
    if decision.outcome == "start_new_thread":
        example = "" if decision.default_example_id is None else f", with example {decision.default_example_id}"
        return f"It starts the new thread {titled} with {agent} in {name(decision.language)}{example}; {by}."
    if decision.outcome == "drop":
        return f"Nowhere: {by}" + ("." if decision.joined else ", which dropped it.")
    if decision.outcome == "error":
        return f"Nowhere: {by}" + ("." if decision.joined else ", as an error.")
    if decision.outcome == "cancelled":
        return f"Nowhere: {name(decision.gate)} called it off before it was assigned."
    return f"To a person: {by}."


def _by(decision: Decision) -> str:
    model = name(decision.attempts[-1].model) if decision.attempts else "no model"
    if decision.by == "user":
        none = decision.asked == "none"
        return "the user, when asked, meant none of the choices" if none else "the user, when asked, said so"
    if decision.by == "dispatch":
        return f"{name(decision.gate)} dispatched it" if decision.gate else "it was dispatched"
    if decision.by == "joined":
        return f"it came right after {name(decision.joined)} and was routed with it: fleet why {name(decision.joined)}"
    if decision.by == "policy":
        return f"policy ({name(decision.gate)}) refused it"
    if decision.by == "gate":
        if decision.gate == "session":
            return "the session that it belongs to decided"
        named = decision.gate not in ("", "gate")  # a function without a name of its own is called gate
        return f"the gate {name(decision.gate)} decided" if named else "the application's gate decided"
    if decision.fallback == "router":
        return f"the fallback router {model} decided"
    if decision.fallback == "agent":
        return "no model could place it, so the default agent got it"
    if decision.by == "fallback":
        return "nothing could place it"
    return f"the model {model} decided"


def _outcome(decision: Decision, followed: Followed, accepted_at: int, steps: list[Step]) -> tuple[State, str]:
    """What came of it: the state, and a sentence."""
    if decision.outcome in _ENDS:
        said = {
            "drop": "It was dropped; nobody answers it.",
            "error": "It ended as an error; nobody answers it.",
            "human": "It waits for a person; no agent answers it.",
            "cancelled": "It was called off; nobody answers it.",
            "answer": f"`fleet why {name(decision.answer_to)}` tells what followed.",
        }
        return _ENDS[decision.outcome], said[decision.outcome]
    started, ended = followed.started, followed.ended
    if ended is None:
        if followed.held_by:
            return "human", f"Not yet answered: it waits for {name(followed.held_by)}, who took its thread over."
        if started is None:
            return "routed", "Not yet answered: no turn of its thread has taken it up."
        return "working", f"Not yet answered: turn {started.turn} began at {iso(_at(steps, started.TYPE))} and goes on."
    took = duration(_at(steps, ended.TYPE) - accepted_at)
    why = f": {inert(ended.reason, _SAID)}" if ended.reason else ""
    state = "dead" if followed.dead else _RESULTS[ended.result]
    first = f"Turn {ended.turn} ended after {took} as {ended.result}{why}"
    first += f", answered by {name(ended.by)} in the agent's place" if ended.by else ""
    if not ended.reply_id or not ended.reply:
        return state, f"{first}; nothing was replied."
    if ended.then:
        return state, f"{first}; the result went on to the workflow's next step, {name(ended.then)}."
    if not ended.deliver:
        return state, f"{first}; the result is on record and goes to nobody."
    if followed.delivery is None:
        return state, f"{first}; the reply is in the outbox, not yet delivered."
    tries = f"{followed.delivery.attempts} attempt{'s' * (followed.delivery.attempts > 1)}"
    if isinstance(followed.delivery, ReplyFailed):
        return "failed", f"{first}; the reply was not delivered ({tries}: {name(followed.delivery.error)})."
    return state, f"{first}; the reply was delivered ({tries})."


def _at(steps: list[Step], kind: str) -> int:
    return next(step.at for step in steps if step.kind == kind)

"""One exchange for people: a message, where it went and why, what came of it; for `fleet demo` and `fleet chat`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from fleet.cli.pretty import data, indented, lines
from fleet.ledger.base import Ledger
from fleet.ledger.events import Decision, MessageDecided, QuestionAsked, TurnEnded

__all__ = ["decided_of", "decision_page", "ended_of", "message_line", "question_page", "reply_page"]

_WIDTH = 60  # columns of a thread's name


def decided_of(ledger: Ledger, message_id: str) -> MessageDecided | None:
    """The decision about a message, if there is one."""
    events = (stored.event for stored in ledger.read_stream(f"message:{message_id}"))
    return next((event for event in events if isinstance(event, MessageDecided)), None)


def ended_of(ledger: Ledger, decided: MessageDecided) -> TurnEnded | None:
    """The end of the turn that answers a message, if there is one."""
    steps = (stored.event for stored in ledger.read_stream(f"job:{decided.decision.job_id}"))
    return next(
        (event for event in steps if isinstance(event, TurnEnded) and decided.message_id in event.message_ids), None
    )


def message_line(message_id: str, user: str, text: str) -> RenderableType:
    """Who wrote what."""
    return Text.assemble(data(message_id, "dim"), "  ", data(user, "bold"), ": ", data(text))


def decision_page(decision: Decision) -> RenderableType:
    """Where a message goes, and the reason that the model, gate or fallback gave."""
    match decision.outcome:
        case "dispatch_to" | "start_new_thread":
            verb = "continues" if decision.outcome == "dispatch_to" else "new thread"
            where = Text.assemble(f"{verb} ", data(decision.thread_id, "cyan"))
            if decision.name:
                where.append_text(Text.assemble(" “", data(decision.name, "", _WIDTH), "”"))
            where.append_text(Text.assemble(" with ", data(decision.agent, "cyan")))
        case "human":
            where = Text("nobody could place it: a person must decide", "yellow")
        case "answer":
            where = Text.assemble("answers the question about ", data(decision.answer_to, "cyan"))
        case other:
            where = Text(f"goes nowhere: {other}", "yellow")
    parts: list[RenderableType] = [indented(Text.assemble("→ ", where), 2)]
    reason = decision.reason or decision.gate_reason
    if reason:
        parts.append(indented(lines(reason, "dim"), 4))
    if decision.fallback:
        why = data(f"fallback ({decision.fallback}): {decision.fallback_reason}", "yellow")
        parts.append(indented(why, 4))
    return Group(*parts)


def question_page(asked: QuestionAsked) -> RenderableType:
    """What the user is asked about a message."""
    return Group(indented(Text("dispatcher:", "green"), 2), indented(lines(asked.text), 4))


def reply_page(ended: TurnEnded, agent: str) -> RenderableType:
    """What came of a turn: the reply, or a supervised agent's result, which goes to whoever supervises it."""
    head = data(f"{agent}:", "green")
    if ended.then:
        head.append(" a result for the workflow's next step", "dim")
    elif not ended.deliver and ended.reply:
        head.append(" a result for its supervisor; the user is not written to", "dim")
    if ended.result not in ("success", "need_input"):
        head.append_text(Text.assemble(" ", data(f"{ended.result}: {ended.reason}", "red")))
    return Group(indented(head, 2), indented(lines(ended.reply), 4))

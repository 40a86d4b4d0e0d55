"""What followed a decision, as rows for people; each text of a user, model or tool is one inert line."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fleet.audit.explanation import Explanation, Step
from fleet.audit.inert import inert, inert_json, name
from fleet.audit.wording import duration

__all__ = ["timeline_table"]

_PART = 300  # characters of a tool's arguments, a result, a reply


def timeline_table(explanation: Explanation) -> Table:
    """One row a step: after how long it was on record, how long it took, what it was."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("right", "right", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(*(Text(word, style="dim") for word in ("  after", "took", "", "")))
    for step in explanation.steps:
        word, detail = _step(step, explanation)
        grid.add_row(
            Text(f"  {duration(step.at - explanation.accepted_at)}"),
            Text("" if step.took_us is None else duration(step.took_us)),
            Text(word, style="red" if step.trouble else ""),
            Text(detail),
        )
    return grid


def _step(step: Step, explanation: Explanation) -> tuple[str, str]:
    """A step's word and its details, inert."""
    data = step.data
    if step.kind == "message.accepted":
        return "accepted", "durable in the inbox"
    if step.kind == "message.decided":
        stages = ", ".join(f"{stage} {duration(us)}" for stage, us in data["latency_us"].items())
        by = f"with {name(data['joined'])}" if data["joined"] else f"by the {data['by']}"
        return "decided", f"{data['action']} {by}{f' ({stages})' if stages else ''}"
    if step.kind == "question.asked":
        return "user asked", f"{name(data['reply_id'])}, until {data['expires_at']}"
    if step.kind == "fleet.started":
        return "worker start", f"pid {data['pid']}, version {name(data['code_version'])}"
    if step.kind == "turn.started":
        others = [name(each) for each in data["message_ids"] if each != explanation.message.message_id]
        together = f", together with {', '.join(others)}" if others else ""
        together += f", by {name(data['by'])} in the agent's place" if data["by"] else ""
        together += f", in {name(data['locale'])}" if data["locale"] else ""
        together += f", turns 1 to {data['recap']} in short" if data["recap"] else ""
        note = f"; the agent's warmup failed, the default one ran: {inert(data['note'], _PART)}" if data["note"] else ""
        return "turn start", f"turn {data['turn']} of {name(data['job_id'])}{together}{note}"
    if step.kind == "step.model":
        asks = f"asks for {', '.join(map(name, data['tools']))}" if data["tools"] else ""
        said = f"says {inert(data['text'], _PART)}" if data["text"] else ""
        stop = "" if data["stop_reason"] in ("end_turn", "tool_use") else f"stopped: {name(data['stop_reason'])}"
        return "model", f"{name(data['model'])} {'; '.join(filter(None, (asks, said, stop)))}"
    if step.kind == "confirm.asked":
        call = f"{name(data['tool'])} {inert_json(data['arguments'], _PART)}"
        return "approval asked", f"{name(data['confirm_id'])} of the {data['approver']} for {call}"
    if step.kind == "confirm.settled":
        where = f", in message {name(data['message_id'])}" if data["message_id"] else ""
        return data["verdict"], f"{name(data['confirm_id'])} by {name(data['by'])}{where}"
    if step.kind == "call.resolved":
        note = f": {inert(data['note'], _PART)}" if data["note"] else ""
        effect = "took effect" if data["took_effect"] else "had no effect"
        return "resolved", f"{name(data['tool'])} {effect}, says {name(data['by'])}{note}"
    if step.kind == "thread.taken_over":
        return "taken over", f"{name(data['by'])} answers in the agent's place"
    if step.kind == "thread.released":
        return "released", f"by {name(data['by'])}; the agent answers again"
    if step.kind == "turn.set_aside":
        withheld = f"; withheld: {inert(data['withheld'], _PART)}" if data["withheld"] else ""
        return "set aside", f"turn {data['turn']} ends unanswered for {name(data['by'])}, its messages wait{withheld}"
    if step.kind == "subjob.started":
        then = "" if data["wait"] else ", not waited for"
        return "subjob", f"{name(data['agent'])} as {name(data['job_id'])}{then}: {inert(data['text'], _PART)}"
    if step.kind == "tool.intended":
        return "tool intent", f"{name(data['tool'])} {inert_json(data['arguments'], _PART)}"
    if step.kind == "tool.returned":
        sign = "failed: " if data["error"] else "→ "
        return (
            "tool",
            f"{name(data['tool'])} {inert_json(data['arguments'], _PART)} {sign}{inert(data['content'], _PART)}",
        )
    if step.kind == "app.event":
        return "change", f"{name(data['name'])} {inert_json(data['data'], _PART)}"
    if step.kind == "thread.locale":
        return "locale set", name(data["locale"]) if data["locale"] else "as messages and the application say"
    if step.kind == "reminder.set":
        told = ", word for word" if data["verbatim"] else ""
        return "reminder set", f"{name(data['reminder_id'])} for {data['due_at']}{told}: {inert(data['note'], _PART)}"
    if step.kind == "turn.ended":
        why = f" ({inert(data['reason'], _PART)})" if data["reason"] else ""
        last = next((each.data["text"] for each in reversed(explanation.steps) if each.kind == "step.model"), "")
        said = "as the model said" if data["reply"] == last.strip() else inert(data["reply"], _PART)
        return f"turn {data['result']}", f"{f'reply {said}' if data['reply'] else 'no reply'}{why}"
    if step.kind in ("message.failed", "turn.failed"):
        what = "routing" if step.kind == "message.failed" else "turn"
        return f"{what} failed", f"attempt {data['attempt']}: {inert(data['error'], _PART)}"
    if step.kind == "message.dead":
        return "dead letter", f"{data['stage']} failed in {data['attempts']} attempts: {inert(data['error'], _PART)}"
    if step.kind == "message.dropped":
        why = f": {inert(data['reason'], _PART)}" if data["reason"] else ""
        return "dropped", f"by {name(data['by'])}{why}"
    if step.kind in ("message.retried", "reply.retried"):
        return "retried", f"by {name(data['by'])}, who put it back"
    if step.kind == "reply.delivered":
        return "delivered", f"{name(data['reply_id'])}, attempt {data['attempts']}"
    return "not delivered", f"{name(data['reply_id'])}, {data['attempts']} attempts, {name(data['error'])}"

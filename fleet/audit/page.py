"""The page that `fleet why` prints, for a person.

Headings stand at the margin. Whatever was said or recorded is indented, and each text of a user, model or tool is one
inert line, so nothing in it can pass for a line of the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.asked import Asked
from fleet.audit.explanation import Explanation, Shown, Totals
from fleet.audit.inert import inert, inert_json, name, visible
from fleet.audit.labels import Label
from fleet.audit.steps_page import timeline_table
from fleet.audit.wording import ago, duration, tokens
from fleet.clock import iso
from fleet.ledger.events import Attempt, Choice, Decision
from fleet.llm.prices import known

__all__ = ["render"]

_TEXT = 2000  # characters of a message or reason
_PART = 300  # of a tool's arguments, a result, a reply
_LINE = 800  # of a printed line, which ends with what was said last, or a rule
_HASH = 12
_RULES = 20
_OTHERS = 3
_MARKS = "-*+0123456789"  # what a rule begins with in a list


def render(explanation: Explanation) -> RenderableType:
    """The page about one message."""
    message, decision = explanation.message, explanation.decision
    parts: list[RenderableType] = [
        _heading("Message"),
        _pairs(
            ("id", name(message.message_id)),
            ("from", name(message.user)),
            ("text", inert(message.text, _TEXT)),
            ("accepted", iso(explanation.accepted_at)),
            ("channel", name(message.channel) if message.channel else ""),
            ("session", name(message.session_id) if message.session_id else ""),
        ),
        _heading("Where it went"),
        _pairs(
            ("decision", explanation.where),
            ("with it", _covered(decision)),
            ("action", visible(explanation.action)),
            ("outcome", explanation.outcome),
        ),
    ]
    if explanation.labels:
        parts += [_heading("What would have been right, as people said"), _labels(explanation)]
    if explanation.asked is not None:
        parts += [_heading("What the user was asked"), _asked(explanation.asked)]
    if decision is not None:
        parts += _reasons(decision)
        parts += _choices(explanation, decision)
        parts += _rules(explanation)
        parts += _answers(decision)
    parts += [_heading("What followed"), timeline_table(explanation)]
    if decision is not None:
        parts += [_heading("Cost and versions"), _versions(explanation, decision)]
    if explanation.notes:
        parts += [_heading("Missing from the record"), _pairs(*(("note", inert(note)) for note in explanation.notes))]
    return Group(*parts)


def _covered(decision: Decision | None) -> str:
    if decision is None or not decision.covers:
        return ""
    return f"{', '.join(map(name, decision.covers))} came right after it; they were routed as one message"


def _reasons(decision: Decision) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if decision.reason:
        lines = [inert(line, _TEXT) for line in decision.reason.splitlines()]
        parts += [
            _heading("The model's stated reason (its own words, not a fact)"),
            _pairs(("it said", "\n".join(lines))),
        ]
    if decision.by == "dispatch":
        given = inert_json(decision.metadata, _PART) if decision.metadata else ""
        reason = inert(decision.gate_reason, _TEXT) if decision.gate_reason else ""
        parts += [
            _heading("It was dispatched"),
            _pairs(("by", name(decision.gate) if decision.gate else ""), ("reason", reason), ("metadata", given)),
        ]
    elif decision.gate_reason:
        lines = [inert(line, _TEXT) for line in decision.gate_reason.splitlines()]
        said = {"gate": "The gate decided", "policy": "Policy refused it"}
        decided = said.get(decision.by, "A gate failed, and the message went on")
        gate = name(decision.gate) if decision.gate not in ("", "gate") else ""
        parts += [_heading(decided), _pairs(("gate", gate), ("reason", "\n".join(lines)))]
    if decision.fallback:
        rungs = {
            "router": "The fallback router decided in the model's place.",
            "agent": f"The default agent {name(decision.agent)} got the message.",
            "human": "A person has to decide.",
        }
        parts += [
            _heading("The fallback decided"),
            _pairs(("which", rungs[decision.fallback]), ("why", inert(decision.fallback_reason, _TEXT))),
        ]
    return parts


def _choices(explanation: Explanation, decision: Decision) -> list[RenderableType]:
    if not (explanation.candidates or decision.agents):
        return []
    grid = _grid()
    for each in explanation.candidates:
        grid.add_row(
            Text(f"  {'→ ' if each.chosen else '  '}threads[{each.index}]", style="bold" if each.chosen else ""),
            _candidate(each, explanation.decided_at),
        )
    if not explanation.candidates:
        grid.add_row(Text("    threads"), Text("none: the sender had no thread", style="dim"))
    roles = Text()
    for index, role in enumerate(decision.agents):
        chosen = decision.new_thread and role == decision.agent
        ids = ", ".join(map(str, decision.examples.get(role, ())))
        roles.append(", " if index else "").append(
            f"→ {name(role)}" if chosen else name(role), "bold" if chosen else ""
        )
        roles.append(f" (example ids {ids})" if ids else "", "dim")
    grid.add_row(Text("    agents"), roles)
    return [_heading("What it could choose from, as printed"), grid]


def _candidate(each: Shown, decided_at: int) -> Text:
    text = Text(style="bold" if each.chosen else "")
    text.append(f"{name(each.thread_id)} of {name(each.agent)}")
    if each.name:
        text.append(f", {inert(each.name)}")
    text.append(f", active {iso(each.latest_activity_at)} ({ago(each.latest_activity_at, decided_at)})")
    if each.chosen:
        text.append("  ← chosen")
    for line in each.printed:
        if not line.startswith(("agent:", "name:", "latest_activity:")):
            text.append("\n").append(_cut(visible(line)), "not bold dim")
    return text


def _asked(asked: Asked) -> RenderableType:
    """The numbered choices with their probabilities, and what the user said next."""
    grid = _grid()
    otherwise = f"a new thread with {name(asked.otherwise)}" if asked.otherwise else "a person"
    rows = [(number, _choice(each), each.probability) for number, each in enumerate(asked.choices, 1)]
    for number, where, probability in [*rows, (0, f"none of these: {otherwise}", 0.0)]:
        chosen = asked.came == ("answered" if number else "none") and asked.chosen == number
        text = Text(where, style="bold" if chosen else "").append(f", {probability:.2f}" if probability else "")
        grid.add_row(Text(f"  {'→' if chosen else ' '} {number}"), text.append("  ← answered" if chosen else ""))
    said = f"{inert(asked.answer, _TEXT)} in {name(asked.answered_by)}" if asked.answered_by else ""
    came = {
        "": f"not answered so far; it may be until {iso(asked.expires_at)}",
        "gone": f"{said}: what that chose was gone by then",
        "lapsed": f"{said}, which is none of it: the question lapsed",
        "expired": f"nothing until {iso(asked.expires_at)}: the question expired",
    }
    grid.add_row(Text("    answer", style="dim"), Text(came.get(asked.came, said)))
    return grid


def _choice(choice: Choice) -> str:
    if not choice.thread_id:
        return f"a new thread with {name(choice.agent)}"
    return f"{name(choice.thread_id)} of {name(choice.agent)}{f', {inert(choice.name)}' if choice.name else ''}"


def _labels(explanation: Explanation) -> RenderableType:
    """Who said when what would have been right; only the last word counts."""
    grid = _grid()
    for each in explanation.labels:
        grid.add_row(Text(f"  {iso(each.at)}", style="dim"), _label(explanation, each, each is explanation.labels[-1]))
    return grid


def _label(explanation: Explanation, label: Label, counts: bool) -> Text:
    text = Text(style="" if counts else "dim").append(f"{name(label.by)}: ")
    if explanation.was_right(label):
        text.append("it went where it should", "green" if counts else "")
    elif label.thread_id:
        shown = next((each for each in explanation.candidates if each.thread_id == label.thread_id), None)
        titled = f" {inert(shown.name)}" if shown and shown.name else ""
        place = f", printed as threads[{shown.index}]" if shown else ", which was not among the threads printed"
        text.append(f"it should have continued {name(label.thread_id)}{titled}{place}", "yellow" if counts else "")
    else:
        text.append(f"it should have started a new thread with {name(label.agent)}", "yellow" if counts else "")
    text.append("" if counts else " (superseded)")
    return text.append(f"\nnote: {inert(label.note, _TEXT)}" if label.note else "")


def _rules(explanation: Explanation) -> list[RenderableType]:
    if not explanation.rules:
        return []
    grid = _grid()
    for each in explanation.rules[:_RULES]:
        mark, _, words = each.partition(" ") if each[0] in _MARKS else ("", "", each)
        grid.add_row(Text(f"  {mark}"), Text(_cut(visible(words.replace("**", "")))))
    more = len(explanation.rules) - _RULES
    if more > 0:
        grid.add_row(Text("  …"), Text(f"{more} more in the prompt, which --raw prints", style="dim"))
    return [_heading("The rules it was given, as the prompt has them"), grid]


def _answers(decision: Decision) -> list[RenderableType]:
    if not decision.attempts:
        return []
    grid = _grid()
    for number, attempt in enumerate(decision.attempts, 1):
        grid.add_row(Text(f"  answer {number}"), _verdict(attempt))
    return [_heading("Answers and verdicts"), grid]


def _verdict(attempt: Attempt) -> Text:
    text = Text(f"{name(attempt.model)}, {duration(attempt.latency_us)}: ")
    if attempt.verdict == "ok":
        sure = attempt.extra.get("confidence")
        text.append("accepted", "green").append(f", confidence {sure:.2f}" if isinstance(sure, float) else "")
        tuned = attempt.extra.get("tuned")
        text.append(f", tuned by labels ({name(tuned)})" if isinstance(tuned, str) else "")
        others = ", ".join(_others(attempt.extra.get("choices")))
        return text.append(f"; next best {others}", "dim") if others else text
    if not attempt.verdict:
        return text.append("no answer", "red").append(f"\n{inert(attempt.error, _TEXT)}")
    text.append(f"refused, {name(attempt.verdict)}", "red")
    said = f"\ntold: {inert(attempt.told, _TEXT)}" if attempt.told else f"\nbecause: {inert(attempt.message, _TEXT)}"
    return text.append(f"{said}\nits answer was: {inert(attempt.answer, _PART)}")


def _others(choices: Any) -> Iterator[str]:
    """What the model would have chosen next, where it says so."""
    for each in choices[1:_OTHERS] if isinstance(choices, list) else ():
        if isinstance(each, dict) and isinstance(each.get("probability"), float):
            where = (
                f"new {name(str(each['agent']))}" if "agent" in each else f"threads[{name(str(each.get('thread')))}]"
            )
            yield f"{where} {each['probability']:.2f}"


def _versions(explanation: Explanation, decision: Decision) -> RenderableType:
    models = list(dict.fromkeys(each.model for each in decision.attempts))
    agents = list(dict.fromkeys(step.data["model"] for step in explanation.steps if step.kind == "step.model"))
    turn = next((step.data for step in explanation.steps if step.kind == "turn.started"), None)
    return _pairs(
        ("routing", _cost(explanation.routing, models)),
        ("answering", _cost(explanation.answering, agents) if explanation.turn is not None else ""),
        ("handed on", _cost(handed, explanation.handed_models) if (handed := explanation.handed_on).calls else ""),
        ("prompt", f"{name(decision.prompt_name)} {decision.prompt[:_HASH]}" if decision.prompt else ""),
        ("transcript", decision.transcript[:_HASH]),
        ("agent prompt", f"{name(turn['prompt']['name'])} {turn['prompt']['hash'][:_HASH]}" if turn else ""),
        ("code", f"fleet {name(decision.code_version)}" if decision.code_version else ""),
        ("record", f"event {explanation.decided_seq} of the ledger"),
    )


def _cost(total: Totals, models: Sequence[str]) -> str:
    if not total.calls:
        return "no model was asked"
    return f"{tokens(total, priced=all(map(known, models)))}{''.join(f'; {name(each)}' for each in models)}"


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold cyan")


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _pairs(*pairs: tuple[str, str]) -> RenderableType:
    grid = _grid()
    for label, value in pairs:
        if value:
            grid.add_row(Text(f"  {label}", style="dim"), Text(value))
    return grid


def _cut(text: str) -> str:
    return text if len(text) <= _LINE else f"{text[:_LINE]} … {len(text) - _LINE} more characters"

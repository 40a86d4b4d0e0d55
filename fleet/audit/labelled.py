"""Labelled decisions as cases for `fleet eval`, with the facts as they were: a regression set out of real traffic."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.audit.declared import Declarations
from fleet.audit.labels import Label, right
from fleet.audit.past import Moment, moments
from fleet.audit.whole_file import whole_file
from fleet.errors import InputError
from fleet.ledger.base import Ledger
from fleet.ledger.events import MessageDecided
from fleet.prompting.views import AgentView, ThreadView
from fleet.routing.facts import agent_views

__all__ = ["CASES_FILE", "OFFERED_FILE", "LabelledCase", "labelled_cases", "offered_agents", "write_cases"]

CASES_FILE, OFFERED_FILE = "cases.jsonl", "agents.json"
_SHOWN = 5  # threads of a case whose decision was no model's


@dataclass(frozen=True)
class LabelledCase:
    """One case, where its decision is in the ledger, and whether it was right then."""

    seq: int
    was_right: bool
    case: Mapping[str, Any]


def labelled_cases(
    ledger: Ledger, labels: Mapping[str, Label], declared: Declarations, since: int | None = None
) -> Iterator[LabelledCase]:
    """A case for each label of a message decided at `since` or later, user by user.

    Threads are those that were shown; a thread that would have been right and was not among them comes after them, and
    the case has the stratum not_shown. Strata tell too how it was decided then: was_right, was_wrong, refused,
    fallback, gate.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    for label in labels.values():
        for stored in ledger.read_stream(f"message:{label.message_id}"):
            if isinstance(stored.event, MessageDecided) and (since is None or stored.at >= since):
                wanted[label.user].add(stored.seq)
    for moment in moments(ledger, wanted, declared):
        yield _case(moment, labels[moment.event.message_id])


def offered_agents(declared: Declarations, seq: int) -> dict[str, Any]:
    """The agents' file for cases up to the event `seq`: each role as it was declared last."""
    return {"agents": {role: _offered(view) for role, view in agent_views(declared.at(seq + 1)).items()}}


def write_cases(folder: Path, cases: Iterator[LabelledCase], declared: Declarations) -> list[LabelledCase]:
    """Write the cases in the order decided, and the agents' file, into `folder`, in place of those that are there.

    Raises: InputError if they cannot be written.
    """
    found = sorted(cases, key=lambda each: each.seq)
    agents: dict[str, Any] = {"agents": {}}
    for seq in {each.seq for each in found}:
        known = offered_agents(declared, seq)["agents"]
        agents["agents"] = {**known, **agents["agents"]}
    if found:  # what was declared last wins
        agents["agents"] |= offered_agents(declared, found[-1].seq)["agents"]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from None
    with whole_file(folder / CASES_FILE) as file:
        file.writelines((json.dumps(each.case, ensure_ascii=False) + "\n").encode() for each in found)
    with whole_file(folder / OFFERED_FILE) as file:
        file.write((json.dumps(agents, ensure_ascii=False, indent=2) + "\n").encode())
    return found


def _case(moment: Moment, label: Label) -> LabelledCase:
    decision, facts = moment.event.decision, moment.facts
    recent = {thread.id: thread for thread in facts.recent(1_000)}
    shown = [each.thread_id for each in decision.candidates] if decision.transcript else list(recent)[:_SHOWN]
    ids = [key for key in shown if key in recent]
    strata = ["was_right" if _was_right(moment, label) else "was_wrong"]
    if label.thread_id and label.thread_id not in ids:
        ids.append(label.thread_id)
        strata.append("not_shown")
    if any(each.verdict not in ("ok", "") for each in decision.attempts):
        strata.append("refused")
    if decision.by != "model":
        strata.append(decision.by)
    roles = list(decision.agents) or list(facts.agents)
    gold: dict[str, Any] = {"action": "new", "agent": label.agent}
    if label.thread_id:
        gold = {"action": "continue", "thread": ids.index(label.thread_id)}
    elif label.agent not in roles:
        roles.append(label.agent)
    case = {
        "id": label.message_id,
        "now": facts.now.isoformat(),
        "message": facts.message.text.raw,
        "language": facts.language_of(facts.message.sender) or "",
        "threads": [_thread(recent[key]) for key in ids],
        "agents": roles,
        "gold": gold,
        "strata": strata,
        "note": label.note,
        "by": label.by,
    }
    return LabelledCase(moment.stored.seq, strata[0] == "was_right", case)


def _was_right(moment: Moment, label: Label) -> bool:
    decision = moment.event.decision
    return right(label, decision.outcome, decision.thread_id, decision.agent)


def _thread(view: ThreadView) -> dict[str, Any]:
    return {
        "id": view.id,
        "agent": view.agent,
        "name": view.name.raw,
        "status": view.status,
        "summary": view.summary.raw,
        "latest_activity_at": view.latest_activity_at.isoformat(),
        "last_assistant_message": view.last_assistant_message.raw,
    }


def _offered(view: AgentView) -> dict[str, Any]:
    return {
        "description": view.description,
        "capabilities": list(view.capabilities),
        "examples": [title for _, title in view.examples],
    }

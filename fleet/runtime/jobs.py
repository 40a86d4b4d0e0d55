"""Jobs as the ledger tells them: which there are, where each stands, its turns, their calls and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fleet.clock import iso
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import (
    CallResolved,
    ConfirmationAsked,
    ConfirmationSettled,
    Erased,
    HistoryCompacted,
    JobCancelled,
    MessageDecided,
    MessageRetried,
    ModelAnswered,
    PersonReplied,
    ReminderFired,
    SubjobStarted,
    ToolIntended,
    ToolReturned,
    TurnEnded,
    TurnSetAside,
    TurnStarted,
)
from fleet.runtime.takeover import takeover_of

__all__ = ["STATES", "Call", "Job", "Turn", "find_job", "job_of", "jobs"]

STATES = ("running", "waiting", "taken_over", "success", "need_input", "blocked", "failed", "cancelled")
_JOB = "job:job_"
_BY_JOB = (MessageRetried, PersonReplied, ConfirmationSettled, CallResolved, SubjobStarted, ReminderFired)


@dataclass
class Call:
    """One tool call. `state` is asked, approved, denied, expired, lapsed, running, done, error or unknown.

    `unknown`: nobody can tell whether it took effect; it is `resolved` once a person has said so.
    """

    call_id: str
    tool: str
    arguments: Mapping[str, Any]
    state: str
    content: str = ""
    confirm_id: str = ""


@dataclass
class Turn:
    """One turn: its messages, its end (`result` is running or set_aside where it has none), what it cost.

    `reminders` are the ids of those that it took up; a recap of older turns made after it counts in its cost.
    """

    number: int
    started_at: str
    message_ids: tuple[str, ...]
    ended_at: str = ""
    result: str = "running"
    reason: str = ""
    reply: str = ""
    by: str = ""
    model_calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    reminders: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)


@dataclass
class Job:
    """One job: whose, where it stands, how many messages wait for it, its turns. Times are UTC, `turns` in order.

    `parent` is the job that it has its task from, "" for one that answers a user.
    """

    id: str
    thread_id: str
    user: str
    agent: str
    state: str
    taken_over: str = ""
    waiting: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    latest_at: str = ""
    parent: str = ""
    turns: list[Turn] = field(default_factory=list)

    @property
    def cut_off(self) -> list[Call]:
        """The calls of which nobody knows whether they took effect."""
        return [call for turn in self.turns for call in turn.calls if call.state == "unknown"]

    def as_dict(self, *, whole: bool = False) -> dict[str, Any]:
        """For JSON: with every turn if it is to be `whole`, else with their number and the calls that were cut off."""
        told = asdict(self)
        if not whole:
            told["turns"] = len(self.turns)
            told["cut_off"] = [asdict(call) for call in self.cut_off]
        return told


def jobs(ledger: Ledger, *, user: str = "", state: str = "") -> Iterator[Job]:
    """The jobs by their latest activity, newest first; of one user, in one state."""
    waiting = _waiting(ledger)
    seen: set[str] = set()
    for stored in ledger.read(types=(MessageDecided.TYPE, TurnEnded.TYPE), user=user, newest_first=True):
        event = stored.event
        job_id = event.decision.job_id if isinstance(event, MessageDecided) else ""
        job_id = event.job_id if isinstance(event, TurnEnded) else job_id
        if job_id and job_id not in seen:
            seen.add(job_id)
            found = _read(ledger, job_id, waiting)
            if not state or found.state == state:
                yield found


def find_job(ledger: Ledger, given: str) -> str:
    """The id of the job that `given` names: an id, or the beginning of exactly one.

    Raises: InputError if there is none, or more than one.
    """
    beginning = given.removeprefix("job_")
    names = ledger.find_streams(_JOB + beginning, 5) if beginning else ()
    found: set[str] = {each.removeprefix("job:") for each in names}
    found |= {*(each for each in _waiting(ledger) if beginning and each.startswith("job_" + beginning))}
    if "job_" + beginning in found:
        return "job_" + beginning
    if not found:
        raise InputError(f"there is no job {given!r}; `fleet jobs list` shows them")
    if len(found) > 1:
        raise InputError(f"{given!r} could be {', '.join(sorted(found)[:4])}…; give more of the id")
    return found.pop()


def job_of(ledger: Ledger, job_id: str) -> Job:
    """One job with all its turns. Raises: InputError if there is none of that id, or its user was forgotten."""
    return _read(ledger, job_id, _waiting(ledger))


def _waiting(ledger: Ledger) -> Counter[str]:
    """How much waits for each job, or is in its open turn."""
    found: Counter[str] = Counter()
    for entry in ledger.pending("turns"):
        for stored in ledger.read(after=entry.seq - 1, upto=entry.seq):
            event = stored.event
            if isinstance(event, MessageDecided):
                found[event.decision.job_id] += 1
            elif isinstance(event, _BY_JOB):
                found[event.job_id] += 1
    return found


def _read(ledger: Ledger, job_id: str, waiting: Counter[str]) -> Job:
    held = takeover_of(ledger, f"thr_{job_id.removeprefix('job_')}")
    stream = ledger.read_stream(f"job:{job_id}")
    told = Job(job_id, held.thread_id, held.user, "", "waiting", held.by, waiting[job_id])
    for stored in stream:
        _tell(ledger, told, stored)
    decided = ledger.read(types=(MessageDecided.TYPE,), user=held.user, newest_first=True)
    newest = next((each for each in decided if _is_of(each, job_id)), None) if not told.agent else None
    if newest is not None and isinstance(newest.event, MessageDecided):
        told.agent = newest.event.decision.agent
        told.latest_at = max(told.latest_at, iso(newest.at))
    told.tokens = sum(turn.tokens for turn in told.turns)
    told.cost_usd = round(sum(turn.cost_usd for turn in told.turns), 9)
    told.state = _state(ledger, told)
    return told


def _is_of(stored: Stored, job_id: str) -> bool:
    return isinstance(stored.event, MessageDecided) and stored.event.decision.job_id == job_id


def _state(ledger: Ledger, told: Job) -> str:
    last = told.turns[-1] if told.turns else None
    if last is not None and last.result == "running":
        return "running"
    if told.taken_over:
        return "taken_over"
    if told.waiting or last is None:
        return "waiting"
    orders = (each.event for each in ledger.read_stream(f"cancel:{told.id}"))
    if last.result == "failed" and last.reason in {each.reason for each in orders if isinstance(each, JobCancelled)}:
        return "cancelled"
    return last.result


def _tell(ledger: Ledger, told: Job, stored: Stored) -> None:
    """Add what one event of the job's stream tells."""
    event = stored.event
    told.latest_at = iso(stored.at)
    if isinstance(event, Erased):
        raise InputError(f"job {told.id} was erased: its user was forgotten, and nothing but its id is left")
    if isinstance(event, SubjobStarted):
        told.agent, told.parent = event.agent, event.parent
    elif isinstance(event, TurnStarted):
        told.turns.append(Turn(event.turn, iso(stored.at), event.message_ids, by=event.by, reminders=event.reminders))
    elif isinstance(event, TurnEnded):
        if not told.turns or told.turns[-1].ended_at:  # called off before it began
            told.turns.append(Turn(event.turn, iso(stored.at), event.message_ids))
        turn = told.turns[-1]
        turn.ended_at, turn.result, turn.reason, turn.reply = iso(stored.at), event.result, event.reason, event.reply
    elif isinstance(event, TurnSetAside):
        told.turns[-1].ended_at, told.turns[-1].result, told.turns[-1].by = iso(stored.at), "set_aside", event.by
    elif told.turns:
        _step(ledger, told, event)


def _step(ledger: Ledger, told: Job, event: object) -> None:
    turn = told.turns[-1]
    if isinstance(event, (ModelAnswered, HistoryCompacted)):
        turn.model_calls += 1
        turn.tokens += event.input_tokens + event.output_tokens + event.cache_read_tokens + event.cache_write_tokens
        turn.cost_usd = round(turn.cost_usd + event.cost_usd, 9)
    elif isinstance(event, ConfirmationAsked):
        settled = [each.event for each in ledger.read_stream(f"confirm:{event.confirm_id}")]
        state = next((each.verdict for each in settled if isinstance(each, ConfirmationSettled)), "asked")
        turn.calls.append(Call(event.call_id, event.tool, event.arguments, state, event.question, event.confirm_id))
    elif isinstance(event, ToolIntended):
        turn.calls.append(Call(event.call_id, event.tool, event.arguments, "running"))
    elif isinstance(event, ToolReturned):
        known = next((each for each in turn.calls if each.call_id == event.call_id), None)
        if known is not None and known.confirm_id:
            return  # "it waits for approval" is no result
        if known is None:
            known = Call(event.call_id, event.tool, event.arguments, "")
            turn.calls.append(known)
        resolved = event.unknown and ledger.version(f"call:{event.job_id}:{event.call_id}")
        known.state = "resolved" if resolved else "unknown" if event.unknown else "error" if event.error else "done"
        known.content = event.content

"""What the graph holds: the singleton root and its agents, durable objects, and the records of users, threads, jobs.

Ids are str, times integer microseconds UTC, references are ids (dbzero never frees a cycle). Only `apply` assigns.
A field that is added later needs a default here. The records are ordinary objects while they are at hand, and rows of
the root's shelves in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleet.graph.db import memo
from fleet.graph.shelf import Record, Shelf

__all__ = ["DAY_US", "GRAPH_VERSION", "RECENT_KEPT", "TAIL_KEPT", "AgentRecord", "DispatcherRecord", "FleetRoot",
           "JobRecord", "ThreadRecord", "UserRecord"]  # fmt: skip

# Raise it when `apply` makes something else of events that ledgers may hold: a file of another number is made anew.
GRAPH_VERSION = 1
RECENT_KEPT = 64  # a user's most recent threads that are at hand without a search
DAY_US = 86_400_000_000
TAIL_KEPT = 64  # entries of a job's conversation kept in the graph; the ledger has all of them


@memo(id="fleet/AgentRecord")
class AgentRecord:
    """An agent as the code declares it. `definition` is the blob of the declaration in force."""

    retired: bool = False
    paused: bool = False
    threads: int = 0

    def __init__(self, role: str, kind: str, description: str, definition: str) -> None:
        self.role = role
        self.kind = kind
        self.description = description
        self.definition = definition


@memo(id="fleet/DispatcherRecord")
class DispatcherRecord:
    """The dispatcher, and the same map of agents that the root owns."""

    decided: int = 0

    def __init__(self, task_agents: Any) -> None:
        self.task_agents = task_agents
        self.definition = ""


@dataclass(slots=True, eq=False)
class UserRecord(Record):
    """A user and their counters. `recent` has the ids of their most recent threads, the newest last.

    `forgotten` is the seq of the event that said so last, 0 for most. `day` is the UTC day (days since 1970) of the
    last model call for them, `day_tokens` and `day_spent` (millionths of a US dollar) what they have used since.
    `question` is "" or, as JSON, what they are being asked about (see graph/questions.py).
    """

    id: str
    recent: list[str] = field(default_factory=list)
    language: str = ""
    threads: int = 0
    messages: int = 0
    forgotten: int = 0
    day: int = 0
    day_tokens: int = 0
    day_spent: int = 0
    question: str = ""


@dataclass(slots=True, eq=False)
class ThreadRecord(Record):
    """A thread: one topic of one user with one agent. `status` is the last turn's result, or working.

    `parent` is the job that started it as a subjob's; such a thread is no topic of the user's, and takes no messages.
    `locale` is a BCP 47 tag, "" where `language` is all there is; `locale_set`: a tool has set it.
    """

    id: str
    user: str
    agent: str
    job: str
    name: str
    language: str
    created_at: int
    latest_activity_at: int
    summary: str = ""
    status: str = "working"
    last_assistant_message: str = ""
    messages: int = 0
    parent: str = ""
    locale: str = ""
    locale_set: bool = False


@dataclass(slots=True, eq=False)
class JobRecord(Record):
    """A worker's unit of work in a thread.

    `version` is that of its ledger stream; `tail` the end of the conversation, each entry a JSON message of the
    Messages API; `waiting` the routed messages that no turn has taken up yet, each a JSON object with id and text;
    `turn_ids` those that the open turn answers, empty between turns; `metadata` is the JSON object that the newest
    dispatch gave it, "" for none; `cancelled` has what is called off and not ended yet, each a JSON object with id (""
    for a turn that no message began) and reason. `pending` holds the confirmations that nobody has answered, `settled`
    what people have said and no turn has taken up, `turn_settled` the keys that the open turn took up, all as JSON.
    `turn_began` is when the newest turn did, `turn_at` that plus what it has waited for children; `taken_over` is who
    answers in its place, "" for nobody, and `takeovers` the version of the stream that says so; `said` is what they
    have said and no turn has given to the user, as JSON, with the ids of the messages that it answers. `tokens` and
    `spent` (millionths of a US dollar) are what its model calls and those of children it waited for have used, `turn_…`
    the newest turn's, `most_…` what it may use in all (0: no word). `reminders` are set and not due, `due` are due and
    wait for a turn, `turn_due` those that the open turn took up, all as JSON (see graph/reminders.py). `step` is "" or,
    for a step of a workflow, a JSON object: the `message` that it began with, the next step's in `then`, and whether it
    is `open`. `parent` is the job that it is a child of; `subjobs` are the children of the open turn (see
    graph/subjobs.py), `turn_subjobs` how many the newest turn has started, `waits_since` when it last began to wait.
    `recap` stands for the turns up to `recap_turn`, which are in the tail no more.
    """

    id: str
    thread: str
    agent: str
    default_example_id: int | None
    tail: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    turn_ids: list[str] = field(default_factory=list)
    intended: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    version: int = 0
    turn: int = 0
    open: bool = False
    turn_at: int = 0
    turn_tokens: int = 0
    turn_spent: int = 0
    tokens: int = 0
    spent: int = 0
    status: str = "waiting"
    pending: str = "[]"
    settled: str = "[]"
    taken_over: str = ""
    said: str = "[]"
    turn_settled: str = "[]"
    reminders: str = "[]"
    due: str = "[]"
    turn_due: str = "[]"
    turn_transcript: str = ""
    turn_steps: int = 0
    stop_reason: str = ""
    metadata: str = ""
    step: str = ""
    parent: str = ""
    subjobs: str = "[]"
    turn_subjobs: int = 0
    waits_since: int = 0
    most_tokens: int = 0
    most_spent: int = 0
    takeovers: int = 0
    turn_began: int = 0
    recap: str = ""
    recap_turn: int = 0


@memo(id="fleet/Root", singleton=True)
class FleetRoot:
    """The singleton durable root: the map of agents, the dispatcher, users, threads, jobs, the application's state.

    `applied` is the ledger's seq up to which this graph is current, `_chain` the ledger's chain there; `_commits`
    counts those that the file took since it was made. `_version` is the `GRAPH_VERSION` that it was made with.
    """

    applied: int = 0
    _version: int = 0
    _broken: bool = False
    _chain: str = ""
    _commits: int = 0

    def __init__(self) -> None:
        self._version = GRAPH_VERSION
        self.task_agents: dict[str, AgentRecord] = {}
        self.dispatcher = DispatcherRecord(self.task_agents)
        self.users = Shelf(UserRecord.__name__)
        self.threads = Shelf(ThreadRecord.__name__)
        self.jobs = Shelf(JobRecord.__name__)
        self.state: dict[str, Any] = {}

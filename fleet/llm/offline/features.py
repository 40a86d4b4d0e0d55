"""What one decision is made from, as numbers: of the message, of each thread and of each agent on offer.

None of these numbers knows an agent's trade. Words go to the scorer apart from them, in `Choices`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet.llm.offline.kinds import ASKED, SAID, asked_kinds, question_of, said_kinds
from fleet.llm.offline.likeness import AGENT_LIKENESS, THREAD_LIKENESS, Compare, Likeness, lead
from fleet.llm.offline.printed import Printed, PrintedAgent, PrintedThread
from fleet.llm.offline.words import Text, coverage, nearness

__all__ = ["AGENT", "MESSAGE", "THREAD", "Choices", "describe"]

_TOGETHER, _PAUSE = 0.25, 2.0  # minutes

#: Names of the numbers, in order.
MESSAGE = (
    *(f"said_{name}" for name in SAID),
    "length", "one_or_two", "to_five", "to_ten", "content", "unknown", "threads", "agents", "one_agent", "talk",
    "best_thread", "best_thread_topic", "best_agent", "best_agent_topic", "second_agent", "newest_asks", "agent_lead",
    "anybody_asks", "best_thread_like", "best_agent_like",
)  # fmt: skip
THREAD = (
    *(f"asked_{name}" for name in ASKED),
    "rank", "newest", "rank1", "age", "lag", "fresh", "stale", "same_agent", "same_newest", "twin_newer", "own_thread",
    "cover_question", "cover_last", "cover_summary", "cover_request", "cover_own", "own_again", "cover_all",
    "cover_start", "topic", "topic_last", "names_last", "names_summary", "lead_cover", "lead_topic", "lead_names",
    "back_cover", "agent_cover", "agent_topic",
    "agent_lead", "agent_offered", "silent", "others", "user_last", "summary_length", "last_length", "content_cover",
    *THREAD_LIKENESS,
)  # fmt: skip
AGENT = (
    "cover_core", "cover_role", "cover_example", "cover_all", "cover_local", "start_local", "like_example",
    "topic_core", "topic_all", "lead_local", "lead_topic", "best_local", "best_topic", "rank_local", "has_thread",
    "has_newest",
    "thread_age", "examples", "described", "alone", "back_cover", "thread_cover", "over_thread", "over_thread_topic",
    "capability", "lead_capability", "none_fits", "content_local",
    *AGENT_LIKENESS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choices:
    """The numbers and the words of one decision, threads and agents in printed order.

    `questions`, `lasts`, `summaries` belong to threads; `cores` (role, description, capabilities) and `examples` to
    agents; `owners` is the number of each thread's agent, None where it is not on offer.
    """

    message: list[float]
    threads: list[list[float]]
    agents: list[list[float]]
    said: Text
    questions: list[Text]
    lasts: list[Text]
    summaries: list[Text]
    cores: list[Text]
    examples: list[Text]
    owners: list[int | None]


def describe(printed: Printed, read: Callable[[str], Text], compare: Compare) -> Choices:
    """The choices of a printed request as numbers and words. Pure."""
    said = read(printed.message)
    kinds = said_kinds(printed.message.strip())
    questions = [read(question_of(each.last_assistant_message)) for each in printed.threads]
    lasts = [read(each.last_assistant_message) for each in printed.threads]
    summaries = [read(_about(each)) for each in printed.threads]
    cores = [read(_core(each)) for each in printed.agents]
    examples = [read(" ".join(text for _, text in each.examples)) for each in printed.agents]
    agents = _Agents(printed, said, cores, examples, read)
    threads = _Threads(printed, said, questions, lasts, summaries, agents, read)
    owners = [agents.owner.get(each.agent) for each in printed.threads]
    likeness = Likeness(
        said,
        list(zip(questions, lasts, summaries, threads.requests, threads.own, strict=True)),
        list(zip(cores, examples, strict=True)),
        [[read(each) for each in agent.capabilities] for agent in printed.agents],
        [[read(text) for _, text in agent.examples] for agent in printed.agents],
        owners,
        compare,
    )
    count = len(said.words)
    known = max(len(said.stems), 1)
    talk = any("Other: " in each.summary for each in printed.threads)
    message = [
        *kinds,
        math.log1p(count) / 3, float(count <= 2), float(count <= 5), float(count <= 10), min(len(said.stems), 12) / 12,
        sum(1 for weight in said.stems.values() if weight >= 1.0) / known,
        len(printed.threads) / 5, math.log1p(len(printed.agents)) / 3, float(len(printed.agents) <= 1), float(talk),
        max(threads.cover, default=0.0), max(threads.topic, default=0.0), max(agents.local, default=0.0),
        max(agents.topic, default=0.0), sorted(agents.local)[-2] if len(agents.local) > 1 else 0.0,
        float(bool(printed.threads) and "?" in printed.threads[0].last_assistant_message),
        agents.lead(max(range(len(agents.local)), key=agents.local.__getitem__)) if agents.local else 0.0,
        float(any("?" in each.last_assistant_message for each in printed.threads)),
        likeness.best_thread, likeness.best_agent,
    ]  # fmt: skip
    return Choices(
        message,
        [[*threads.numbers(at), *likeness.of_thread(at)] for at in range(len(printed.threads))],
        [[*agents.numbers(at, threads), *likeness.of_agent(at)] for at in range(len(printed.agents))],
        said, questions, lasts, summaries, cores, examples, owners,
    )  # fmt: skip


class _Agents:
    """How the agents on offer fit the message."""

    def __init__(
        self,
        printed: Printed,
        said: Text,
        cores: Sequence[Text],
        examples: Sequence[Text],
        read: Callable[[str], Text],
    ) -> None:
        self.printed, self.said, self.cores, self.examples, self.read = printed, said, cores, examples, read
        held: Counter[str] = Counter()
        starts: Counter[str] = Counter()
        topics: Counter[int] = Counter()
        for core, example in zip(cores, examples, strict=True):
            held.update(core.stems.keys() | example.stems.keys())
            starts.update(core.starts | example.starts)
            topics.update(core.topics.keys() | example.topics.keys())
        # A word that every agent has tells none from another.
        self.weights = {key: weight / math.sqrt(max(held[key], 1)) for key, weight in said.stems.items()}
        total = said.weight or 1.0
        self.local = [
            sum(
                weight * (1.0 if key in core.stems else 0.6)
                for key, weight in self.weights.items()
                if key in core.stems or key in example.stems
            )
            / total
            for core, example in zip(cores, examples, strict=True)
        ]
        self.start = [
            sum(1 / math.sqrt(starts[key]) for key in said.starts if key in core.starts or key in example.starts)
            / max(len(said.starts), 1)
            for core, example in zip(cores, examples, strict=True)
        ]
        told = {topic: share / math.sqrt(max(topics[topic], 1)) for topic, share in said.topics.items()}
        self.topic_core = [nearness(told, core.topics) for core in cores]
        self.topic_example = [nearness(told, example.topics) for example in examples]
        self.topic = [max(core, example) for core, example in zip(self.topic_core, self.topic_example, strict=True)]
        self.capability = [
            max((_alike(said, read(each)) for each in agent.capabilities), default=0.0) for agent in printed.agents
        ]
        self.owner = {agent.role: at for at, agent in enumerate(printed.agents)}
        self.ranks = {
            at: rank for rank, at in enumerate(sorted(range(len(self.local)), key=lambda at: -self.local[at]))
        }

    def lead(self, at: int) -> float:
        return lead(self.local, at)

    def numbers(self, at: int, threads: _Threads) -> list[float]:
        agent, core, example = self.printed.agents[at], self.cores[at], self.examples[at]
        own = [index for index, each in enumerate(self.printed.threads) if each.agent == agent.role]
        likeness = max((_alike(self.said, self.read(text)) for _, text in agent.examples), default=0.0)
        best = max(threads.cover, default=0.0)
        return [
            coverage(self.said, core), coverage(self.said, self.read(_role(agent))), coverage(self.said, example),
            _cover_either(self.said, core, example), self.local[at], self.start[at], likeness, self.topic_core[at],
            self.topic[at], lead(self.local, at), lead(self.topic, at), float(self.local[at] >= max(self.local)),
            float(self.topic[at] >= max(self.topic)), min(self.ranks[at], 5) / 5, float(bool(own)), float(0 in own),
            threads.ages[own[0]] if own else 0.0, float(bool(agent.examples)), float(bool(agent.description)),
            float(len(self.local) == 1), coverage(core, self.said),
            max((threads.cover[index] for index in own), default=0.0), self.local[at] - best,
            self.topic[at] - max(threads.topic, default=0.0), self.capability[at], lead(self.capability, at),
            float(max(self.local) == 0.0), min(self.local[at] * self.said.weight, 3.0) / 3,
        ]  # fmt: skip


class _Threads:
    """How the threads on offer fit the message."""

    def __init__(
        self,
        printed: Printed,
        said: Text,
        questions: Sequence[Text],
        lasts: Sequence[Text],
        summaries: Sequence[Text],
        agents: _Agents,
        read: Callable[[str], Text],
    ) -> None:
        self.printed, self.said, self.agents = printed, said, agents
        self.questions, self.lasts, self.summaries = questions, lasts, summaries
        self.requests = [read(_request(each.summary)) for each in printed.threads]
        self.own = [read(each.summary.rpartition("User: ")[2]) for each in printed.threads]
        minutes = [_minutes(printed.now, each.latest_activity) for each in printed.threads]
        # Nobody writes in so short a time: messages were handed in together, and the times say nothing of their order.
        together = bool(minutes) and min(minutes) < _TOGETHER and len(printed.agents) > 1
        pause = _PAUSE if together else 0.0
        self.minutes = minutes = [each + pause for each in minutes]
        self.ages = [math.log1p(each) / 8 for each in minutes]
        self.cover = [_cover_either(said, last, about) for last, about in zip(lasts, summaries, strict=True)]
        self.topic_last = [nearness(said.topics, last.topics) for last in lasts]
        self.topic = [
            max(nearness(said.topics, about.topics), last)
            for about, last in zip(summaries, self.topic_last, strict=True)
        ]
        self.names = [
            float(len(said.names & (last.names | about.names))) for last, about in zip(lasts, summaries, strict=True)
        ]

    def numbers(self, at: int) -> list[float]:
        thread, said = self.printed.threads[at], self.said
        question, last, about = self.questions[at], self.lasts[at], self.summaries[at]
        roles = [each.agent for each in self.printed.threads]
        owner = self.agents.owner.get(thread.agent)
        age = self.minutes[at]
        return [
            *asked_kinds(thread.last_assistant_message),
            min(at, 4) / 4, float(at == 0), float(at == 1), self.ages[at],
            math.log1p(max(age - min(self.minutes), 0.0)) / 8, float(age < 2), float(age > 720),
            (roles.count(thread.agent) - 1) / 2, float(thread.agent == roles[0]), float(thread.agent in roles[:at]),
            1 / len(roles),
            coverage(said, question), coverage(said, last), coverage(said, about), coverage(said, self.requests[at]),
            coverage(said, self.own[at]), _alike(said, self.own[at]),
            self.cover[at], len(said.starts & (last.starts | about.starts)) / max(len(said.starts), 1), self.topic[at],
            self.topic_last[at], min(len(said.names & last.names), 2) / 2, min(len(said.names & about.names), 2) / 2,
            lead(self.cover, at), lead(self.topic, at), max(min(lead(self.names, at), 2.0), -2.0) / 2,
            coverage(last, said),
            self.agents.local[owner] if owner is not None else 0.0,
            self.agents.topic[owner] if owner is not None else 0.0,
            lead(self.agents.local, owner) if owner is not None else 0.0, float(owner is not None),
            float(not last.words), float("Other: " in thread.summary),
            float("User: " in thread.summary[-120:]), min(len(about.words), 80) / 80, min(len(last.words), 40) / 40,
            min(self.cover[at] * said.weight, 3.0) / 3,
        ]  # fmt: skip


def _about(thread: PrintedThread) -> str:
    return f"{thread.name} {thread.summary}" if thread.name and thread.name not in thread.summary else thread.summary


def _request(summary: str) -> str:
    return summary.partition(" Agent: ")[0].partition(" […]")[0].removeprefix("User: ")


def _role(agent: PrintedAgent) -> str:
    return "".join(each if each.isalpha() else " " for each in agent.role)


def _core(agent: PrintedAgent) -> str:
    return ". ".join([_role(agent), agent.description, *agent.capabilities])


def _cover_either(said: Text, one: Text, other: Text) -> float:
    if not said.weight:
        return 0.0
    return sum(weight for key, weight in said.stems.items() if key in one.stems or key in other.stems) / said.weight


def _alike(one: Text, other: Text) -> float:
    """Shared stems by weight over all stems of both."""
    shared = sum(weight for key, weight in one.stems.items() if key in other.stems)
    return shared / (one.weight + other.weight - shared) if shared else 0.0


def _minutes(now: datetime | None, then: datetime | None) -> float:
    return max(0.0, (now - then).total_seconds() / 60) if now and then else 0.0


def named(names: Sequence[str], numbers: Sequence[float]) -> Mapping[str, float]:
    """Numbers by name, for reasons and reports."""
    return dict(zip(names, numbers, strict=True))

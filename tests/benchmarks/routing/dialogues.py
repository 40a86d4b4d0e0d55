"""Routing cases out of `dialogues.txt`: interleaved conversations of one user with the agents of a few trades.

They are harder than a day's messages: threads and openings are drawn by lot, and any of them may be meant.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleet.graph.summary import extend_summary
from fleet.llm.offline.printed import Printed, PrintedAgent, PrintedThread

FILE = Path(__file__).with_name("dialogues.txt")
NEWEST = 0.1  # of the messages that carry on do so in the newest thread; the others in any, this one too
_FRESH = 0.38  # of the messages open a thread
_MOST_AGENTS, _MOST_THREADS = 9, 5
_START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Agent:
    """One agent of a trade; in `dialogues` user and agent speak in turn, the user first."""

    role: str
    description: str
    capabilities: tuple[str, ...]
    dialogues: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Stand:
    """A conversation, and how many of its turns are said."""

    agent: Agent
    turns: tuple[str, ...]
    said: int

    @property
    def next(self) -> str | None:
        return self.turns[self.said] if self.said < len(self.turns) else None


def read_trades(path: Path = FILE) -> dict[str, list[Agent]]:
    """The agents of every trade, in order."""
    trades: dict[str, list[Agent]] = {}
    found: list[Agent] = []
    for line in path.read_text("utf-8").split("\n\n", 1)[1].splitlines():
        if line.startswith("# "):
            found = trades[line[2:]] = []
        elif line.startswith("@ "):
            role, _, about = line[2:].partition(": ")
            description, _, capabilities = about.partition(" | ")
            found.append(Agent(role, description, tuple(capabilities.split("; ")), ()))
        elif line:
            last = found[-1]
            turns = tuple(line.split(" | "))
            found[-1] = Agent(last.role, last.description, last.capabilities, (*last.dialogues, turns))
    return trades


def interleave(trades: Sequence[Sequence[Agent]], count: int, rng: random.Random) -> list[tuple[Printed, int]]:
    """That many cases, each with its right answer: threads first, then agents."""
    made: list[tuple[Printed, int]] = []
    while len(made) < count:
        some = rng.sample(range(len(trades)), min(len(trades), rng.choice([1, 1, 1, 2, 3])))
        agents = [agent for at in some for agent in trades[at]]
        rng.shuffle(agents)
        agents = list({agent.role: agent for agent in agents}.values())  # a role names one agent
        if (case := _case(agents[:_MOST_AGENTS], rng)) is not None:
            made.append(case)
    return made


def _case(agents: list[Agent], rng: random.Random) -> tuple[Printed, int] | None:
    every = [(agent, turns) for agent in agents for turns in agent.dialogues]
    fresh = rng.random() < _FRESH
    wanted = rng.choice([0, 1, 2, 3, 4, 5] if fresh else [1, 2, 3, 4, 5]) + fresh
    chosen = rng.sample(every, min(len(every), wanted))
    stands = [
        _Stand(agent, turns, 2 * rng.randint(1, max(1, len(turns) // 2)))
        for agent, turns in chosen[: _MOST_THREADS + 1]
    ]
    opened = stands.pop() if fresh else None
    open_ones = [at for at, each in enumerate(stands) if each.next is not None]
    if opened is None:
        if not open_ones:
            return None
        at = 0 if 0 in open_ones and rng.random() < NEWEST else rng.choice(open_ones)
        message, gold = stands[at].next or "", at
    else:
        message, gold = opened.turns[0], len(stands) + agents.index(opened.agent)
    voice = _voice(rng)
    now = _START + timedelta(minutes=rng.randrange(0, 400_000))
    then, threads = now, []
    for at, each in enumerate(stands):
        then -= _pause(rng)
        summary = ""
        for turn in range(0, each.said, 2):
            summary = extend_summary(summary, each.turns[turn - 1] if turn else "", voice(each.turns[turn]))
        threads.append(
            PrintedThread(
                at, each.agent.role, summary=summary, latest_activity=then,
                last_assistant_message=each.turns[each.said - 1],
            )
        )  # fmt: skip
    used = {turns for _, turns in chosen}
    printed = Printed(voice(message), now, "en", tuple(_printed(each, used, rng) for each in agents), tuple(threads))
    return printed, gold


def _printed(agent: Agent, used: set[tuple[str, ...]], rng: random.Random) -> PrintedAgent:
    """The agent with some openings of conversations that are not in the case as its examples."""
    free = [turns[0] for turns in agent.dialogues if turns not in used]
    kept = rng.sample(free, min(len(free), rng.choice([0, 0, 1, 1, 2])))
    return PrintedAgent(agent.role, agent.description, agent.capabilities, tuple(enumerate(kept)))


def _pause(rng: random.Random) -> timedelta:
    """Seconds to days, each length as likely as the next."""
    return timedelta(minutes=rng.uniform(0.1, 0.5) * 3 ** rng.uniform(0, 8.5))


def _voice(rng: random.Random) -> Callable[[str], str]:
    """One user's way of writing, the same in all threads of a case."""
    draw = rng.random()
    if draw < 0.2:
        return lambda text: text.lower().rstrip(".!")
    if draw < 0.35:
        return lambda text: text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
    return lambda text: text

"""Run the real `fleet` command, and end it by SIGKILL at a named point: `kill_points.py POINT COUNT ARGUMENTS…`.

COUNT is the how-manieth passing of the point ends the process. The runtime's own methods run as they are: what is put
around them only counts, and kills. Nothing of this is known to the package.
"""

from __future__ import annotations

import functools
import inspect
import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

POINTS: dict[str, Callable[[Callable[[], None]], None]] = {}
FORGETTING: dict[str, Callable[[Callable[[], None]], None]] = {}
ARCHIVING: dict[str, Callable[[Callable[[], None]], None]] = {}
STEPS: dict[str, Callable[[Callable[[], None]], None]] = {}
BURSTS: dict[str, Callable[[Callable[[], None]], None]] = {}
ASKING: dict[str, Callable[[Callable[[], None]], None]] = {}


def main(point: str, count: str, *arguments: str) -> None:
    left = int(count)

    def passing() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            (soon if point == "in a checkpoint" else now)()

    (POINTS | FORGETTING | ARCHIVING | STEPS | BURSTS | ASKING)[point](passing)
    from fleet.cli.main import main

    sys.argv = ["fleet", *arguments]
    main()


def now() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def soon() -> None:
    """In a moment, whatever the process does then: an alarm that nobody handles ends it where it stands, as KILL does.

    A commit of a few records takes one to ten milliseconds.
    """
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.008))


def point(name: str, among: Any = POINTS) -> Callable[[Callable[[Callable[[], None]], None]], None]:
    def register(arm: Callable[[Callable[[], None]], None]) -> None:
        among[name] = arm

    return register


def around(owner: Any, name: str, *, before: Any = None, after: Any = None) -> None:
    """Have a method or function call `before` with its arguments, then run, then call `after` with them."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def ordinary(*given: Any, **options: Any) -> Any:
        if before is not None:
            before(*given)
        result = real(*given, **options)
        if after is not None:
            after(*given)
        return result

    @functools.wraps(real)
    async def waiting(*given: Any, **options: Any) -> Any:
        if before is not None:
            before(*given)
        result = await real(*given, **options)
        if after is not None:
            after(*given)
        return result

    setattr(owner, name, waiting if inspect.iscoroutinefunction(real) else ordinary)


def always(passing: Callable[[], None]) -> Callable[..., None]:
    return lambda *_: passing()


@point("before a send is durable")
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.sqlite import SqliteLedger

    around(SqliteLedger, "append_now", before=always(passing))


@point("after a send is durable")
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.sqlite import SqliteLedger

    around(SqliteLedger, "append_now", after=always(passing))


@point("after accept")
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.events import MessageAccepted
    from fleet.runtime.loop import Loop

    around(Loop, "react", before=lambda _, stored: isinstance(stored.event, MessageAccepted) and passing())


@point("before a question is durable", ASKING)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime.questions import Questions

    around(Questions, "draft", after=always(passing))


@point("after a question is durable", ASKING)
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.events import QuestionAsked
    from fleet.runtime.loop import Loop

    around(Loop, "react", before=lambda _, stored: isinstance(stored.event, QuestionAsked) and passing())


@point("before an answer settles it", ASKING)
def _(passing: Callable[[], None]) -> None:
    from fleet.routing.decider import Decider

    around(Decider, "answered", after=always(passing))


@point("between what was asked about and its answer", ASKING)
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.events import MessageDecided
    from fleet.runtime.loop import Loop

    def settled(_: Any, stored: Any) -> None:
        if isinstance(stored.event, MessageDecided) and stored.event.decision.asked:
            passing()

    around(Loop, "react", before=settled)


@point("before a step begins", STEPS)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime.steps import Steps

    around(Steps, "begin", before=always(passing))


@point("after a step began", STEPS)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime.steps import Steps

    around(Steps, "begin", after=always(passing))


@point("before a burst is settled", BURSTS)
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.sqlite import SqliteLedger

    around(SqliteLedger, "append", before=lambda _, draft: draft.beside and passing())


@point("in the transaction that settles a burst", BURSTS)
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger import writer

    around(writer, "write_batch", after=lambda _, names, batch: any(len(e.parts) > 1 for e in batch) and passing())


@point("before a burst is applied", BURSTS)
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.checkpoints import Graph

    around(Graph, "apply", before=lambda _, batch: joined(batch) and passing())


@point("after a burst is applied", BURSTS)
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.checkpoints import Graph

    around(Graph, "apply", after=lambda _, batch: joined(batch) and passing())


def joined(batch: Any) -> bool:
    from fleet.ledger.events import MessageDecided

    return any(isinstance(each.event, MessageDecided) and each.event.decision.joined for each in batch)


@point("after a model's answer")
def _(passing: Callable[[], None]) -> None:
    from fleet.llm.anthropic import AnthropicModel

    around(AnthropicModel, "complete", after=always(passing))


@point("before append")
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.sqlite import SqliteLedger

    around(SqliteLedger, "append", before=always(passing))


@point("in the transaction")
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger import writer

    around(writer, "write_batch", after=always(passing))


@point("after append")
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger.doorbell import Bells

    around(Bells, "ring", before=always(passing))  # the first thing after the commit


@point("before apply")
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.checkpoints import Graph

    around(Graph, "apply", before=always(passing))


@point("after apply")
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.checkpoints import Graph

    around(Graph, "apply", after=always(passing))


@point("before a checkpoint")
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.db import Database

    around(Database, "commit", before=always(passing))


@point("in a checkpoint")
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.db import Database

    around(Database, "commit", before=always(passing))


@point("after a checkpoint")
def _(passing: Callable[[], None]) -> None:
    from fleet.graph.db import Database

    around(Database, "commit", after=always(passing))


@point("before a tool runs")
def _(passing: Callable[[], None]) -> None:
    from fleet.agents.tool import Tool

    around(Tool, "call", before=lambda tool, *_: tool.effect == "external" and passing())


@point("after a tool ran")
def _(passing: Callable[[], None]) -> None:
    from fleet.agents.tool import Tool

    around(Tool, "call", after=lambda tool, *_: tool.effect == "external" and passing())


@point("before delivery")
def _(passing: Callable[[], None]) -> None:
    around(_help_desk(), "hand_over", before=always(passing))


@point("after delivery")
def _(passing: Callable[[], None]) -> None:
    around(_help_desk(), "hand_over", after=always(passing))


@point("between an archive and its rows", ARCHIVING)
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger import archive

    around(archive, "wait_for_turn", before=always(passing))


@point("before the erasing", FORGETTING)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime import forget

    around(forget, "forget_user", before=always(passing))


@point("in the erasing", FORGETTING)
def _(passing: Callable[[], None]) -> None:
    from fleet.ledger import erase

    around(erase, "write_batch", after=always(passing))


@point("after the erasing", FORGETTING)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime import forget

    around(forget, "forget_user", after=always(passing))


@point("before the scrubbing", FORGETTING)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime import purge

    around(purge, "scrub", before=always(passing))


@point("after the scrubbing", FORGETTING)
def _(passing: Callable[[], None]) -> None:
    from fleet.runtime import purge

    around(purge, "scrub", after=always(passing))


def _help_desk() -> Any:
    import help_desk

    return help_desk


if __name__ == "__main__":
    main(*sys.argv[1:])

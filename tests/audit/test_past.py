"""What a decision could know, rebuilt from the ledger: the very transcripts that were printed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.fleets import Outgoing, helper_app, newest_else_new, open_fleet, printed_message, scripted

from fleet import DialogAgent, Message
from fleet.audit.declared import Declarations
from fleet.audit.past import Moment, moments
from fleet.errors import InputError
from fleet.ledger.events import MessageDecided
from fleet.ledger.sqlite import SqliteLedger
from fleet.routing.shown import show
from fleet.runtime.home import Home

USERS = ("ana", "ben", "cid", "dan")


async def busy_day(home: Path) -> None:
    """Users who do not wait: replies in one thread come in while the router thinks about the next message."""
    pick = random.Random(11)
    sent = Outgoing()
    begun: Counter[str] = Counter()
    thinking: Counter[str] = Counter()

    async def wander(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def replies_to(user: str) -> int:
        return sum(each == user for each, _ in sent.sent)

    async def route(request: Any) -> str:
        """Thinks for a while; of a user whose worker is busy, mostly until that worker's reply is out."""
        user = printed_message(request).split()[0]
        thinking[user] += 1
        if begun[user] > (before := replies_to(user)) and pick.random() < 0.8:
            while replies_to(user) == before:
                await asyncio.sleep(0)
        await wander(pick.randint(0, 60))
        thinking[user] -= 1
        return newest_else_new(request)

    async def work(request: Any) -> str:
        """Answers once the router thinks about the user's next message, if that comes soon."""
        user = next(each for each in USERS if each in str(request.messages))
        begun[user] += 1
        for _ in range(400):
            if thinking[user]:
                break
            await asyncio.sleep(0)
        return f"Done, {pick.randint(0, 999)}?"

    async with open_fleet(home, helper_app(sent), models=scripted(route, work)) as fleet:
        for number in range(160):
            user, matter = pick.choice(USERS), "new matter" if pick.random() < 0.3 else "more of it"
            await fleet.accept(Message(user, f"{user} {matter} {number}", f"m{number}"))
            await wander(pick.randint(0, 40))
        await fleet.idle()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("busy") / "home"
    asyncio.run(busy_day(home))
    return home


def all_of(ledger: SqliteLedger) -> tuple[Declarations, list[Moment]]:
    wanted: dict[str, set[int]] = {}
    for stored in ledger.read(types=(MessageDecided.TYPE,)):
        wanted.setdefault(stored.user, set()).add(stored.seq)
    declared = Declarations(ledger)
    return declared, list(moments(ledger, wanted, declared))


def without_clock(transcript: str) -> str:
    return "\n".join(line for line in transcript.splitlines() if not line.startswith("Current UTC time:"))


def test_the_same_warmup_prints_the_very_transcript_again(busy: Path) -> None:
    found: Counter[str] = Counter()
    with Home(busy).read_ledger() as ledger:
        declared, past = all_of(ledger)
        for moment in past:
            catalog, decision = declared.at(moment.stored.seq), moment.event.decision
            shown = show(catalog.dispatcher.warmup, catalog.app.dispatcher, moment.facts, 5)
            was = ledger.blob(decision.transcript).decode()
            found["exact"] += moment.exact
            found["the same"] += without_clock(shown.transcript) == without_clock(was)
            assert [each.id for each in shown.threads] == [each.thread_id for each in decision.candidates]
    assert found == {"exact": 160, "the same": 160}


def test_replies_did_come_in_while_the_router_thought(busy: Path) -> None:
    """Else the test above would show less than it says."""
    with Home(busy).read_ledger() as ledger:
        late = 0
        for stored in ledger.read(types=(MessageDecided.TYPE,)):
            event = stored.event
            assert isinstance(event, MessageDecided)
            began = stored.at - sum(us for stage, us in event.decision.latency_us.items() if stage != "queue")
            ended = ledger.read(types=("turn.ended",), user=stored.user, before=stored.seq, newest_first=True, limit=1)
            late += any(each.at > began for each in ended)
    assert late > 5


def test_moments_of_one_decision_read_no_others(busy: Path) -> None:
    with Home(busy).read_ledger() as ledger:
        last = next(ledger.read(types=(MessageDecided.TYPE,), newest_first=True))
        (moment,) = moments(ledger, {last.user: {last.seq}}, Declarations(ledger))
        assert moment.stored.seq == last.seq
        assert moment.exact
        assert abs((moment.facts.now.timestamp() * 1e6) - last.at) < 60e6


async def test_agents_are_those_in_force_at_the_time(tmp_path: Path) -> None:
    for description in ("Helps with everything", "Helps with nothing"):
        app = helper_app(Outgoing())
        app.agents["helper"] = DialogAgent("helper", Outgoing(), description=description)
        async with open_fleet(tmp_path, app) as fleet:
            await fleet.accept(Message("ana", f"new: {description}"))
            await fleet.idle()
    with Home(tmp_path).read_ledger() as ledger:
        declared, past = all_of(ledger)
        described = [moment.facts.agents["helper"].description for moment in past]
        assert described == ["Helps with everything", "Helps with nothing"]
        with pytest.raises(InputError, match="no agent was declared"):
            declared.at(1)

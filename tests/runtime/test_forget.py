"""Forgetting: nothing of one user in any file of the home, the others as they were, and all of it verifies."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.fleets import digests, events_of, helper_app, newest_else_new, open_fleet, scripted, use
from support.remembering import APP, mark_or_cross, write_down
from support.traces import traces

from fleet import Fleet, Message
from fleet.errors import GraphError, HomeBusyError, InputError
from fleet.ledger.events import Erased, MessageAccepted, MessageDecided, TurnEnded, UserForgotten
from fleet.ledger.sqlite import SqliteLedger
from fleet.llm.base import Request
from fleet.routing.gates import DispatchAction, DispatchResult
from fleet.runtime.forget import forget
from fleet.runtime.home import Home
from fleet.runtime.intake import accept_now
from fleet.runtime.verify import verify_store

SECRET = "the orchid of Zanzibar blooms at 4711"
# Long enough to be deflated, and to make the ledger's pages split again and again.
STORY = f"Hello, this is new. {SECRET}. " + " ".join(f"word{n} {n * 7919 % 1000}" for n in range(300))


def worker(request: Request) -> object:
    """Writes down what it is told, and says it back."""
    last = request.messages[-1]["content"]
    if isinstance(last, str):
        return [use("write_down", words=last.splitlines()[-1][:2000], call_id=f"call_{len(request.messages)}")]
    return f"I wrote down: {last[0]['content'][:500]}"


def fleet_on(home: Path, **options) -> Fleet:
    app = helper_app(tools=[write_down], **options)
    return open_fleet(home, app, models=scripted(newest_else_new, worker))


async def talk(home: Path, users=("ana", "ben"), rounds: int = 3, prefix: str = "", **options) -> None:
    async with fleet_on(home, **options) as fleet:
        for number in range(rounds):
            for user in users:
                text = STORY if user == "ana" else f"ben's own words {number}"
                await fleet.accept(Message(user, f"{text} {number}", f"{prefix}{user}-{number}", session_id=""))
        await fleet.idle()


def facts(home: Path, user: str) -> list[object]:
    """Everything on record of a user, as it is read."""
    with Home(home).read_ledger() as ledger:
        return [(each.seq, each.chain, each.event) for each in ledger.read(user=user)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application can be imported by the processes that a check starts."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    await talk(tmp_path / "home")
    return tmp_path / "home"


async def test_no_file_of_the_home_holds_a_word_of_it_any_more(home: Path) -> None:
    with Home(home).read_ledger() as ledger:
        held = sum(not isinstance(each.event, Erased) for each in ledger.read(user="ana"))
    before = traces(home, SECRET)
    assert {"ledger.db deflated", "graph.db0 plain"} <= set(before), "else the search would find nothing at all"
    aside = home / "graph.aside"
    aside.mkdir()
    (aside / "graph.db0").write_bytes((home / "graph" / "graph.db0").read_bytes())

    done = forget(Home(home), "ana", by="the desk", reason="Art. 17")

    assert traces(home, SECRET) == []
    assert traces(home, "ben's own words 1") != []
    assert done.event is not None
    assert (done.event.erased_events, done.event.erased_messages) == (held, 3)
    assert (done.event.by, done.event.reason, done.event.closed) == ("the desk", "Art. 17", ())
    assert done.event.erased_blobs > 0


async def test_the_chain_holds_and_the_live_graph_is_the_rebuilt_one(home: Path, tmp_path: Path) -> None:
    with Home(home).read_ledger() as ledger:
        head = ledger.head()
    of_ben = facts(home, "ben")
    done = forget(Home(home), "ana")
    report = verify_store(Home(home), APP)
    assert report.problems == ()
    assert report.live is not None
    assert report.live.applied == report.live.opened_at == done.seq
    live, again = digests(home, tmp_path / "again")
    assert live == again
    assert facts(home, "ben") == of_ben
    with Home(home).read_ledger() as ledger:
        assert next(ledger.read(after=head[0] - 1, upto=head[0])).chain == head[1]
        assert [each.event.kind for each in ledger.read_stream("message:ana-0")] == \
            [MessageAccepted.TYPE, MessageDecided.TYPE]  # fmt: skip
        assert [each.event.user for each in ledger.read(types=(MessageAccepted.TYPE,))] == ["ben"] * 3
    async with fleet_on(home) as fleet:
        assert len(fleet._graph.root.users["ben"].recent) > 0
        assert fleet._graph.root.users["ana"].messages == 0
        assert "said:ana" not in fleet._graph.root.state
        assert "ben" in fleet._graph.root.state["said:ben"]


async def test_a_second_time_there_is_nothing_left(home: Path) -> None:
    forget(Home(home), "ana")
    with Home(home).read_ledger() as ledger:
        head = ledger.head()
    assert forget(Home(home), "ana").event is None
    with Home(home).read_ledger() as ledger:
        assert ledger.head() == head


async def test_whoever_comes_back_is_a_new_user(home: Path, tmp_path: Path) -> None:
    forget(Home(home), "ana")
    await talk(home, prefix="again-")
    assert traces(home, SECRET) != []
    second = forget(Home(home), "ana")
    assert second.event is not None
    assert second.event.erased_messages == 3
    assert traces(home, SECRET) == []
    assert verify_store(Home(home), APP).problems == ()


async def test_a_key_of_before_begins_a_new_thread(tmp_path: Path) -> None:
    def gate(message):
        return DispatchResult(key="desk", action=DispatchAction.ROUTE)

    async def thread() -> str:
        async with fleet_on(tmp_path, gate=gate) as fleet:
            sent = await fleet.accept(Message("ana", "hello"))
            await fleet.idle()
            return next(each.event.decision.thread_id for each in events_of(fleet, MessageDecided)
                        if each.event.message_id == sent.message_id)  # fmt: skip

    first = await thread()
    assert await thread() == first
    forget(Home(tmp_path), "ana")
    second = await thread()
    assert second != first
    assert await thread() == second
    assert verify_store(Home(tmp_path), APP).problems == ()


async def test_what_was_left_to_do_for_them_is_closed_and_the_others_go_on(home: Path) -> None:
    with Home(home).open_ledger() as ledger:
        for user in ("ana", "ben"):
            accept_now(ledger, Message(user, f"one more thing, {user}", f"late-{user}"), 10_000)
    done = forget(Home(home), "ana")
    assert done.event is not None
    assert done.event.closed == (("inbox", "late-ana"),)
    with Home(home).read_ledger() as ledger:
        assert [each.key for each in ledger.pending("inbox")] == ["late-ben"]
    async with fleet_on(home) as fleet:
        await fleet.idle()
        answered = [each.event.message_ids for each in events_of(fleet, TurnEnded)]
    assert answered[-1] == ("late-ben",)
    assert verify_store(Home(home), APP).problems == ()


async def test_an_id_of_before_is_not_used_again(home: Path) -> None:
    forget(Home(home), "ana")
    with Home(home).open_ledger() as ledger, pytest.raises(InputError) as refused:
        accept_now(ledger, Message("ana", "hello", "ana-0"), 10_000)
    assert str(refused.value) == ("message id ana-0 was of a message that has been forgotten; send it under another id")


async def test_a_home_that_a_worker_holds_is_refused(home: Path) -> None:
    async with fleet_on(home):
        with pytest.raises(HomeBusyError, match="is held by another worker"):
            forget(Home(home), "ana")
    assert len([each for each in facts(home, "ana") if isinstance(each[2], MessageAccepted)]) == 3


def test_an_unknown_user_is_refused(home: Path) -> None:
    with pytest.raises(InputError) as refused:
        forget(Home(home), "zoe")
    assert str(refused.value) == 'there is no user "zoe" in this ledger; nothing was erased'


async def test_reducers_that_cannot_do_without_them_are_found_out_before_anything_is_erased(tmp_path: Path) -> None:
    def marking(request: Request) -> object:
        return [use("mark_or_cross")] if isinstance(request.messages[-1]["content"], str) else "Done."

    models = scripted(newest_else_new, marking)
    async with open_fleet(tmp_path, helper_app(tools=[mark_or_cross]), models=models) as fleet:
        for user in ("ana", "ben"):
            await fleet.accept(Message(user, "please"))
            await fleet.idle()
    before = facts(tmp_path, "ana")
    with pytest.raises(GraphError) as refused:
        forget(Home(tmp_path), "ana")
    said = str(refused.value)
    assert said.startswith('the graph cannot be made without what "ana" said: event ')
    assert said.endswith("cannot be applied: KeyError: 'mark:ana'; nothing was erased")
    assert facts(tmp_path, "ana") == before
    assert verify_store(Home(tmp_path), APP).problems == ()
    assert not (tmp_path / "graph.forgetting").exists()


async def test_a_payload_that_is_gone_without_a_word_and_one_that_is_still_there_are_found(home: Path) -> None:
    with sqlite3.connect(home / "ledger.db") as hand:
        (seq,) = hand.execute("SELECT min(seq) FROM events WHERE user IS NOT NULL").fetchone()
        (body,) = hand.execute("SELECT body FROM events WHERE seq = ?", (seq,)).fetchone()
        hand.execute("UPDATE events SET body = x'00' WHERE seq = ?", (seq,))
    hand.close()
    with SqliteLedger.open(home / "ledger.db", readonly=True) as ledger:
        assert ledger.verify().problems[-1] == (
            f"the payload of event {seq} (message.accepted, message:ana-0 version 1) is erased, and no later event "
            "says that 'ana' was forgotten"
        )
    done = forget(Home(home), "ana")
    with sqlite3.connect(home / "ledger.db") as hand:
        hand.execute("UPDATE events SET body = ? WHERE seq = ?", (body, seq))
    hand.close()
    with SqliteLedger.open(home / "ledger.db", readonly=True) as ledger:
        problem, *_ = ledger.verify().problems
    assert problem == f"event {seq} of 'ana' still has its payload, which event {done.seq} says was erased"


async def test_it_is_on_record_under_the_user(home: Path) -> None:
    done = forget(Home(home), "ana", by="the desk")
    with Home(home).read_ledger() as ledger:
        (stored,) = ledger.read(types=(UserForgotten.TYPE,))
        assert (stored.stream, stored.version, stored.user, stored.seq) == ("user:ana", 1, "ana", done.seq)

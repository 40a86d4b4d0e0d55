"""The history that acceptance tests share: made by the real pipeline, and the same every time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from support.fleets import check_exactly_once
from support.history import BEGAN, MODELS, History, make_history

from fleet.clock import from_us
from fleet.ledger.events import Decision, MessageDecided
from fleet.runtime.home import Home


def decided(history: History) -> dict[str, Decision]:
    with Home(history.home).read_ledger() as ledger:
        found = [each.event for each in ledger.read(types=(MessageDecided.TYPE,))]
    return {each.message_id: each.decision for each in found if isinstance(each, MessageDecided)}


def test_it_holds_five_thousand_messages_each_decided_and_answered_once(history: History) -> None:
    with Home(history.home).read_ledger() as ledger:
        events = list(ledger.read())
        assert not any(ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox"))
    check_exactly_once(events)
    assert len(decided(history)) == len(history.planned) == 5000


def test_it_meets_everything_that_an_audit_tells_apart(history: History) -> None:
    found = decided(history).values()
    outcomes = Counter((each.by, each.outcome) for each in found)
    rungs = Counter(each.fallback for each in found)
    assert {("model", "dispatch_to"), ("model", "start_new_thread"), ("gate", "drop")} <= outcomes.keys()
    assert rungs["router"] > 50
    assert rungs["human"] > 10
    assert {each.attempts[0].model for each in found if each.attempts and each.attempts[0].verdict} == set(MODELS)
    assert len({each.prompt for each in found if each.prompt}) == 2


def test_its_messages_are_spread_over_ten_days(history: History) -> None:
    with Home(history.home).read_ledger() as ledger:
        days = Counter(from_us(each.at).date() for each in ledger.read(types=(MessageDecided.TYPE,)))
    assert min(days) == BEGAN.date()
    assert list(days.values()) == [500] * 10


def test_most_messages_went_where_they_ought_to(history: History) -> None:
    routed = decided(history)
    right = sum(routed[each.id].thread_id == each.thread_id for each in history.planned if each.agent)
    assert right > 0.8 * len(history.planned)


def test_the_same_arguments_give_the_same_decisions(small_history: History, tmp_path: Path) -> None:
    again = make_history(tmp_path / "home", messages=200, users=20)
    first, second = decided(small_history), decided(again)
    assert again.planned == small_history.planned
    for message_id, decision in first.items():
        other = second[message_id]
        assert (decision.outcome, decision.thread_id, decision.agent, decision.fallback) == (
            other.outcome, other.thread_id, other.agent, other.fallback,
        )  # fmt: skip
        assert [each.thread_id for each in decision.candidates] == [each.thread_id for each in other.candidates]

"""Which message is next: each user's in order, priority between users only, delayed ones when their time has come."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from fleet.ledger.events import MessageAccepted
from fleet.runtime.lanes import Lanes, Waiting, rank_of

STEP = 600


def message(at: int, user: str, name: str, priority: int = 0, not_before: int = 0) -> Waiting:
    event = MessageAccepted(message_id=name, user=user, text="hi", priority=priority, not_before=not_before)
    due = max(at, not_before)
    return Waiting(event, 1, at, due, rank_of(due, priority, STEP))


def taken(lanes: Lanes) -> list[str]:
    """Everything there is to take, each settled before the next one is taken."""
    names = []
    while (waiting := lanes.take()) is not None:
        names.append(waiting.message.message_id)
        lanes.done(waiting)
    return names


def test_equal_users_go_in_the_order_accepted():
    lanes = Lanes()
    for at, user in enumerate("abacb"):
        lanes.put(message(at, user, f"{user}{at}"))
    assert taken(lanes) == ["a0", "b1", "a2", "c3", "b4"]


def test_an_urgent_message_passes_other_users_and_never_its_own():
    lanes = Lanes()
    lanes.put(message(1, "bo", "bo-1"))
    lanes.put(message(2, "ana", "ana-1"))
    lanes.put(message(3, "ana", "ana-2", priority=5))
    lanes.put(message(4, "cy", "cy-1"))
    assert taken(lanes) == ["ana-1", "ana-2", "bo-1", "cy-1"]


def test_what_waits_is_passed_for_a_bounded_time_only():
    lanes = Lanes()
    lanes.put(message(0, "old", "old"))
    lanes.put(message(STEP - 1, "urgent", "urgent", priority=1))
    lanes.put(message(STEP + 1, "late", "too late to pass", priority=1))
    lanes.put(message(STEP + 2, "low", "low", priority=-1))
    assert taken(lanes) == ["urgent", "old", "too late to pass", "low"]


def test_a_lane_that_is_taken_waits_for_its_message_to_be_settled():
    lanes = Lanes()
    lanes.put(message(1, "ana", "ana-1"))
    lanes.put(message(2, "ana", "ana-2"))
    first = lanes.take()
    assert lanes.take() is None
    lanes.again(first)
    assert lanes.take() is first
    lanes.done(first)
    assert taken(lanes) == ["ana-2"]


def test_a_delayed_message_joins_its_lane_when_its_time_comes_behind_what_came_until_then():
    lanes = Lanes()
    lanes.put(message(1, "ana", "later", not_before=10))
    lanes.put(message(2, "ana", "much later", not_before=20))
    lanes.put(message(5, "ana", "at once"))
    assert lanes.next_due == 10
    assert taken(lanes) == ["at once"]
    lanes.put(message(15, "ana", "after its time"))  # nobody has looked at the clock in between
    assert taken(lanes) == ["later", "after its time"]
    lanes.release(19)
    assert taken(lanes) == []
    lanes.release(20)
    assert taken(lanes) == ["much later"]
    assert lanes.next_due is None


def test_a_dropped_message_is_gone_wherever_it_stood():
    lanes = Lanes()
    for number in range(4):
        lanes.put(message(number, "ana", f"ana-{number}", priority=number))
    lanes.put(message(5, "bo", "alone"))
    lanes.put(message(6, "cy", "later", not_before=10))
    first = lanes.take()
    assert first.message.message_id == "ana-0"
    for name in ("ana-0", "ana-2"):
        lanes.drop("ana", name)
    lanes.drop("bo", "alone")
    lanes.drop("cy", "later")
    assert first.settled
    lanes.done(first)
    lanes.release(100)
    assert taken(lanes) == ["ana-1", "ana-3"]


@given(st.integers())
def test_any_order_of_calls_gives_what_a_search_through_everything_gives(seed):
    """The plain way: of each user the first in order, of those the one whose user has the lowest rank of all."""
    chance = random.Random(seed)
    lanes, waiting, busy, clock = Lanes(), [], {}, 0
    for number in range(80):
        what = chance.randrange(6)
        clock += chance.randrange(3)
        if what <= 2:
            nb = clock + chance.randrange(1, 30) if chance.random() < 0.3 else 0
            new = message(clock, f"u{chance.randrange(4)}", f"m{number}", chance.randrange(-2, 3), nb)
            lanes.put(new)
            waiting.append(new)
        elif what == 3:
            lanes.release(clock)
            due = [each for each in waiting if each.due <= clock]
            ranks = {
                user: min(each.rank for each in due if each.message.user == user)
                for user in {each.message.user for each in due} - set(busy)
            }
            got = lanes.take()
            assert (got is None) == (not ranks)
            if got is not None:
                user = got.message.user
                assert ranks[user] == min(ranks.values())
                assert got is min((each for each in due if each.message.user == user), key=order)
                busy[user] = got
        elif what == 4 and busy:
            user = chance.choice(sorted(busy))
            done = busy.pop(user)
            waiting.remove(done)
            lanes.done(done)
        elif what == 5 and busy:
            lanes.again(busy.pop(chance.choice(sorted(busy))))


def order(each: Waiting) -> tuple[int, int]:
    return each.due, int(each.message.message_id[1:])

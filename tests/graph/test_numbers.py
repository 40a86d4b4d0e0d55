"""Which row an id has: found again among many, however they came."""

from __future__ import annotations

import random
from itertools import pairwise

from fleet.graph.numbers import Numbers


def test_every_id_leads_to_its_row_and_few_to_another():
    some, durable, known = random.Random(3), [], {}
    numbers = Numbers(durable)
    for _ in range(60):
        new = {f"thr_{some.getrandbits(48):012x}": len(known) + n for n in range(some.choice([1, 7, 100, 2000]))}
        numbers.enter(new)
        known |= new
    for again in (numbers, Numbers(durable)):
        assert len(again) == len(known) > 10_000
        assert all(number in again.of(key) for key, number in known.items())
        assert sum(len(list(again.of(f"job_{n}"))) for n in range(10_000)) < 10  # of 2 ** 36 hashes


def test_runs_stay_few_and_each_is_longer_than_the_next():
    durable = []
    numbers = Numbers(durable)
    for n in range(3000):
        numbers.enter({f"{n}": n})
    lengths = [len(run) // 8 for run in durable]
    assert sum(lengths) == 3000
    assert all(first > 2 * second for first, second in pairwise(lengths))


def test_nothing_entered_writes_nothing():
    durable = []
    Numbers(durable).enter({})
    assert durable == []
    assert list(Numbers(durable).of("a")) == []

"""Decisions as rows."""

from __future__ import annotations

import itertools

import pytest
from support.audited import DAY

from fleet.audit.decisions import Filter, decisions, row_of
from fleet.ledger.sqlite import SqliteLedger


def ids(ledger: SqliteLedger, wanted: Filter | None = None, limit: int | None = None) -> list[str]:
    return [row_of(stored)["message_id"] for stored in decisions(ledger, wanted, limit)]


def test_all_of_them_in_the_order_decided(ledger: SqliteLedger) -> None:
    rows = [row_of(stored) for stored in decisions(ledger)]
    assert [row["message_id"] for row in rows] == [message_id for message_id, *_ in DAY]
    assert all(one["seq"] < two["seq"] for one, two in itertools.pairwise(rows))
    assert all(one["decided_at"] <= two["decided_at"] for one, two in itertools.pairwise(rows))


def test_what_a_row_says(ledger: SqliteLedger) -> None:
    rows = {row["message_id"]: row for row in map(row_of, decisions(ledger))}
    friday = rows["m-friday"]
    assert friday["user"] == "ana"
    assert friday["action"] == "dispatch_to"
    assert friday["thread_id"] == rows["m-swap"]["thread_id"]
    assert (friday["agent"], friday["by"], friday["thread_index"]) == ("clerk", "model", 1)
    assert (friday["verdicts"], friday["fallback"], friday["reason"]) == (["ok"], "", "It carries on.")
    assert friday["tokens"] == {"input": 1200, "output": 30, "cache_read": 800, "cache_write": 0}
    assert friday["cost_usd"] == pytest.approx(0.00143)
    assert set(friday["latency_us"]) == {"queue", "gate", "warmup", "model", "parse"}
    assert (rows["m-swap"]["action"], rows["m-swap"]["name"]) == ("start_new_thread", "Can I swap my Friday shift?")
    assert rows["m-hesitate"]["verdicts"] == ["thread_index_out_of_range", "ok"]
    assert (rows["m-outage"]["verdicts"], rows["m-outage"]["fallback"]) == (["error", "ok"], "router")
    assert (rows["m-lost"]["action"], rows["m-lost"]["fallback"], rows["m-lost"]["thread_id"]) == ("human", "human", "")
    assert (rows["m-spam"]["action"], rows["m-spam"]["by"], rows["m-spam"]["model"]) == ("drop", "gate", "")
    assert rows["m-spam"]["gate_reason"] == "advertising"
    assert rows["m-gate-error"]["action"] == "error"


def test_the_last_few_come_oldest_first(ledger: SqliteLedger) -> None:
    assert ids(ledger, limit=3) == ["m-worker-down", "m-research", "m-unreachable"]
    assert ids(ledger, limit=0) == []
    assert len(ids(ledger, limit=10**6)) == len(DAY)


def test_filters(ledger: SqliteLedger) -> None:
    assert ids(ledger, Filter(user="ben")) == ["m-hesitate", "m-outage", "m-lost"]
    assert ids(ledger, Filter(user="nobody")) == []
    assert ids(ledger, Filter(agent="researcher")) == ["m-research"]
    assert ids(ledger, Filter(action="dispatch_to")) == ["m-friday", "m-vip-again"]
    assert ids(ledger, Filter(fallback=True)) == ["m-outage", "m-lost", "m-stumble"]
    assert ids(ledger, Filter(fallback=True), limit=2) == ["m-lost", "m-stumble"]
    assert ids(ledger, Filter(user="ben", fallback=True), limit=1) == ["m-lost"]


def test_a_span_of_time(ledger: SqliteLedger) -> None:
    found = list(decisions(ledger))
    third, fifth = found[2], found[4]
    within = ids(ledger, Filter(since=third.at, until=fifth.at))
    assert within == ["m-friday", "m-hesitate", "m-outage"]
    assert ids(ledger, Filter(since=third.at, until=fifth.at), limit=2) == within[1:]
    assert ids(ledger, Filter(since=found[-1].at + 1)) == []
    assert ids(ledger, Filter(until=found[0].at - 1)) == []

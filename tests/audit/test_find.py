"""Finding the message that somebody asks about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet import Message
from fleet.audit.find import find_message, last_message, message_at, read_time, seq_at
from fleet.clock import to_us
from fleet.errors import InputError
from fleet.ledger.base import Draft
from fleet.ledger.events import FleetStarted
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.intake import accept_now


def test_by_a_whole_id_even_where_it_begins_another(ledger: SqliteLedger) -> None:
    assert find_message(ledger, "m-vip") == "m-vip"


def test_by_a_unique_beginning(ledger: SqliteLedger) -> None:
    assert find_message(ledger, "m-fri") == "m-friday"


def test_a_beginning_that_several_share_lists_five(ledger: SqliteLedger) -> None:
    with pytest.raises(InputError) as caught:
        find_message(ledger, "m-")
    assert caught.value.message == (
        '"m-" begins the ids of several messages: m-bill, m-book, m-call, m-friday, m-gate-error and more'
    )
    with pytest.raises(InputError, match=r"several messages: m-spam, m-stumble, m-swap$"):
        find_message(ledger, "m-s")


@pytest.mark.parametrize("text", ["m-x", "M-FRIDAY", "%", "m_friday", "message:m-friday"])
def test_what_no_id_begins_with(ledger: SqliteLedger, text: str) -> None:
    with pytest.raises(InputError, match=f'there is no message "{text}" in this ledger; `fleet audit list`'):
        find_message(ledger, text)


def test_nothing_names_no_message(ledger: SqliteLedger) -> None:
    with pytest.raises(InputError, match="named by its id"):
        find_message(ledger, "")


def test_the_last_one_and_a_users_last_one(ledger: SqliteLedger) -> None:
    assert last_message(ledger) == "m-waiting"
    assert last_message(ledger, "ana") == "m-friday"
    with pytest.raises(InputError, match='there is no message of user "nobody"'):
        last_message(ledger, "nobody")


def test_the_last_of_an_empty_ledger(tmp_path: Path) -> None:
    with (
        SqliteLedger.open(tmp_path / "ledger.db") as empty,
        pytest.raises(InputError, match="no message has been accepted yet"),
    ):
        last_message(empty)


def test_the_users_message_nearest_to_a_time(tmp_path: Path) -> None:
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        for number in range(5):
            accept_now(ledger, Message("ana", f"say {number}", f"m-{number}"), 1000)
            accept_now(ledger, Message("ben", f"say {number}", f"b-{number}"), 1000)
        times = {stored.stream[8:]: stored.at for stored in ledger.read()}
        assert message_at(ledger, "ana", 0) == "m-0"
        assert message_at(ledger, "ana", times["m-2"]) == "m-2"
        between = (times["m-2"] + times["m-3"]) // 2
        assert message_at(ledger, "ana", between - 1) == "m-2"
        assert message_at(ledger, "ana", times["b-4"] + 10**12) == "m-4"
        with pytest.raises(InputError, match='no message of user "cid"'):
            message_at(ledger, "cid", between)


def test_the_seq_at_a_time_is_that_of_the_last_event_until_then(tmp_path: Path) -> None:
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        assert seq_at(ledger, 10**18) == 0
        started = FleetStarted(app="a", code_version="1", pid=1, host="h")
        for version in range(40):
            ledger.append_now(Draft("fleet", version, (started,)))
        events = list(ledger.read())
        assert seq_at(ledger, events[0].at - 1) == 0
        for stored in events:
            assert seq_at(ledger, stored.at) == max(each.seq for each in events if each.at <= stored.at)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-10T14:05", datetime(2026, 3, 10, 14, 5, tzinfo=UTC)),
        ("2026-03-10 14:05:30", datetime(2026, 3, 10, 14, 5, 30, tzinfo=UTC)),
        ("2026-03-10T14:05:00.250Z", datetime(2026, 3, 10, 14, 5, 0, 250_000, tzinfo=UTC)),
        ("2026-03-10T14:05+02:00", datetime(2026, 3, 10, 12, 5, tzinfo=UTC)),
        ("2026-03-10", datetime(2026, 3, 10, tzinfo=UTC)),
    ],
)
def test_times_as_people_type_them(text: str, expected: datetime) -> None:
    assert read_time(text) == to_us(expected)


def test_a_time_of_day_is_todays() -> None:
    before = datetime.now(UTC).date()
    found = read_time("14:05")
    assert found in {
        to_us(datetime(day.year, day.month, day.day, 14, 5, tzinfo=UTC)) for day in (before, datetime.now(UTC).date())
    }


@pytest.mark.parametrize("text", ["", "yesterday", "14", "25:00", "2026-13-01", "10:00\x1b[2J"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_time(text)
    assert caught.value.message.startswith("a time looks like 2026-03-10T14:05 or 14:05 (UTC), not ")
    assert "\x1b" not in caught.value.message

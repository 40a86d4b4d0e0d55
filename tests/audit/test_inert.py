"""Text on a page for people."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.audit.explanation import Totals
from fleet.audit.inert import inert, inert_json, name, visible
from fleet.audit.wording import ago, duration, money, tokens

ANY = st.text(st.characters())


@given(ANY)
def test_a_text_is_one_printable_line_and_can_be_read_back(text: str) -> None:
    line = inert(text)
    assert line.isprintable()
    assert json.loads(line) == text


@given(ANY | st.text(st.characters(), min_size=20), st.integers(1, 20))
def test_a_cut_text_says_how_much_is_missing(text: str, limit: int) -> None:
    line = inert(text, limit)
    assert line.isprintable()
    if len(text) > limit + 20:
        assert line.endswith(f" … {len(text) - limit} more characters")
    else:
        assert line == inert(text)


@given(ANY)
def test_a_name_is_plain_or_quoted(text: str) -> None:
    assert name(text).isprintable()
    assert name(text) == text or json.loads(name(text)) == text


@given(st.recursive(st.none() | st.integers() | ANY, lambda each: st.lists(each) | st.dictionaries(ANY, each)))
def test_a_json_value_is_one_printable_line(value: object) -> None:
    assert inert_json(value, 50).isprintable()


@given(ANY)
def test_text_of_several_lines_keeps_them_and_nothing_else_that_acts(text: str) -> None:
    shown = visible(text)
    assert all(each.isprintable() or each in "\n\t" for each in shown)
    assert shown.count("\n") == text.count("\n")


def test_people_read_what_was_written() -> None:
    assert inert("if a < b: `x`") == '"if a < b: `x`"'
    assert inert("Zoë schrieb: 日本語 👍") == '"Zoë schrieb: 日本語 👍"'
    assert inert("\x1b[31mred\u202e") == '"\\u001b[31mred\\u202e"'
    assert inert_json({"day": "Fri\nday", "n": 1}) == '{"day": "Fri\\nday", "n": 1}'
    assert visible('say "hi"\n\x1b[2J\\') == 'say "hi"\n\\u001b[2J\\'
    assert (name("schedule_assistant"), name("prompts/dispatcher.md")) == (
        "schedule_assistant",
        "prompts/dispatcher.md",
    )
    assert name("") == '""'
    assert name("x\ny") == '"x\\ny"'


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (0, "0"),
        (850, "850 µs"),
        (12_345, "12.3 ms"),
        (999_700, "1 s"),
        (1_234_000, "1.23 s"),
        (59_999_000, "60 s"),
        (125_000_000, "2 min 5 s"),
        (3 * 3_600_000_000, "3 h"),
        (3_720_000_000, "1 h 2 min"),
        (90_000_000_000, "1 d 1 h"),
    ],
)
def test_durations(us: int, said: str) -> None:
    assert duration(us) == said


def test_other_words() -> None:
    assert ago(5_000_000, 125_000_000) == "2 min before"
    assert ago(5, 5) == "at that moment"
    assert (money(0), money(0.00143), money(12.5)) == ("$0.00", "$0.001430", "$12.50")
    assert tokens(Totals(1)) == "1 model call, no tokens counted, $0.00"
    assert tokens(Totals(2, 10, 5, 7, 3, 0.5)) == (
        "2 model calls, 10 tokens in, 7 read from cache, 3 written to cache, 5 out, $0.500000"
    )

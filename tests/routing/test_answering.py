"""Reading a message as the answer to a question with numbered choices."""

from __future__ import annotations

import pytest

from fleet.ledger.events import Choice
from fleet.routing.answering import NONE, read_answer

CHOICES = (
    Choice(agent="schedule_assistant", thread_id="thr_1", name="I need to move my Thursday shift", probability=0.4),
    Choice(agent="billing", thread_id="thr_2", name="Invoice 4711 is wrong", probability=0.3),
    Choice(agent="lost_property", name=""),
    Choice(agent="travel", thread_id="thr_3", name="週末の予定を変更したい"),
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2), (" 2. ", 2), ("#2", 2), ("(2)", 2), ("number 2", 2), ("No. 2!", 2), ("Option 3", 3), ("２", 2),
        ("the first one", 1), ("second", 2), ("The third one, please", 3), ("four", 4),
        ("my Thursday shift", 1), ("the Thursday shift one", 1), ("I need to move my Thursday shift", 1),
        ("I mean the invoice", 2), ("invoice 4711", 2), ("It's about billing", 2), ("Schedule Assistant", 1),
        ("schedule_assistant", 1), ("lost property please", 3), ("new lost property", 3), ("週末", 4),
        ("new", 3), ("something new", 3), ("Etwas Neues", 3),
        ("0", NONE), ("none of these", NONE), ("None.", NONE), ("neither", NONE), ("no", NONE), ("nein", NONE),
        ("ninguno", NONE), ("どれでもない", NONE),
    ],
)  # fmt: skip
def test_an_answer(text, number):
    assert read_answer(text, CHOICES) == number


@pytest.mark.parametrize(
    "text",
    [
        "5", "17", "2 tickets please", "2026", "shift happens", "is", "I", "my", "?!", "",
        "Friday is better", "yes", "new shoes", "When do you open?",
        "the invoice " * 20,
    ],
)  # fmt: skip
def test_something_else(text):
    assert read_answer(text, CHOICES) is None


def test_what_fits_two_choices_is_no_answer_but_a_whole_title_is():
    first = Choice(agent="a", thread_id="thr_1", name="My order")
    two = (first, Choice(agent="b", thread_id="thr_2", name="My order 7"))
    assert read_answer("order", two) is None
    assert read_answer("order 7", two) == 2
    assert read_answer("my order", two) == 1


def test_new_is_the_likeliest_new_thread_and_none_of_the_choices_where_they_are_all_threads():
    assert read_answer("new", CHOICES[:2]) == NONE
    assert read_answer("new", (*CHOICES, Choice(agent="billing"))) == 3
    assert read_answer("new billing", (*CHOICES, Choice(agent="billing"))) == 5

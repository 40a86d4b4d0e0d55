"""The handbook that ships with the demo, searched for real."""

import re
from importlib.resources import files

import pytest

from fleet.demo.documents import search_documents


@pytest.mark.parametrize(
    ("query", "title", "section"),
    [
        ("How many days of paid leave do we get each year?", "Leave policy", "Days per year"),
        ("can I carry unused days over", "Leave policy", "Carrying unused days over"),
        ("What must I do when I am ill?", "Sick leave", "Calling in sick"),
        ("my child is sick", "Sick leave", "A sick child"),
        ("swapping shifts", "Shifts at the support desk", "Moving and swapping a shift"),
        ("Is a train ticket reimbursed?", "Expenses", "Train tickets and mileage"),
        ("how much may a hotel cost", "Booking travel", "Hotels"),
        ("working from home", "Remote work", "How many days"),
        ("when are salaries paid", "Payroll", "Payday"),
        ("I lost my laptop", "IT help", "Broken or lost computer"),
        ("forgot my password", "IT help", "Passwords"),
    ],
)
def test_a_question_finds_its_section(query, title, section):
    found = search_documents(query)
    assert (found[0]["title"], found[0]["section"]) == (title, section)
    assert 1 <= len(found) <= 3


@pytest.mark.parametrize("query", ["", "?!", "the of and", "xyzzy", '"; DROP TABLE x; --', "NEAR(", "*", "\x00"])
def test_a_query_without_an_answer_finds_nothing_and_breaks_nothing(query):
    assert search_documents(query) == []


def test_operators_of_the_index_are_plain_words():
    assert search_documents('leave OR "sick') != []
    assert search_documents("title:leave AND NOT sick") != []


def test_every_page_has_a_title_and_sections_of_a_few_sentences():
    pages = [page for page in files("fleet.demo").joinpath("documents").iterdir() if page.name.endswith(".md")]
    assert len(pages) >= 8
    for page in pages:
        head, *sections = re.split(r"^## ", page.read_text("utf-8"), flags=re.M)
        assert head.startswith("# ")
        assert len(sections) >= 3
        assert all(60 < len(section) < 400 for section in sections), page.name


def test_the_pages_agree_with_the_code():
    """What the tools count with is what the handbook tells people."""
    leave = search_documents("days of paid leave a year")[0]["text"]
    assert "28 days" in leave
    shifts = " ".join(each["text"] for each in search_documents("moving a shift hours"))
    assert "at most 7 days" in shifts
    assert "08:00 to 12:30" in shifts

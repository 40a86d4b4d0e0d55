"""Untrusted text: one inert line that gives the text back."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.prompting.quote import Untrusted, quote

TEXTS = st.text(st.characters(), max_size=80) | st.text(
    '\n\r\x0b\x0c\x1c\x85\u2028\u2029<>`"\\\u202e\u200b a', max_size=40
)


@given(TEXTS)
def test_a_quoted_text_is_one_inert_line_and_reads_back(text):
    line = quote(text)
    assert json.loads(line) == text
    assert len(f"x{line}x".splitlines()) == 1
    assert not set("<>`") & set(line)
    assert all(each == " " or unicodedata.category(each)[0] in "LMNPS" for each in line)


@pytest.mark.parametrize("text", ["Ĉu ĵaŭde?", "明天可以吗", "Можно в пятницу?", "متى؟", "🙂 naïve", "नमस्ते"])
def test_letters_of_every_script_stay_readable(text):
    assert quote(text) == f'"{text}"'


@pytest.mark.parametrize(
    "hidden",
    ["\u202e", "\u200b", "\u2066", "\ufeff", "\U000e0041", "\ufe0f", "\u3164", "\u00a0", "\u2028", "\x1b", "\ud800"],
)
def test_what_hides_or_reorders_is_spelled_out(hidden):
    assert re.fullmatch(r'"a(\\u[0-9a-f]{4}){1,2}b"', quote(f"a{hidden}b"))


HOSTILE = "Hi `x`\nthreads[0]: <b>\u202e"
RAW = re.compile(r"[\n`<>\u202e]")


@pytest.mark.parametrize(
    "printed",
    [
        lambda text: str(text),
        lambda text: f"{text}",
        lambda text: f"{text!r} {text!s} {text:>80}",
        lambda text: "said: " + text,
        lambda text: text + "!",
        lambda text: "%s / %r" % (text, text),  # noqa: UP031
        lambda text: "{} {t}".format(text, t=text),  # noqa: UP032
        lambda text: str([text]) + str({"t": text}) + str((text,)),
        lambda text: str(text[:12]) + str(text[3]),
        lambda text: str(text.strip()) + str(text.lower()) + str(text.upper()) + str(text.title()),
        lambda text: str(text.replace("Hi", "Ho")) + str(text.removeprefix("H")) + str(text.expandtabs()),
        lambda text: str(text.split()) + str(text.splitlines()) + str(text.partition("\n")) + str(text.rsplit("\n", 1)),
        lambda text: str(text.split("\n")[1]) + str(text.splitlines()[1]),
        lambda text: "".join(str(each) for each in text),
        lambda text: str(Untrusted(", ").join([text, text])),
        lambda text: str(text * 2) + str(2 * text) + str(text.center(60)),
        lambda text: str(max(text)) + str(next(iter(text))),
    ],
)
def test_whatever_warmup_code_does_with_it_prints_inert(printed):
    assert not RAW.search(printed(Untrusted(HOSTILE)))


def test_as_a_value_it_is_the_text_itself():
    text = Untrusted(HOSTILE)
    assert text == HOSTILE
    assert text in {HOSTILE: 1}
    assert "threads[0]" in text
    assert text.startswith("Hi")
    assert text.find("`") == 3
    assert len(text) == len(HOSTILE)
    assert json.loads(json.dumps(text)) == HOSTILE
    assert text.raw == HOSTILE
    assert type(text.raw) is str
    assert [each.raw for each in text.splitlines()] == HOSTILE.splitlines()
    assert isinstance(text.encode(), bytes)
    assert not Untrusted("")

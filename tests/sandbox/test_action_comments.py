"""The stated reason: the model's comments, as plain text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sandbox import comments_of
from fleet.sandbox.characters import ILLEGAL


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "```python\n# Asked which day.\n#  Friday answers it. \ndispatch_to(threads[0])\n```",
            "Asked which day.\nFriday answers it.",
        ),
        ("```python\ndispatch_to(threads[0])  # pending question\n```", "pending question"),
        ("```python\r\n## a\r\n#\r\nf(\n# b\n1)\r\n```", "a\nb"),
        ('```python\nf(name=\'# no\', x="""\n# no\n""") # yes\n```', "yes"),
        ("```python\n#!/bin/sh\n# ```x```\n```", "!/bin/sh\n```x```"),
        ("```python\n# open\ndispatch_to(", "open"),
        ("```python\n# one\n'\n# two\n```", "one\ntwo"),
        ("# before\nI'd say # not this\n```python\n# in\n```\n  # after", "before\nin\nafter"),
        ("```text\n# a\n```\nand\n```python\n# b\n```", "a\nb"),
        ("# no fence\ndispatch_to(threads[0]) # passed over", "no fence"),
        ("```python\n# a\u202eb\ud800\x1b[0m\u2028c\n```", "a\ufffdb\ufffd\ufffd[0m\ufffdc"),
        ("```python\n# a\r# b\n```", "a\nb"),
        ("```python\n# Änderung → 變更 👨\u200d👩\n```", "Änderung → 變更 👨\u200d👩"),
        ("dispatch_to(threads[0])", ""),
        ("```python\n```", ""),
        ("```", ""),
        ("", ""),
    ],
)
def test_comments(output: str, reason: str) -> None:
    assert comments_of(output) == reason


def test_a_long_reason_is_cut() -> None:
    reason = comments_of("```python\n# " + "because " * 1000 + "\n```")
    assert len(reason) == 2000
    assert reason.startswith("because because")
    assert reason.endswith("…")
    assert len(comments_of("# x\n" * 1_000_000)) == 2000


@settings(deadline=None, database=None)
@given(output=st.text(st.characters(exclude_categories=[])))
def test_any_text_gives_lines_that_can_be_shown(output: str) -> None:
    for text in (output, f"```python\n{output}\n```", f"# {output}"):
        reason = comments_of(text)
        assert ILLEGAL.search(reason) is None
        assert json.loads(json.dumps(reason).encode("utf-8")) == reason
        assert all(line.strip() for line in reason.split("\n")) or not reason

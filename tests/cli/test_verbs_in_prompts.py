"""Calls that prompts name in their code, read whether they are Python, a declaration, or the beginning of either."""

from __future__ import annotations

import pytest

from fleet.cli.verbs import Named, calls_in, problems_in, snippets_of

VERBS = {"dispatch_to": ("thread",), "find": ("day", "limit")}


@pytest.mark.parametrize(
    ("snippet", "calls"),
    [
        ("dispatch_to(threads[0])", [Named("dispatch_to", (), 1)]),
        ("dispatch_to(…)", [Named("dispatch_to")]),
        ("dispatch_to(...)", [Named("dispatch_to")]),
        ("find(day='Friday', limit=3)", [Named("find", ("day", "limit"))]),
        ("# a comment\nfind(\n    day='x',\n)\n", [Named("find", ("day",))]),
        ("find(day: str, limit: int | None = None)", [Named("find", ("day", "limit"))]),
        ("find(day={day})", [Named("find", ("day",))]),
        ("find(day=<day>, limit)", [Named("find")]),
        ("first find(day=1), then dispatch_to(x)", [Named("find", ("day",)), Named("dispatch_to", (), 1)]),
        ("threads[0].find(1)", []),
        ("find", []),
        ("find(day=1", [Named("find", ("day",))]),
        ("outer(find(day=1))", [Named("outer", (), 1), Named("find", ("day",))]),
    ],
)
def test_calls_are_read_as_they_are_written(snippet, calls):
    assert list(calls_in(snippet)) == calls


def test_code_is_in_spans_and_in_fences_of_python():
    text = (
        "Say `one(1)` and ``two(`2`)``, not three(3).\n\n```python\nfour(4)\n```\n~~~\nfive(5)\n~~~\n"
        "```json\nsix(6)\n```\nA lone ` and\n\nseven(7) ` too.\n"
    )
    found = [call.verb for snippet in snippets_of(text) for call in calls_in(snippet)]
    assert sorted(found) == ["five", "four", "one", "two"]


@pytest.mark.parametrize(
    ("snippet", "problem"),
    [
        ("find(day='x')", None),
        ("find('x', 3)", None),
        ("print(find('x'))", None),
        ("fnid(day='x')", "fnid(…) is no verb of the test; there are dispatch_to, find"),
        ("find(date='x')", "find(…) has no argument 'date'; it takes day, limit"),
        ("find('x', 3, 4)", "find(…) is given more arguments than it takes: day, limit"),
        ("dispatch_to(thread, 2)", "dispatch_to(…) is given more arguments than it takes: thread"),
    ],
)
def test_a_verb_or_keyword_that_does_not_exist_is_named(snippet, problem):
    assert list(problems_in(calls_in(snippet), VERBS, "the test")) == ([problem] if problem else [])

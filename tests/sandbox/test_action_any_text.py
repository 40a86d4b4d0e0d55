"""Whatever the text, there is an action or a verdict, also where the C stack is small; and no warning."""

from __future__ import annotations

import ast
import random
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.errors import ActionRejected
from fleet.sandbox import VERDICTS, DispatchTo, StartNewThread, comments_of, parse_action

AGENTS = ["sounding_board", "a"]
EXAMPLES = {"a": [0, 1]}

# Words of the grammar and of what surrounds it; each alone is harmless, together they reach most of the parser.
FRAGMENTS = [
    *(
        "dispatch_to",
        "start_new_thread",
        "threads",
        "agent=",
        "language=",
        "name=",
        "default_example_id=",
        '"a"',
        "'en'",
    ),
    *("(", ")", "[", "]", "{", "}", ",", ":", ";", ".", "=", ":=", "->", "...", "@", "$", "?", "!", "`", "\\", "\\\n"),
    *("-", "+", "~", "not ", "*", "**", "==", "<", " if ", " else ", " for x in ", " in ", " is ", " and ", " or "),
    *("lambda:", "lambda x=(", "await ", "yield ", "yield from ", "print x", "x", "None", "True", "pass", "return "),
    *("0", "1", "00", "0x1", "1_0", "1_", "0b1", "1e5", "1j", ".5", "0if 1else 2", "9" * 101, "18446744073709551616"),
    *(
        '"',
        "'",
        '"""',
        "'''",
        'b"x"',
        'rb"x"',
        'u"x"',
        't"x"',
        '"\\d"',
        '"\\400"',
        '"\\ud800"',
        '"\\N{EM DASH}"',
        '"\\x"',
    ),
    *('f"{x}"', 'f"', "f'{a!r:>{w}}'", 'f"{x["a"]}"', "f'''{", "}'''", 'f"{*a}"', 'f"{x # y}"', "f'{'", 'f"\\{x}"'),
    *(
        "#",
        "# c\n",
        "\n",
        "\n  ",
        "\n\t",
        " ",
        "\t",
        "é",
        "ｄispatch_to",
        "“",
        "\u200d",
        "\u200b",
        "\r",
        "\x00",
        "\ufe0f",
    ),
    *(
        "import os",
        "def f():",
        "class A:",
        "if 1:",
        "match x:",
        "case _:",
        "with a as b:",
        "try:",
        "except*E:",
        "async ",
    ),
    *("type X = int", "def f[T](): pass", "except A, B:", "```", "```python", "~~~", "del x", "global x", "x = 1"),
]
CODE = st.lists(st.sampled_from(FRAGMENTS), max_size=80).map("".join)
ANY = st.text(st.characters(exclude_categories=[]))
OPENERS = [
    "(",
    "[",
    "{",
    "f(",
    "(-",
    "(not ",
    "(lambda:",
    "{1:",
    "a[",
    "(yield ",
    "(lambda x=",
    "[x for x in ",
    "f(**",
    "{**",
]


@pytest.fixture(scope="module")
def small_stack() -> Iterator[ThreadPoolExecutor]:
    before = threading.stack_size(256 * 1024)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            threading.stack_size(before)
            yield pool
    finally:
        threading.stack_size(before)


def verdict(
    output: str, agents: Sequence[str] = AGENTS, examples: Mapping[str, Sequence[int]] = EXAMPLES
) -> str | DispatchTo | StartNewThread:
    """The verdict's code, or the action; anything else raised ends the test."""
    comments_of(output)
    try:
        return parse_action(output, n_threads=3, agents=agents, printed_examples=examples)
    except ActionRejected as rejected:
        return rejected.code


def check(output: str, pool: ThreadPoolExecutor) -> None:
    found = pool.submit(verdict, output).result()
    if isinstance(found, str):
        assert found in VERDICTS
    else:
        assert verdict(f"```python\n{found.as_python()}\n```") == found


@settings(deadline=None, database=None, max_examples=300)
@given(output=ANY)
def test_any_text(output: str, small_stack: ThreadPoolExecutor) -> None:
    check(output, small_stack)


@settings(deadline=None, database=None, max_examples=300)
@given(code=ANY)
def test_any_fenced_code(code: str, small_stack: ThreadPoolExecutor) -> None:
    check(f"```python\n{code}\n```", small_stack)


@settings(deadline=None, database=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(
    code=CODE,
    form=st.sampled_from(
        ["{}", "dispatch_to({})", "dispatch_to(threads[{}])", "start_new_thread(agent='a',language='en',{})"]
    ),
)
def test_fragments_of_the_grammar(code: str, form: str, small_stack: ThreadPoolExecutor) -> None:
    check("```python\n" + form.replace("{}", code) + "\n```", small_stack)


@settings(deadline=None, database=None, max_examples=300)
@given(openers=st.lists(st.sampled_from(OPENERS), min_size=4, max_size=16), rest=CODE)
def test_the_deepest_nesting_that_is_let_through(
    openers: list[str], rest: str, small_stack: ThreadPoolExecutor
) -> None:
    pairs = {"(": ")", "[": "]", "{": "}"}
    closers = "".join(pairs[sign] for sign in reversed("".join(openers)) if sign in pairs)
    check(f"```python\n{''.join(openers)}1{closers}{rest}\n```", small_stack)
    check(f"```python\n{''.join(openers)}{rest}\n```", small_stack)


@pytest.mark.parametrize("size", [100, 8000])
@pytest.mark.parametrize(
    "chain",
    [
        *OPENERS,
        *(
            "-",
            "not ",
            "~",
            "lambda:",
            "lambda x:",
            "1 if 1 else ",
            "1**-",
            "1**",
            "a.",
            "a()",
            "()",
            "[0]",
            "1<",
            "1 or ",
        ),
        *(
            "x=",
            "x:=",
            "await ",
            "f'{",
            "f'''{f\"{",
            "f'{-",
            '"a"',
            "f'{1}'",
            "if 1:",
            "@a\n",
            "if 1:\n ",
            "1,",
            "else ",
        ),
        *("*", "**", "'", '"', "\\", "\\\n", ")", "9", "_9", "\u00e9", "\ud800", "pass\n", "#", "```\n", "\n```"),
    ],
)
def test_long_chains_of_one_thing(chain: str, size: int, small_stack: ThreadPoolExecutor) -> None:
    repeated = chain * (size // len(chain))
    for code in (repeated, f"{repeated}1", f"dispatch_to(threads[{repeated}0])", f"f'{{{repeated}1}}'"):
        check(f"```python\n{code}\n```", small_stack)
        check(code, small_stack)


def test_the_parser_never_warns() -> None:
    choose = random.Random(20)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3000):
            code = "".join(choose.choices(FRAGMENTS, k=choose.randint(1, 9)))
            verdict(f"```python\n{code}\n```")
            verdict(f"```python\nstart_new_thread(agent='a', language='en', name={code})\n```")
    assert not caught


@settings(deadline=None, database=None)
@given(
    agent=st.text(st.characters(exclude_categories=[]), max_size=60),
    language=st.from_regex(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", fullmatch=True),
    name=st.none() | st.text(min_size=1, max_size=80),
    example=st.none() | st.integers(0, 10**99),
)
def test_the_canonical_form_says_the_same(agent: str, language: str, name: str | None, example: int | None) -> None:
    action = StartNewThread(agent, language, name, example)
    call = action.as_python()
    assert "\n" not in call
    found = verdict(f"```python\n{call}\n```", agents=[agent], examples={agent: [example]})
    assert found == action or (found == "name_invalid" and name is not None)
    literals = {keyword.arg: ast.literal_eval(keyword.value) for keyword in ast.parse(call).body[0].value.keywords}
    assert StartNewThread(**literals) == action


@given(index=st.integers(0, 10**99))
def test_the_canonical_dispatch_says_the_same(index: int) -> None:
    call = DispatchTo(index).as_python()
    assert verdict(f"```python\n{call}\n```") == (DispatchTo(index) if index < 3 else "thread_index_out_of_range")

"""Cases of our own: which verdict wins, and where each rule begins and ends."""

from __future__ import annotations

import pytest

from fleet.errors import ActionRejected
from fleet.sandbox import DispatchTo, StartNewThread, parse_action

AGENTS = ["sounding_board", "soporte_técnico", "triage-v2"]
EXAMPLES = {"sounding_board": [0, 7]}


def parse(output: str) -> DispatchTo | StartNewThread:
    return parse_action(output, n_threads=3, agents=AGENTS, printed_examples=EXAMPLES)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def start(arguments: str) -> str:
    return fenced(f'start_new_thread(agent="sounding_board", language="en", {arguments})')


def language(tag: str) -> str:
    return fenced(f'start_new_thread(agent="sounding_board", language="{tag}")')


def code_of(output: str) -> str:
    with pytest.raises(ActionRejected) as caught:
        parse(output)
    return caught.value.code


ONE = "dispatch_to(threads[1])"


@pytest.mark.parametrize(
    "output",
    [
        f"\n \t\n```python\n{ONE}\n```\n\n  \n",
        f"```\tPyThOn3 \t\n{ONE}\n```\t",
        f"```python\r\n{ONE}\r\n```\r\n",
        fenced(f"\n\n\n{ONE}\n\n"),
        fenced(f"({ONE})"),
        fenced(f"((({ONE})));"),
        fenced("dispatch_to(threads[1],)"),
        fenced("dispatch_to((threads)[(1)])"),
        fenced("dispatch_to((threads[1]))"),
        fenced("dispatch_to(\n\tthreads\\\n\t[\n1 # one\n]\n)"),
        fenced("\\\ndispatch_to(threads[1])"),
        fenced(f"# -*- coding: utf-7 -*-\n{ONE}"),
        fenced(f"# +AGEALQ- `threads[0]` ```` ~~~ {{[((\n{ONE}"),
        fenced(f"    # indented\n{ONE}\n        # more"),
        fenced("(" * 14 + ONE + ")" * 14),
        fenced("# a\n" * 400 + ONE),
        fenced("\n" * 1000 + "dispatch_to(" + "\n" * 1000 + "threads[1])"),
    ],
)
def test_equal_spellings_of_one_dispatch_pass(output: str) -> None:
    assert parse(output) == DispatchTo(1)


@pytest.mark.parametrize(
    ("literal", "name"),
    [
        ("u'Swap'", "Swap"),
        ("R'Swap'", "Swap"),
        ("('Sw' \"ap\")", "Swap"),
        ('("Swap "\n    # its day\n    "Friday")', "Swap Friday"),
        ("'Sw\\\nap'", "Swap"),
        ("'''Sw\\\nap'''", "Swap"),
        ("'\\x53wap'", "Swap"),
        ("'\\123wap'", "Swap"),
        ("'\\N{LATIN SMALL LETTER E WITH ACUTE}t\\u00e9 \\U0001f31e'", "été 🌞"),
        ("'it\\'s \\\\ \"so\"'", 'it\'s \\ "so"'),
        ("'# no comment'", "# no comment"),
        ("'```'", "```"),
        ("'" + "((((" * 20 + "'", "((((" * 20),
        ("'" + "9" * 80 + "'", "9" * 80),
        ("'x'", "x"),
        ("'日本　シフト'", "日本　シフト"),
        ("'Besoin d’aide\u202f?'", "Besoin d’aide\u202f?"),
        ("'a\\u00a0b'", "a\u00a0b"),
        ("'❤\ufe0f ✈\ufe0f 1\ufe0f⃣'", "❤\ufe0f ✈\ufe0f 1\ufe0f⃣"),
        ("'مرحبا שלום नमस्ते'", "مرحبا שלום नमस्ते"),
        ("'e\\u0301'", "e\u0301"),
        ("'{x} {{y}} %s'", "{x} {{y}} %s"),
        ("None", None),
        ("(None)", None),
    ],
)
def test_names_that_pass(literal: str, name: str | None) -> None:
    assert parse(start(f"name={literal}")) == StartNewThread("sounding_board", "en", name)


@pytest.mark.parametrize(
    "literal",
    [
        "''",
        "' \\t'",
        "'   '",
        "'\\u3000'",
        "'a\\rb'",
        "'a\\0b'",
        "'a\\x1b[31m'",
        "'a\\x7f'",
        "'a\\x85b'",
        "'\\ud800'",
        "'\\ud83d\\ude00'",
        "'\\ufeffa'",
        "'a\\xadb'",
        "'a\\u2060b'",
        "'a\\u2066b\\u2069'",
        "'a\\U000e0041'",
        "'a\\U000e0101'",
        "'a\\ufe0f\\ufe0e'",
        "'\\u200d'",
        "'\\u200c \\ufe0f'",
        "'\\u3164'",
        "'\\ue000'",
        "'\\uffff'",
        "'\\U0010ffff'",
        "'''a\nb'''",
        "'a\tb'",
        "'a' '\\n'",
        "'" + "é" * 81 + "'",
        "'" + "\\u00e9" * 81 + "'",
    ],
)
def test_names_that_do_not(literal: str) -> None:
    assert code_of(start(f"name={literal}")) == "name_invalid"


@pytest.mark.parametrize("tag", ["en", "fil", "pt-BR", "es-419", "zh-Hant", "zh-Hant-TW", "sr-Latn-RS"])
def test_languages_that_pass(tag: str) -> None:
    assert parse(language(tag)) == StartNewThread("sounding_board", tag)


@pytest.mark.parametrize(
    "tag",
    [
        *(
            "",
            "e",
            "EN",
            "En",
            "english",
            "en_US",
            "en-",
            "en-USA",
            "en-U",
            "en-41",
            "zh-hant",
            "zh-HANT",
            "zh-TW-Hant",
        ),
        *(
            "de-1996",
            "en-US-posix",
            "x-klingon",
            "en ",
            " en",
            "en\\n",
            "ｅｎ",
            "é",
            "en\\u0000",
            "\\ud800",
            "еn",
            "en-٤١٩",
        ),
    ],
)
def test_languages_that_do_not(tag: str) -> None:
    assert code_of(language(tag)) == "language_invalid"


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("output_too_large", "\x00" * 8193),
        ("output_too_large", " " * 8193),
        ("output_too_large", "я" * 4097),
        ("output_too_large", "\ud800" * 2731),
        ("illegal_character", "\ud800" * 2730),
        ("illegal_character", "\u200b"),
        ("illegal_character", " \r "),
        ("illegal_character", "\r\r\n"),
        ("empty_output", ""),
        ("empty_output", "\r\n\t\u3000"),
        ("no_code_block", "`dispatch_to(threads[1])`"),
        ("no_code_block", f"Sure: ```{ONE}```"),
        ("no_code_block", f"> ```python\n> {ONE}\n> ```"),
        ("no_code_block", f"# ```python\n{ONE}"),
        ("fence_unclosed", "```"),
        ("fence_unclosed", f"```python {ONE}```"),
        ("fence_unclosed", f"```python\n{ONE}```"),
        ("fence_unclosed", f"Sure\n~~~~python\n{ONE}"),
        ("multiple_blocks", f"Sure\n~~~python\n{ONE}\n```\n  ```"),
        ("multiple_blocks", fenced("~~~dispatch_to(threads[1])")),
        ("prose_outside_block", f"I\n  ````json\n{ONE}\n~~~"),
        ("prose_outside_block", f"{fenced(ONE)}\n."),
        ("fence_style", f"  ```json\n{ONE}\n```"),
        ("fence_style", f"```json\n{ONE}\n````"),
        ("fence_style", f"~~~python\n{ONE}\n~~~"),
        ("fence_style", f"```python\n{ONE}\n```python"),
        ("fence_language", f"```\n{ONE}\n```"),
        ("fence_language", f"```python title=x\n{'(' * 99}\n```"),
        ("fence_language", f"```python {ONE}\n```"),
        ("fence_language", f"```ｐython\n{ONE}\n```"),
        ("too_complex", fenced("(" * 15 + ONE + ")" * 15)),
        ("too_complex", fenced("(" * 17)),
        ("too_complex", fenced("'" + "\n[{(" * 6)),
        ("too_complex", fenced("-" * 17 + "1")),
        ("too_complex", fenced("not " * 17 + "x")),
        ("too_complex", fenced("x = 1 +" + "+-~" * 6 + "1")),
        ("too_complex", fenced("\n".join(" " * depth + "if x:" for depth in range(18)) + " pass")),
        ("too_complex", fenced("1" * 101)),
        ("too_complex", fenced("0x" + "f" * 99)),
        ("too_complex", fenced("1_" * 50 + "1")),
        ("too_complex", fenced("1." + "0" * 99)),
        ("too_complex", fenced(") " + "9" * 101)),
        ("too_complex", fenced("x\n" * 129)),
        ("too_complex", fenced("f'{" + "(" * 16 + "1" + ")" * 16 + "}'")),
        ("too_complex", fenced("f'{" + "-" * 17 + "1}'")),
        ("too_complex", fenced("f'{" + "1+" * 128 + "1}'")),
        ("too_complex", fenced("f'{" + "9" * 101 + "}'")),
        ("syntax_error", fenced(f"{ONE})")),
        ("syntax_error", fenced(f"{ONE}\\")),
        ("syntax_error", fenced(f"\\ {ONE}")),
        ("syntax_error", fenced(f" {ONE}")),
        ("syntax_error", fenced(";")),
        ("syntax_error", fenced("dispatch_to(threads[1_])")),
        ("syntax_error", fenced("dispatch_to(threads[0b2])")),
        ("syntax_error", fenced("dispatch_to(threads[0if 1else 1])")),
        ("syntax_error", fenced("dispatch_to(threads[1]\u00a0)")),
        ("syntax_error", fenced("dispatch\u200d_to(threads[1])")),
        ("syntax_error", fenced("type X = int")),
        ("syntax_error", fenced("def f[T](): pass")),
        ("syntax_error", start("name='\\d'")),
        ("syntax_error", start("name='\\400'")),
        ("syntax_error", start("name=b'\\u0041'")),
        ("syntax_error", start("name=b'é'")),
        ("syntax_error", start("name='\\x4'")),
        ("syntax_error", start("name='\\U00110000'")),
        ("syntax_error", start("name=ur'x'")),
        ("syntax_error", start("name=t'x'")),
        ("syntax_error", start("name='a\nb'")),
        ("syntax_error", start('name=f"{x["a"]}"')),
        ("syntax_error", start("name=f'{'")),
        ("syntax_error", start("name=f'}'")),
        ("syntax_error", start("name=f'{}'")),
        ("syntax_error", start("name=f'{1 +}'")),
        ("syntax_error", start("name=f'{\"\\n\"}'")),
        ("syntax_error", start("name=f'\\{x}'")),
        ("no_action", "```python\n```"),
        ("no_action", fenced("    # only this")),
        ("multiple_statements", fenced('"""A reason."""\n' + ONE)),
        ("multiple_statements", fenced("x = 1; ｙ = 2")),
        ("multiple_statements", fenced("pass\n" * 128)),
        ("statement_not_allowed", fenced(f"ｘ = {ONE}")),
        ("statement_not_allowed", fenced(f"x: int = {ONE}")),
        ("statement_not_allowed", fenced(f"return {ONE}")),
        ("statement_not_allowed", fenced(f"async def f():\n    {ONE}\n    {ONE}")),
        ("statement_not_allowed", fenced("try:\n    pass\nexcept* E:\n    pass")),
        ("statement_not_allowed", fenced("del threads[1]")),
        ("expression_not_allowed", fenced("ｄispatch_to")),
        ("expression_not_allowed", fenced(f"(x := {ONE})")),
        ("expression_not_allowed", fenced(f"yield {ONE}")),
        ("expression_not_allowed", fenced(f"{ONE} < {ONE}")),
        ("expression_not_allowed", fenced(f"{ONE},")),
        ("expression_not_allowed", fenced("{" + ONE + "}")),
        ("expression_not_allowed", fenced(f"{ONE}[0]")),
        ("expression_not_allowed", fenced(f"{ONE}.x")),
        ("expression_not_allowed", fenced("-" * 16 + ONE)),
        ("expression_not_allowed", fenced("lambda:" * 120 + ONE)),
        ("expression_not_allowed", fenced("f'{x!r:>{y}} {{z}} {a[1:2]} {\"}\"}'")),
        ("non_ascii_identifier", fenced("печать(*x)")),
        ("non_ascii_identifier", fenced("dispatch_to(ｔhreads[1])")),
        ("non_ascii_identifier", fenced("dispatch_to(threads[Ｔrue])")),
        ("non_ascii_identifier", fenced("dispatсh_to(threads[1])")),
        ("non_ascii_identifier", start("name=имя")),
        ("non_ascii_identifier", start("ｎame='x'")),
        ("unknown_action", fenced("Dispatch_to(threads[1])")),
        ("unknown_action", fenced(f"{ONE}()")),
        ("unknown_action", fenced(f"{ONE}.send()")),
        ("unknown_action", fenced(f"tools.{ONE}")),
        ("unknown_action", fenced("print(*x, **y)")),
        ("unknown_action", fenced("(lambda: dispatch_to)()(threads[1])")),
        ("unknown_action", fenced("a" + "()" * 100)),
        ("star_argument", fenced("dispatch_to(*[], x=1)")),
        ("star_argument", fenced("start_new_thread('x', **y)")),
        ("star_argument", start("**{}")),
        ("bad_arguments", fenced("dispatch_to()")),
        ("bad_arguments", fenced("dispatch_to(thread=threads[1])")),
        ("bad_arguments", fenced("dispatch_to(threads[1], reason='x')")),
        ("thread_ref_form", fenced("dispatch_to(x for x in threads)")),
        ("thread_ref_form", fenced("dispatch_to(threads[1,])")),
        ("thread_ref_form", fenced("dispatch_to(threads[0][0])")),
        ("thread_ref_form", fenced("dispatch_to(threads[-1])")),
        ("thread_ref_form", fenced("dispatch_to(threads[None])")),
        ("thread_ref_form", fenced("dispatch_to(threads['1'])")),
        ("thread_ref_form", fenced("dispatch_to(threads[0b1])")),
        ("thread_ref_form", fenced("dispatch_to(threads[0o1])")),
        ("thread_ref_form", fenced("dispatch_to(threads[0x9])")),
        ("thread_ref_form", fenced("dispatch_to(threads[9_9])")),
        ("thread_ref_form", fenced("dispatch_to(threads[0_0])")),
        ("thread_ref_form", fenced("dispatch_to('é' and threads[1])")),
        ("thread_ref_form", fenced("dispatch_to(1)")),
        ("thread_ref_form", fenced("dispatch_to('threads[1]')")),
        ("thread_ref_form", fenced("dispatch_to(self.threads[1])")),
        ("thread_index_out_of_range", fenced("dispatch_to(threads[" + "9" * 100 + "])")),
        ("thread_index_out_of_range", fenced("dispatch_to(\n# é\nthreads [ 3 ])")),
        ("positional_argument", fenced("start_new_thread('sounding_board', agent='x', agent='y', z=1)")),
        ("unknown_argument", start("language='de', x=1")),
        ("unknown_argument", fenced("start_new_thread(agents='x')")),
        ("duplicate_argument", fenced("start_new_thread(name='a', name='b')")),
        ("missing_argument", fenced("start_new_thread()")),
        ("missing_argument", fenced("start_new_thread(language=1)")),
        ("argument_not_literal", fenced("start_new_thread(agent=1, language=x)")),
        ("argument_not_literal", start("name=f''")),
        ("argument_not_literal", start("name=('x',)")),
        ("argument_not_literal", start("name=(x:='y')")),
        ("argument_not_literal", start("name=not 'x'")),
        ("argument_not_literal", start("name='%s' % 'x'")),
        ("argument_not_literal", start("name='a'[0]")),
        ("argument_type", start("name=...")),
        ("argument_type", start("name=b'x'")),
        ("argument_type", start("name=True")),
        ("argument_type", start("default_example_id='0'")),
        ("argument_type", start("default_example_id=0.0")),
        ("argument_type", start("default_example_id=00")),
        ("argument_type", fenced("start_new_thread(agent=None, language='en')")),
        ("argument_type", fenced("start_new_thread(agent='nobody', language='x', default_example_id=False)")),
        ("unknown_agent", fenced("start_new_thread(agent='sounding_board ', language='?', name='')")),
        ("unknown_agent", fenced("start_new_thread(agent='\\ud800', language='en')")),
        ("unknown_agent", fenced("start_new_thread(agent='sounding\\0board', language='en')")),
        (
            "language_invalid",
            fenced("start_new_thread(agent='triage-v2', language='?', name='', default_example_id=9)"),
        ),
        ("example_not_printed", fenced("start_new_thread(agent='triage-v2', language='en', default_example_id=0)")),
        ("example_not_printed", start("default_example_id=1")),
        ("example_not_printed", start("default_example_id=" + "9" * 100)),
    ],
)
def test_the_first_verdict_that_fits_wins(code: str, output: str) -> None:
    assert code_of(output) == code


# Code points, so that this file holds none of them.
ILLEGAL = [
    *(
        0x00,
        0x01,
        0x08,
        0x0B,
        0x0C,
        0x0D,
        0x1B,
        0x1F,
        0x7F,
        0x80,
        0x85,
        0x9F,
        0xAD,
        0x34F,
        0x61C,
        0x180E,
        0x200B,
        0x200E,
    ),
    *(0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2060, 0x2064, 0x2066, 0x2069, 0x206F, 0x3164, 0xFEFF, 0xFFA0, 0xFFF9),
    *(0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0x1D173, 0xE0001, 0xE0041, 0xE007F, 0xE0100, 0xE01EF),
]


@pytest.mark.parametrize("point", ILLEGAL, ids=hex)
@pytest.mark.parametrize("where", ["{} ```python\n# c\n{}\n```", "```python\n# c{}d\n{}\n```", "```{}python\n{}\n```"])
def test_illegal_characters_anywhere(point: int, where: str) -> None:
    assert code_of(where.replace("{}", chr(point), 1).replace("{}", ONE)) == "illegal_character"


def test_a_run_of_variation_selectors_is_illegal() -> None:
    assert code_of(fenced(f"# \u2708\ufe0f\ufe00\n{ONE}")) == "illegal_character"
    assert parse(fenced(f"# \u2708\ufe0f \u2708\ufe0f\n{ONE}")) == DispatchTo(1)


@pytest.mark.parametrize(
    "character", ["\t", "\u00a0", "\u3000", "\u200c", "\u200d", "\ufe0f", "\ufffd", "\u0600", "🌞"]
)
def test_other_characters_pass_in_a_comment(character: str) -> None:
    assert parse(fenced(f"# a{character}b\n{ONE}")) == DispatchTo(1)


def test_the_largest_answer_passes() -> None:
    room = 8192 - len(fenced(f"# \n{ONE}"))
    assert parse(fenced(f"# {'x' * room}\n{ONE}")) == DispatchTo(1)
    assert code_of(fenced(f"# {'x' * (room + 1)}\n{ONE}")) == "output_too_large"
    assert parse(fenced(f"# {'x' * room}\n{ONE}").replace("\n", "\r\n")) == DispatchTo(1)


def test_arguments_may_come_in_any_order() -> None:
    output = fenced("start_new_thread(default_example_id=7, name='x', language='en', agent='sounding_board')")
    assert parse(output) == StartNewThread("sounding_board", "en", "x", 7)


def test_an_agent_is_matched_as_printed_not_as_normalised() -> None:
    assert parse(fenced("start_new_thread(agent='soporte_técnico', language='es')")).as_dict()["language"] == "es"
    assert code_of(fenced("start_new_thread(agent='soporte_te\u0301cnico', language='es')")) == "unknown_agent"

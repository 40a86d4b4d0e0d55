"""What the model is told: one bounded, inert sentence that helps."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from fleet import sandbox
from fleet.errors import ActionRejected
from fleet.sandbox import VERDICTS, parse_action
from fleet.sandbox.action import VERDICTS as OF_ACTION

CORPUS = Path(__file__).parents[1] / "data" / "action_corpus.jsonl"

ORDER = [
    "truncated_output",
    "output_too_large",
    "illegal_character",
    "empty_output",
    "no_code_block",
    "fence_unclosed",
    "multiple_blocks",
    "prose_outside_block",
    "fence_style",
    "fence_language",
    "too_complex",
    "syntax_error",
    "no_action",
    "multiple_statements",
    "statement_not_allowed",
    "expression_not_allowed",
    "non_ascii_identifier",
    "unknown_action",
    "star_argument",
    "bad_arguments",
    "thread_ref_form",
    "thread_index_out_of_range",
    "positional_argument",
    "unknown_argument",
    "duplicate_argument",
    "missing_argument",
    "argument_not_literal",
    "argument_type",
    "unknown_agent",
    "language_invalid",
    "name_invalid",
    "example_not_printed",
]


def rejection(code: str, **shown: object) -> ActionRejected:
    given = {"n_threads": 2, "agents": ["billing", "soporte_técnico"], "printed_examples": {"billing": [3, 7]}, **shown}
    with pytest.raises(ActionRejected) as caught:
        parse_action(f"```python\n{code}\n```", **given)
    return caught.value


def test_public_names() -> None:
    assert sandbox.__all__ == ["VERDICTS", "Action", "DispatchTo", "StartNewThread", "comments_of", "parse_action"]
    assert VERDICTS is OF_ACTION


def test_the_verdicts_stand_in_the_order_in_which_they_are_decided() -> None:
    assert list(VERDICTS) == ORDER


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        VERDICTS["no_action"] = "x"


def test_every_message_is_one_bounded_inert_sentence() -> None:
    told = set()
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        try:
            parse_action(
                case["output"],
                n_threads=case["n_threads"],
                agents=case["agents"],
                printed_examples=case["printed_examples"],
            )
        except ActionRejected as rejected:
            told.add(rejected.message)
    for message in {*told, *VERDICTS.values()}:
        assert message.isprintable()
        assert message.endswith(".")
        assert ". " not in message
        assert len(message) < 300
        assert not set("`<>") & set(message)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("dispatch_to(threads[2])", "threads[2] was not printed; only threads[0] to threads[1] were."),
        ("start_new_thread(agent='x', language='en')", 'the agents are "billing", "soporte_técnico".'),
        (
            "start_new_thread(agent='billing', language='en', default_example_id=0)",
            'agent "billing"; its ids are 3, 7.',
        ),
        (
            "start_new_thread(agent='soporte_técnico', language='en', default_example_id=0)",
            "leave default_example_id out.",
        ),
        ("start_new_thread(name='x')", "it lacks agent and language."),
        ("start_new_thread(agent='billing', language=2)", "The value of language must be a string."),
        ("start_new_thread(agent=x, language=2)", "The value of agent must be a literal"),
        ("# ok\n\n'\\d'", "(line 3)"),
        ("# ok\n1 +", "(line 2)"),
    ],
)
def test_messages_name_what_would_be_right(code: str, message: str) -> None:
    assert message in rejection(code).message


def test_messages_for_nothing_printed() -> None:
    assert "only start_new_thread" in rejection("dispatch_to(threads[0])", n_threads=0).message
    assert "only threads[0] was" in rejection("dispatch_to(threads[1])", n_threads=1).message
    assert "there is no agent" in rejection("start_new_thread(agent='x', language='en')", agents=[]).message


def test_an_illegal_character_is_named_not_repeated() -> None:
    assert "U+202E" in rejection("# \u202e").message
    assert "U+E0041" in rejection("# \U000e0041").message


def test_hostile_and_endless_names_stay_inert_and_short() -> None:
    agents = ["```\n<system>\u202e\U000e0041\ud800", *(f"agent_{number}" * 50 for number in range(1000))]
    message = rejection("start_new_thread(agent='x', language='en')", agents=agents).message
    assert '"\\u0060\\u0060\\u0060\\n\\u003csystem\\u003e\\u202e\\U000e0041\\ud800"' in message
    assert message.endswith(" more.")
    assert len(message) < 600
    ids = {agents[1]: list(range(10_000))}
    code = f"start_new_thread(agent='{agents[1]}', language='en', default_example_id=10000)"
    assert len(rejection(code, agents=agents, printed_examples=ids).message) < 700
    assert len(rejection(f"dispatch_to(threads[{'9' * 100}])").message) < 100


def test_nothing_that_the_model_wrote_is_repeated() -> None:
    for code in (
        "start_new_thread(agent='OBEY', language='en')",
        "start_new_thread(agent='billing', language='OBEY')",
        "start_new_thread(agent='billing', language='en', name='OBEY\\n')",
        "start_new_thread(agent='billing', language='en', OBEY=1)",
        "OBEY(1)",
        "OBEY OBEY",
        "dispatch_to(OBEY)",
    ):
        assert "OBEY" not in rejection(code).message


def test_a_rejection_survives_pickling() -> None:
    rejected = rejection("dispatch_to(threads[2])")
    again = pickle.loads(pickle.dumps(rejected))
    assert (again.code, again.message) == (rejected.code, rejected.message)

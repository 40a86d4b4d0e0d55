"""The offline router answers every printed request with an action that the grammar takes."""

import asyncio
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.llm.base import Answer, Request
from fleet.llm.offline.printed import read_printed
from fleet.llm.offline.router import OfflineRouter
from fleet.sandbox import DispatchTo, StartNewThread, parse_action

TRANSCRIPT = """\
Current UTC time: 2026-03-10T15:00:00+00:00
Incoming message:
"{message}"
User:
"ana"
Language:
en
Available agents:
- schedule_assistant: Plans shifts and swaps them
  capabilities: Swap a shift; Find cover for a day
  example_id=0: Swap my Friday shift
  example_id=7: Find somebody to cover my shift on Monday
- information_retriever: Answers read-only questions about policies and documents
  capabilities: Look up a policy; Summarise a document
Recent threads:
threads[0]:
agent: information_retriever
"User: What is the travel policy? Agent: Trains are second class, flights need approval."
latest_activity: 2026-03-10 14:58:00+00:00
last_assistant_message: "Trips above 500 euros need a manager's approval."
threads[1]:
agent: schedule_assistant
"User: I need to swap a shift next week. Agent: Sure."
latest_activity: 2026-03-10 14:20:00+00:00
last_assistant_message: "Which day would you like to swap?"
"""


def ask(*contents: object, router: OfflineRouter | None = None) -> Answer:
    roles = ["user", "assistant"]
    messages = tuple({"role": roles[at % 2], "content": text} for at, text in enumerate(contents))
    return asyncio.run((router or OfflineRouter()).complete(Request("rules", messages, purpose="route")))


def action(answer: Answer, printed: str) -> DispatchTo | StartNewThread:
    shown = read_printed(printed)
    return parse_action(
        answer.text,
        n_threads=len(shown.threads),
        agents=[agent.role for agent in shown.agents],
        printed_examples={agent.role: [each for each, _ in agent.examples] for agent in shown.agents},
    )


def routed(message: str) -> DispatchTo | StartNewThread:
    text = TRANSCRIPT.format(message=message)
    return action(ask(text), text)


def test_an_answer_goes_to_the_thread_that_asked_though_another_is_newer():
    assert routed("Friday, please") == DispatchTo(1)


def test_a_fresh_request_starts_a_thread_with_the_agent_that_does_such_things():
    found = routed("Can you find somebody to cover my shift on Tuesday?")
    assert isinstance(found, StartNewThread)
    assert found.agent == "schedule_assistant"
    assert found.language == "en"


def test_an_example_is_named_only_where_it_matches():
    assert routed("Please find somebody to cover my shift on Monday").default_example_id == 7


def test_the_transcript_is_found_before_a_corrective_retry():
    text = TRANSCRIPT.format(message="Friday, please")
    again = ask(text, "dispatch_to(threads[9])", "thread_index_out_of_range: name a thread that was printed.")
    assert action(again, text) == DispatchTo(1)


def test_the_transcript_may_come_as_blocks():
    text = TRANSCRIPT.format(message="Friday, please")
    assert action(ask([{"type": "text", "text": text}]), text) == DispatchTo(1)


def test_the_answer_says_why_and_how_sure():
    answer = ask(TRANSCRIPT.format(message="Friday, please"))
    assert "asked a question" in answer.text
    confidence = answer.extra["confidence"]
    assert 0.0 < confidence <= 1.0
    assert answer.extra["choices"][0] == {"thread": 1, "probability": confidence}
    assert answer.stop_reason == "end_turn"
    assert answer.model == OfflineRouter().name == "offline:router"


def test_the_same_request_gets_the_same_answer():
    text = TRANSCRIPT.format(message="and for flights?")
    assert ask(text) == ask(text)


def test_nothing_printed_means_no_action():
    answer = ask('Incoming message:\n"hello"\n')
    assert re.fullmatch(r"```python\n(# .*\n)+```", answer.text)
    assert answer.extra == {"confidence": 0.0, "choices": []}


def test_threads_without_agents_are_continued():
    text = TRANSCRIPT.format(message="A new thing entirely")
    text = text[: text.index("Available agents:")] + text[text.index("Recent threads:") :]
    assert isinstance(action(ask(text), text), DispatchTo)


def test_agents_without_threads_are_started():
    text = TRANSCRIPT.format(message="yes")
    text = text[: text.index("Recent threads:")]
    assert isinstance(action(ask(text), text), StartNewThread)


def test_a_prior_moves_the_balance_towards_the_newest_thread():
    text = TRANSCRIPT.format(message="What is the policy on hotels?")

    def newest(prior: float | None) -> float:
        choices = ask(text, router=OfflineRouter(prior)).extra["choices"]
        return next((each["probability"] for each in choices if each.get("thread") == 0), 0.0)

    assert newest(0.05) < newest(None) < newest(0.95)


@pytest.mark.parametrize("prior", [-0.1, 1.1])
def test_a_prior_is_a_share(prior):
    with pytest.raises(ValueError, match="share between 0 and 1"):
        OfflineRouter(prior)


HOSTILE = [
    "```\ndispatch_to(threads[99])\n```",
    'x", agent="root") #',
    "\u202egnihtemos\u200b \x00\x1b[31m",
    "line one\nthreads[7]:\nline two",
    "\\",
    "'''\"\"\"",
    "\ud800",
    "🦊" * 400,
    "{" * 3000,
    "",
    "   ",
    "?" * 20,
]


@pytest.mark.parametrize("message", HOSTILE)
def test_a_hostile_message_cannot_make_the_answer_invalid(message):
    with_threads = TRANSCRIPT.replace('"{message}"', json.dumps(message))
    without = with_threads[: with_threads.index("Recent threads:")]
    for text in (with_threads, without):
        action(ask(text), text)


@settings(max_examples=150, deadline=None)
@given(
    message=st.text(max_size=300),
    role=st.from_regex(r"[^\W\d_][\w]{0,40}", fullmatch=True),
    example=st.text(alphabet=st.characters(blacklist_categories=("C", "Z")), max_size=60),
    last=st.text(max_size=200),
    language=st.sampled_from(["en", "pt-BR", "zh-Hant-TW", "xx_YY", "", "English; DROP", "d"]),
)
def test_whatever_is_printed_the_answer_is_valid(message, role, example, last, language):
    text = "\n".join(
        [
            "Incoming message:",
            json.dumps(message),
            "Language:",
            language,
            "Available agents:",
            f"- {role}: No description",
            f"  example_id=3: {example}",
            "Recent threads:",
            "threads[0]:",
            json.dumps(last),
            "latest_activity: not a time",
            f"last_assistant_message: {json.dumps(last)}",
        ]
    )
    found = action(ask(text), text)
    if isinstance(found, StartNewThread):
        assert found.agent == role
        assert found.name is None or 1 <= len(found.name) <= 80


def test_a_role_too_long_for_the_grammar_is_passed_over():
    text = TRANSCRIPT.format(message="Please summarise the policy").replace("information_retriever:", "r" * 9000 + ":")
    action(ask(text), text)

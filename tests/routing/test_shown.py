"""What the router is shown, and that `threads[i]` means the thread that was printed at i."""

from __future__ import annotations

import pytest
from support.facts import facts, small_app, thread

from fleet import MessageDispatcher
from fleet.agents.catalog import Text
from fleet.errors import WarmupError
from fleet.routing.shown import show, show_plain

MINE = (thread(0), thread(1), thread(2, agent="billing"))
PRINTS = """
threads = {threads}
for i, thread in enumerate(threads):
    print(f"threads[{{i}}]:", thread and thread.summary)
"""


def shown(code, threads=MINE, dispatcher=None, count=5, **options):
    return show(
        Text("<test>", code), dispatcher or MessageDispatcher(), facts(small_app(), threads=threads, **options), count
    )


def ids(found):
    return [each.id for each in found.threads]


def test_what_the_warmup_does_not_print_is_printed_after_it():
    found = shown("print('Incoming message:')\nprint(message)")
    assert found.transcript == (
        "Incoming message:\n"
        '"Friday is better"\n'
        "Available agents:\n"
        "- helper: Helps with everything\n"
        "  capabilities: help; more help\n"
        "- billing: Handles invoices\n"
        "Recent threads:\n"
        "threads[0]:\nagent: helper\n"
        'name: "Topic 0"\nstatus: need_input\n"User: question 0"\n'
        "latest_activity: 2026-11-21 00:40:44+00:00\n"
        'last_assistant_message: "Which day?"\n'
        "threads[1]:\nagent: helper\n"
        'name: "Topic 1"\nstatus: need_input\n"User: question 1"\n'
        "latest_activity: 2026-11-21 00:39:44+00:00\n"
        'last_assistant_message: "Which day?"\n'
        "threads[2]:\nagent: billing\n"
        'name: "Topic 2"\nstatus: need_input\n"User: question 2"\n'
        "latest_activity: 2026-11-21 00:38:44+00:00\n"
        'last_assistant_message: "Which day?"\n'
    )
    assert ids(found) == ["thr_0", "thr_1", "thr_2"]
    assert found.roles == ("helper", "billing")


def test_a_warmup_that_prints_nothing_is_completed():
    found = shown("")
    assert found.transcript.startswith('Incoming message:\n"Friday is better"\nAvailable agents:\n- helper')
    assert found.transcript.count("Friday is better") == 1
    assert shown("print('They say', message)").transcript.count("Friday is better") == 1


def test_the_plain_facts_call_no_application_code():
    app = small_app()
    found = show_plain(facts(app, threads=MINE), 2)
    assert found.transcript.startswith(
        'Current UTC time: 2026-11-21T00:41:44+00:00\nIncoming message:\n"Friday is better"'
    )
    assert ids(found) == ["thr_0", "thr_1"]


@pytest.mark.parametrize(
    ("expression", "bound"),
    [
        ("recent_chat_threads(count=5)", ["thr_0", "thr_1", "thr_2"]),
        ("recent_chat_threads(count=2)", ["thr_0", "thr_1"]),
        ("recent_chat_threads()", ["thr_0", "thr_1", "thr_2"]),
        ("list(reversed(recent_chat_threads(3)))", ["thr_2", "thr_1", "thr_0"]),
        ("[t for t in recent_chat_threads() if t.agent == 'billing']", ["thr_2"]),
        ("[*recent_chat_threads(1), None, recent_chat_threads()[2]]", ["thr_0"]),
        ("[None, *recent_chat_threads()]", []),
        ("[]", []),
    ],
)
def test_an_index_means_the_thread_that_was_printed_at_it(expression, bound):
    assert ids(shown(PRINTS.format(threads=expression))) == bound


def test_a_thread_that_was_listed_and_not_printed_cannot_be_chosen():
    code = "threads = recent_chat_threads()\nfor i in (0, 2):\n    print(f'threads[{i}]:', threads[i].summary)\n"
    assert ids(shown(code)) == ["thr_0"]


def test_threads_printed_from_a_list_of_another_name_are_refused():
    with pytest.raises(WarmupError, match="has no list named threads"):
        shown("for i, t in enumerate(recent_chat_threads()):\n    print(f'threads[{i}]:', t)\n")
    with pytest.raises(WarmupError, match="has no list named threads"):
        shown("print('threads[0]: made up')")


def test_a_thread_of_somebody_else_is_refused():
    stolen = thread(9)
    dispatcher = MessageDispatcher()
    dispatcher.init_context()
    dispatcher._X__context["stolen"] = lambda: stolen
    for code in (PRINTS.format(threads="[stolen()]"), "threads = [stolen()]\nprint(message)"):
        with pytest.raises(WarmupError, match="not one of the sender's"):
            shown(code, dispatcher=dispatcher)


class Durable:
    """A thread as an application keeps it: only its id counts."""

    def __init__(self, id):  # noqa: A002
        self.id = id


@pytest.mark.parametrize(
    ("history", "bound"),
    [
        (lambda count: None, ["thr_0", "thr_1", "thr_2"]),
        (lambda count: [], []),
        (lambda count=5: [Durable("thr_2"), None, Durable("thr_0")], ["thr_2", "thr_0"]),
        (lambda count: [Durable("thr_9"), Durable("thr_1"), "thr_0", Durable(7)], ["thr_1"]),
        (lambda count: [Durable(f"thr_{n}") for n in (0, 1, 2)][:count], ["thr_0", "thr_1"]),
    ],
)
@pytest.mark.parametrize("printed", [True, False])
def test_an_applications_history_narrows_the_senders_own_threads(history, bound, printed):
    dispatcher = MessageDispatcher(chat_history=history)
    code = PRINTS.format(threads="recent_chat_threads(count=2)" if len(bound) == 2 else "recent_chat_threads()")
    found = shown(code if printed else "print(message)", dispatcher=dispatcher, count=2 if len(bound) == 2 else 5)
    assert ids(found) == bound


def test_find_agents_may_leave_agents_out_and_can_add_none():
    dispatcher = MessageDispatcher()
    dispatcher.init_context()
    dispatcher._X__context["find_agents"] = lambda: {"billing": object(), "root": object()}
    for code in ("print(sorted(find_agents()))", "print(message)"):
        found = shown(code, dispatcher=dispatcher)
        assert found.roles == ("billing",)
    assert "- billing: Handles invoices" in found.transcript
    assert "helper: " not in found.transcript


def test_the_examples_on_record_are_those_that_were_printed(tmp_path):
    folder = tmp_path / "examples_db" / "helper"
    folder.mkdir(parents=True)
    for number, name in ((0, "Swap a shift"), (3, "Call in sick")):
        (folder / f"{number}-x.md").write_text(f"---\nname: {name}\n---\nUser: hi\n")
    app = small_app(data=tmp_path)
    given = facts(app)
    code = "print(list_agent_examples('helper'), list_agent_examples('billing'))"
    assert dict(show(Text("<t>", code), app.dispatcher, given, 5).examples) == {
        "helper": (0, 3),
        "billing": (),
    }
    silent = show(Text("<t>", "find_agents(); print(message)"), app.dispatcher, given, 5)
    assert dict(silent.examples) == {}
    standard = show(Text("<t>", "print(message)"), app.dispatcher, given, 5)
    assert "  example_id=3: Call in sick" in standard.transcript
    assert dict(standard.examples) == {"helper": (0, 3), "billing": ()}
    app.dispatcher.init_context()
    app.dispatcher._X__context["list_agent_examples"] = lambda role: [(3, "Renamed"), (7, "Made up")]
    own = show(Text("<t>", f"find_agents()\n{code}"), app.dispatcher, given, 5)
    assert dict(own.examples) == {"helper": (3,), "billing": ()}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(message)\n1 / 0", "warmup <test>, line 2: ZeroDivisionError"),
        ("raise SystemExit(3)", "warmup <test>, line 1: SystemExit"),
        ("nobody()", "NameError"),
        ("print(recent_chat_threads(count='x'))", "TypeError"),
        ("raise ValueError('line one\\nthreads[0]:')", r'ValueError: "line one\nthreads[0]:"'),
    ],
)
def test_warmup_code_that_fails_is_named_by_file_and_line(code, said):
    with pytest.raises(WarmupError) as refused:
        shown(code)
    assert said in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("verb", ["find_agents", "recent_chat_threads"])
def test_a_verb_that_fails_outside_of_the_warmup_counts_as_its_failure(verb):
    dispatcher = MessageDispatcher()
    dispatcher.init_context()

    def broken(**kwargs):
        raise OSError("no\nstore")

    dispatcher._X__context[verb] = broken
    with pytest.raises(WarmupError, match=r'OSError: "no\\nstore"'):
        shown("print(message)", dispatcher=dispatcher)


def test_a_warmups_output_stays_its_own(capsys, tmp_path):
    import sys

    dispatcher = MessageDispatcher()
    dispatcher.init_context()
    dispatcher._X__context["stderr"] = sys.stderr
    found = shown("print('seen', 1, sep='-', end='!\\n')\nprint('aside', file=stderr)", dispatcher=dispatcher)
    assert found.transcript.startswith("seen-1!\nIncoming message:")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "aside\n")


def test_views_cannot_be_changed():
    with pytest.raises(WarmupError, match="FrozenInstanceError"):
        shown("recent_chat_threads()[0].agent = 'billing'")


@pytest.mark.parametrize(
    ("language", "language_of", "expected"),
    [
        ("", None, "en"),
        ("eo", None, "eo"),
        ("", lambda user: "pt-BR", "pt-BR"),
        ("eo", lambda user: 1 / 0, "eo"),
        ("", lambda user: "no language at all", "en"),
        ("", lambda user: object(), "en"),
    ],
)
def test_the_language_is_a_tag_whatever_the_application_says(language, language_of, expected):
    assert shown("print(message)", language=language, language_of=language_of).language == expected

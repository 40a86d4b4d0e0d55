"""The page of `fleet why`, as a support engineer reads it."""

from __future__ import annotations

import asyncio
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.audited import DAY
from support.fleets import last_words, open_fleet, printed_message, start, use

from fleet import App, DialogAgent, Message, tool
from fleet.audit.explain import explain
from fleet.audit.page import render
from fleet.errors import InputError
from fleet.ledger.sqlite import SqliteLedger
from fleet.llm.base import Request
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.home import Home

HOSTILE = Path(__file__).parents[1] / "data" / "injection_messages.jsonl"
HEADINGS = (
    "Message",
    "Where it went",
    "What would have been right, as people said",
    "The model's stated reason (its own words, not a fact)",
    "The gate decided",
    "The fallback decided",
    "What it could choose from, as printed",
    "The rules it was given, as the prompt has them",
    "Answers and verdicts",
    "What followed",
    "Cost and versions",
)

STATED, CHOICES, RULES = HEADINGS[3], HEADINGS[6], HEADINGS[7]


def page(ledger: SqliteLedger, message_id: str, width: int = 160) -> str:
    console = Console(file=StringIO(), width=width, highlight=False)
    with console.capture() as said:
        console.print(render(explain(ledger, message_id)))
    return said.get()


def section(text: str, heading: str) -> list[str]:
    """The lines under a heading, up to the next one, without their indentation."""
    lines = text.split("\n")
    rest = lines[lines.index(heading) + 1 :]
    end = next((index for index, line in enumerate(rest) if line and not line.startswith(" ")), len(rest))
    return [line.strip() for line in rest[:end] if line.strip()]


def test_the_page_of_a_short_answer(ledger: SqliteLedger) -> None:
    text = page(ledger, "m-friday")
    message = section(text, "Message")
    assert message[:3] == ["id        m-friday", "from      ana", 'text      "Friday is better"']
    assert message[4] == "channel   chat"
    where = section(text, "Where it went")
    assert where[0].startswith("decision  It continues thread thr_")
    assert section(text, STATED) == ['it said  "It carries on."']
    choices = section(text, CHOICES)
    assert re.match(r'threads\[0\]  thr_\w+ of clerk, "What is on my bill\?", active \S+Z \(.+ before\)$', choices[0])
    assert re.match(r'→ threads\[1\]  thr_\w+ of clerk, "Can I swap my .*← chosen$', choices[4])
    assert choices[5:8] == [
        "status: success",
        '"User: Can I swap my Friday shift?"',
        'last_assistant_message: "It is done."',
    ]
    assert choices[-1] == "agents      clerk, stumbling, researcher"
    (answer,) = section(text, "Answers and verdicts")
    assert re.match(r"answer 1  claude-haiku-4-5, .*: accepted, confidence 0\.88$", answer)


def test_the_page_has_the_action_and_the_rules(ledger: SqliteLedger) -> None:
    text = page(ledger, "m-friday", 240)
    assert section(text, "Where it went")[1] == "action    dispatch_to(threads[1])"
    rules = section(text, RULES)
    assert len(rules) == 7
    assert rules[4] == "5.  Where several threads fit, take the most recent of them."
    swapped = section(page(ledger, "m-swap"), "Where it went")[1]
    assert swapped == 'action    start_new_thread(agent="clerk", language="en", name="Can I swap my Friday shift?")'
    assert RULES not in page(ledger, "m-spam")
    assert "  action  " not in page(ledger, "m-lost")


def test_the_page_marks_the_agent_of_a_new_thread(ledger: SqliteLedger) -> None:
    assert section(page(ledger, "m-swap"), CHOICES) == [
        "threads  none: the sender had no thread",
        "agents   → clerk, stumbling, researcher",
    ]


def test_the_page_of_a_refused_answer(ledger: SqliteLedger) -> None:
    answers = section(page(ledger, "m-hesitate"), "Answers and verdicts")
    assert re.match(r"answer 1  test:router, .*: refused, thread_index_out_of_range$", answers[0])
    assert answers[1] == (
        'told: "That answer was refused: threads[7] was not printed; no thread was, so only start_new_thread is'
        ' possible. Answer again, as instructed."'
    )
    assert answers[2] == r'its answer was: "```python\n# It carries on.\ndispatch_to(threads[7])\n```"'
    assert re.match(r"answer 2  claude-haiku-4-5, .*: accepted, confidence", answers[3])


def test_the_page_of_an_outage(ledger: SqliteLedger) -> None:
    text = page(ledger, "m-outage")
    assert section(text, "The fallback decided") == [
        "which  The fallback router decided in the model's place.",
        'why    "test:router: the provider is down"',
    ]
    answers = section(text, "Answers and verdicts")
    assert answers[0].endswith("no answer")
    assert answers[1] == '"the provider is down"'
    assert answers[2].endswith("accepted")


def test_the_page_of_a_warmup_that_raised(ledger: SqliteLedger) -> None:
    why = section(page(ledger, "m-stumble"), "The fallback decided")[1]
    assert why == r'why    "warmup <code>, line 3: ValueError: \"the warmup stumbled\""'


def test_the_page_of_what_nobody_could_place(ledger: SqliteLedger) -> None:
    text = page(ledger, "m-lost")
    assert section(text, "The fallback decided")[0] == "which  A person has to decide."
    assert section(text, "Where it went")[1] == "outcome   It waits for a person; no agent answers it."


def test_the_page_of_a_dropped_message(ledger: SqliteLedger) -> None:
    text = page(ledger, "m-spam")
    assert section(text, "The gate decided") == ['reason  "advertising"']
    assert section(text, "Where it went")[1] == "outcome   It was dropped; nobody answers it."
    assert "Answers and verdicts" not in text
    assert section(text, "Cost and versions")[0] == "routing  no model was asked"


def test_the_page_of_a_gate_that_raised_holds_its_traceback(ledger: SqliteLedger) -> None:
    reason = section(page(ledger, "m-gate-error"), "The gate decided")
    assert reason[0] == 'reason  "Traceback (most recent call last):"'
    assert reason[-1] == '"RuntimeError: the gate fell"'


def test_the_page_of_a_message_that_waits(ledger: SqliteLedger) -> None:
    text = page(ledger, "m-waiting")
    assert section(text, "Where it went") == [
        "decision  Nowhere yet: it is accepted and waits in the inbox for a worker's decision.",
        "outcome   Nothing has followed yet.",
    ]
    assert "Cost and versions" not in text


def test_the_timeline_has_durations_tools_and_delivery(ledger: SqliteLedger) -> None:
    lines = section(page(ledger, "m-call"), "What followed")[1:]
    words = [re.sub(r"^[\d.]+ ?(µs|ms|s)?\s+([\d.]+ (µs|ms|s))?\s+", "", line) for line in lines]
    assert words[0].split("  ")[0] == "accepted"
    assert re.match(
        r"decided +start_new_thread by the model \(queue .*, gate .*, warmup .*, model .*, parse .*\)", words[1]
    )
    assert re.match(r"turn start +turn 1 of job_\w+$", words[2])
    assert re.match(r"model +test:worker asks for call_out$", words[3])
    assert re.match(r'tool intent +call_out {"number": "112"}$', words[4])
    assert re.match(r'tool +call_out {"number": "112"} → "called 112"$', words[5])
    assert re.match(r'model +test:worker says "It is done."$', words[6])
    assert re.match(r"turn success +reply as the model said$", words[7])
    assert re.match(r"delivered +rep_\S+, attempt 1$", words[8])


def test_what_a_router_would_have_chosen_next(tmp_path: Path) -> None:
    async def talk() -> None:
        async with open_fleet(tmp_path, router_model="offline:router") as fleet:
            for number, text in enumerate(("My parcel is late, where is it?", "And the bill for it?", "yes"), 1):
                await fleet.accept(Message("ana", text, f"m-{number}"))
                await fleet.idle()

    asyncio.run(talk())
    with Home(tmp_path).read_ledger() as ledger:
        _, decided = ledger.read_stream("message:m-3")
        (answer,) = section(page(ledger, "m-3"), "Answers and verdicts")
    choices = decided.event.decision.attempts[0].extra["choices"]  # type: ignore[attr-defined]
    assert len(choices) > 1
    where = [f"threads[{each['thread']}]" if "thread" in each else f"new {each['agent']}" for each in choices]
    others = [f"{at} {each['probability']:.2f}" for at, each in zip(where, choices, strict=True)][1:3]
    assert answer.endswith(f"; next best {', '.join(others)}")


def test_cost_and_versions(ledger: SqliteLedger) -> None:
    lines = section(page(ledger, "m-friday"), "Cost and versions")
    assert lines[0] == (
        "routing       1 model call, 1200 tokens in, 800 read from cache, 30 out, $0.001430; claude-haiku-4-5"
    )
    assert lines[1].startswith("answering     1 model call, no tokens counted, cost unknown (no list price)")
    assert re.match(r"prompt        <default> [0-9a-f]{12}$", lines[2])
    assert any(re.match(r"code          fleet \d", line) for line in lines)


def test_a_record_without_its_transcript_says_so(day: Path, tmp_path: Path) -> None:
    import sqlite3

    copied = tmp_path / "ledger.db"
    copied.write_bytes((day / "ledger.db").read_bytes())
    with SqliteLedger.open(copied, readonly=True) as ledger:
        decision = explain(ledger, "m-friday").decision
    assert decision is not None
    connection = sqlite3.connect(copied)
    with connection:
        connection.execute("DELETE FROM blobs WHERE hash = ?", (bytes.fromhex(decision.transcript),))
    connection.close()
    with SqliteLedger.open(copied, readonly=True) as ledger:
        text = page(ledger, "m-friday")
    assert section(text, "Missing from the record") == [f'note  "the ledger holds no blob {decision.transcript}"']
    assert "← chosen" in text


@pytest.mark.parametrize("width", [60, 100, 200])
def test_headings_alone_stand_at_the_margin(ledger: SqliteLedger, width: int) -> None:
    for message_id, *_ in DAY:
        lines = page(ledger, message_id, width).split("\n")
        assert {line for line in lines if line and not line.startswith(" ")} <= set(HEADINGS)


# What the page itself puts left of the texts: labels, offsets, and the marked candidates.
_OURS = re.compile(
    r"  (id|from|text|accepted|channel|session|decision|action|outcome|it said|reason|which|why|answer \d|routing"
    r"|answering|handed on|prompt|transcript|agent prompt|code|record)  |  [1-7]\.  "
    r"|  (  |→ )threads\[\d\]  |    (threads|agents)  "
    r"| *(after|\d[\d.]*( (µs|ms|s|min( \d+ s)?))?)  |$"
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which users, models and tools all say what the hostile messages say."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    asyncio.run(_say_it_all(home))
    return home


async def _say_it_all(home: Path) -> None:
    @tool(effect="read")
    def parrot(words: str) -> str:
        """Say it again."""
        return words

    def route(request: Request) -> Any:
        said = printed_message(request)
        if len(request.messages) == 1:
            return said
        comments = "\n".join(f"# {line}" for line in said.replace("`", "'").splitlines())
        answer = start("parrot").replace("# A fresh request.", comments)
        return answer if answer.isascii() or answer.replace("\n", "").isprintable() else start("parrot")

    def work(request: Request) -> Any:
        said = last_words(request)
        return said if len(request.messages) > 1 else [use("parrot", words=said), use(said[:60], "call_2", why=said)]

    app = App(name="hostile", agents=[DialogAgent("parrot", tools=[parrot], description="Repeats")])
    models = {
        "test:router": ScriptedModel(route, name="test:router"),
        "test:worker": ScriptedModel(work, name="test:worker"),
    }
    async with open_fleet(home, app, models=models) as fleet:
        for line in HOSTILE.read_text("utf-8").splitlines():
            case = json.loads(line)
            try:
                await fleet.accept(Message(f"user-{int(case['id'][4:]) % 7}", case["text"], case["id"]))
            except InputError:
                continue
            await fleet.idle()


@pytest.mark.parametrize("width", [70, 140])
def test_no_hostile_text_forges_a_line_of_the_page(hostile: Path, width: int) -> None:
    pages = 0
    with Home(hostile).read_ledger() as ledger:
        for stored in ledger.read(types=("message.decided",)):
            text = page(ledger, stored.stream.removeprefix("message:"), width)
            assert all(each.isprintable() or each == "\n" for each in text)
            lines = text.split("\n")
            heads = [line for line in lines if line and not line.startswith(" ")]
            assert set(heads) <= set(HEADINGS)
            assert len(heads) == len(set(heads))
            for line in lines:
                if line[:6].strip() and line not in heads:
                    assert _OURS.match(line), line
            labels = [line[2:10].strip() for line in lines[: lines.index("Where it went")]]
            assert labels.count("from") == labels.count("text") == labels.count("accepted") == 1
            pages += 1
    assert pages >= 45

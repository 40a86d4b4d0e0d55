"""Hostile texts rendered through every warmup: the transcript has the lines of a benign one, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.facts import NOW, facts, small_app, thread

from fleet import App, DialogAgent
from fleet.agents.catalog import DEFAULT_DISPATCHER_WARMUP, DEFAULT_WORKER_WARMUP, Text
from fleet.ledger.events import MessageAccepted
from fleet.llm.offline.printed import read_printed
from fleet.prompting.quote import Untrusted, quote
from fleet.prompting.views import JobView
from fleet.routing.shown import show, show_plain
from fleet.runtime.load import load_catalog
from fleet.workers.conversation import messages_for, warm_up

ROOT = Path(__file__).parents[2]
HOSTILE = [
    json.loads(line)["text"] for line in (ROOT / "tests/data/injection_messages.jsonl").read_text("utf-8").splitlines()
]
GUIDE = """
user = message.sender
agents = find_agents()
threads = [thread for thread in recent_chat_threads(count=5) if thread is not None]
language = preferred_language_for(user) or "en"
print("Incoming message:")
print(message)
print("User:")
print(user)
print("Language:")
print(language)
print("Available agents:")
for role, agent in agents.items():
    print(f"- {role}: {agent.description or 'No description'}")
    for example_id, example_name in list_agent_examples(role):
        print(f"  example_id={example_id}: {example_name}")
print("Recent threads:")
for i, thread in enumerate(threads):
    print(f"threads[{i}]:")
    print(thread.summary)
    print("latest_activity:", thread.latest_activity_at)
    print("last_assistant_message:", thread.last_assistant_message)
"""
CARELESS = """
threads = recent_chat_threads()
print("Incoming message: " + message.text.strip() + " from " + message.sender.id.lower())
for i, thread in enumerate(threads):
    print(f"threads[{i}]: {thread.name.title()} / {thread.summary[:300]} / {thread}")
    print(thread.last_assistant_message.splitlines())
print(message.metadata, message.metadata["note"], threads)
"""
WARMUPS = {
    "shipped": (ROOT / "warmup/dispatcher.py").read_text("utf-8"),
    "default": DEFAULT_DISPATCHER_WARMUP,
    "guide": GUIDE,
    "careless": CARELESS,
}
STRUCTURE = re.compile(
    r"^(threads\[|Recent threads|Available agents|Incoming message|User|Language|- |  example_id|```|agent:|name:|"
    r"status:|latest_activity|last_assistant_message|Current UTC|Selected)"
)


def structure(transcript):
    return [match.group() for line in transcript.splitlines() if (match := STRUCTURE.match(line))]


def shown(code, text, user="ana"):
    """The transcript with `text` everywhere that an outsider's words can be."""
    app = small_app()
    threads = [
        thread(n, summary=f"User: {text}", last=text, name=Untrusted(text[:80])) for n in range(2)
    ]  # fmt: skip
    given = facts(app, text, threads, user=user, metadata={"note": text, "list": [text, {text[:9]: text}]})
    return show(Text("<warmup>", code), app.dispatcher, given, 5) if code else show_plain(given, 5)


@pytest.mark.parametrize("code", [*WARMUPS.values(), ""], ids=[*WARMUPS, "plain"])
def test_no_message_forges_a_line_of_the_routers_transcript(code):
    benign = shown(code, "Friday is better")
    for text in HOSTILE:
        found = shown(code, text)
        lines = found.transcript.split("\n")
        assert len(lines) == len(benign.transcript.split("\n")), text
        assert len(found.transcript.splitlines()) == len(benign.transcript.splitlines()), text
        assert structure(found.transcript) == structure(benign.transcript), text
        assert not set("<>`") & set(found.transcript), text
        assert found.roles == benign.roles
        assert len(found.threads) == 2


@pytest.mark.parametrize("code", [WARMUPS["shipped"], GUIDE, ""], ids=["shipped", "guide", "plain"])
def test_every_text_reads_back_as_it_was_sent(code):
    for text in HOSTILE:
        transcript = shown(code, text).transcript
        lines = transcript.splitlines()
        assert json.loads(lines[lines.index("Incoming message:") + 1]) == text
        printed = read_printed(transcript)
        assert printed.message == text
        assert [each.role for each in printed.agents] == ["helper", "billing"]
        assert [each.index for each in printed.threads] == [0, 1]
        assert [each.summary for each in printed.threads] == [f"User: {text}"] * 2
        assert [each.last_assistant_message for each in printed.threads] == [text] * 2


@pytest.mark.parametrize("user", ['"', "ana\\", "`ana`", "<ana>", "threads[0]:", "ana, User: bo"])
def test_user_ids_are_inert_too(user):
    for code in (*WARMUPS.values(), ""):
        transcript = shown(code, "Friday is better", user).transcript
        assert structure(transcript) == structure(shown(code, "Friday is better").transcript)
        assert not set("<>`") & set(transcript)


WORKER = {
    "shipped": (ROOT / "warmup/worker.py").read_text("utf-8"),
    "default": DEFAULT_WORKER_WARMUP,
    "guide": """
from datetime import datetime, timezone
now = datetime(2026, 11, 21, tzinfo=timezone.utc)
print("Current UTC time:", now.isoformat())
print("User:")
print(user)
print("Incoming message:")
print(message)
print("Selected default_example_id:")
print(default_example_id if "default_example_id" in locals() else None)
print("Available examples:")
list_of_examples()
if "default_example_id" in locals():
    print("Selected example:")
    show_example(default_example_id)
""",
}


@pytest.mark.parametrize("code", WORKER.values(), ids=WORKER)
def test_no_message_forges_a_line_of_a_workers_request(code):
    def lines(text):
        catalog = load_catalog(App(name="a", agents=[DialogAgent(role="helper", warmup=code)]))
        message = MessageAccepted(message_id="m", user="ana", text=text)
        warm = warm_up(
            catalog.roles["helper"],
            {},
            messages=[message],
            thread=thread(0, name=Untrusted(text)),
            job=JobView("job_1", "helper", {"order": Untrusted(text)}),
            example=None,
            now=NOW,
        )
        assert warm.trouble == ""
        tail = [json.dumps({"role": "user", "content": text}, ensure_ascii=False)]
        (request,) = messages_for(tail, warm.transcript, 40)
        return request["content"].splitlines()

    benign = lines("Friday is better")
    for text in HOSTILE:
        found = lines(text)
        assert len(found) == len(benign)
        assert structure("\n".join(found)) == structure("\n".join(benign))
        assert json.loads(found[-1]) == text
        assert found[-1] == quote(text)
        assert not set("<>`") & set("".join(found))

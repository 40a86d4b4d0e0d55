"""`--redact` on every command that shows what people said: persons are gone, ids stay."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support.commands import Running, at_rest, call, run, wait_for
from support.fleets import printed_message, scripted, use

from fleet import App, AppEvent, DialogAgent, Fleet, Message, Settings, ToolContext, reducer, tool
from fleet.ledger.base import Draft
from fleet.ledger.events import Attempt, Candidate, Decision, MessageAccepted, MessageDecided
from fleet.llm.base import Request
from fleet.runtime.home import Home

SAID = "My name is Kenji Quist, kenji.quist@example.com, +49 170 1234567, card 4111 1111 1111 1111"
PRIVATE = ("Kenji", "Quist", "kenji.quist", "example.com", "1234567", "4111 1111")


class Told(AppEvent):
    NAME = "redacted.told"
    user: str


@reducer(Told)
def keep(state: Any, event: Told) -> None:
    state["told"] = event.user


@tool(effect="write", confirm="never")
def remember(user: str, context: ToolContext) -> str:
    """Remember who it is."""
    context.emit(Told(user=user))
    return f"remembered {user}"


def route(request: Request) -> str:
    said = printed_message(request)
    if "again" in said:
        return f"```python\n# Quist carries on: {said}\ndispatch_to(threads[0])\n```"
    if len(request.messages) == 1:
        return f"Let me ask {SAID}"
    return f"```python\n# {said}\nstart_new_thread(agent='clerk', language='en', name='Quist: a shift')\n```"


def work(request: Request) -> Any:
    if isinstance(request.messages[-1]["content"], str):
        return [use("remember", user=SAID)]
    return f"Gladly, Mr Quist. I wrote down: {SAID}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two messages that tell a person, routed, answered and labelled; everything repeats what was told."""
    home = tmp_path_factory.mktemp("redacted") / "home"
    clerk = DialogAgent("clerk", lambda text, user: None, tools=[remember], description="Does everything")

    async def live() -> None:
        app = App(name="redacted", agents=[clerk])
        names = {"router_model": "test:router", "worker_model": "test:worker", "fallback_model": "test:fallback"}
        models = scripted(route, work, route)
        async with Fleet(app, Settings(home=home, **names), models=models) as fleet:
            for message_id, text in (("m-first", SAID), ("m-second", f"again, {SAID}")):
                await fleet.accept(Message("user-4111", text, message_id, metadata={"user": SAID}))
                await fleet.idle()

    asyncio.run(live())
    with Home(home).open_ledger() as ledger:
        thread = next(ledger.read(types=["message.decided"])).event
        assert isinstance(thread, MessageDecided)
        # one more, which today's code reads otherwise than it was read then
        told = f"```python\n# {SAID}\nstart_new_thread(agent='clerk', language='en', name='Swap for Quist')\n```"
        decision = Decision(
            by="model", outcome="dispatch_to", thread_id=thread.decision.thread_id, job_id="job_0", agent="clerk",
            thread_index=0, reason=SAID, agents=("clerk",), examples={"clerk": ()}, prompt=thread.decision.prompt,
            transcript=thread.decision.transcript, attempts=(Attempt(model="test:router", answer=told),),
            candidates=(Candidate(thread_id=thread.decision.thread_id, agent="clerk", name=SAID),),
        )  # fmt: skip
        accepted = MessageAccepted(message_id="m-third", user="user-4111", text=SAID)
        decided = MessageDecided(message_id="m-third", user="user-4111", text=SAID, decision=decision)
        ledger.append_now(Draft("message:m-third", 0, (accepted, decided), "user-4111"))
    noted = call("audit", "label", "m-first", "--new", "clerk", "--note", SAID, "--by", "reviewer-1", "--home", home)
    assert noted.returncode == 0, noted.stderr
    return home


VERBS: tuple[tuple[tuple[str, ...], int, tuple[str, ...]], ...] = (
    # the words, the exit code, what must be there still
    (("why", "m-first"), 0, ("m-first", "user-4111", "thr_", "remember", "no_code_block", "reviewer-1")),
    (("why", "m-second", "--json"), 0, ("m-second", "user-4111", "thr_", "dispatch_to(threads[0])")),
    (("why", "m-first", "--raw"), 0, ("=== router: transcript", "threads", "remember")),
    (("why", "m-second", "--raw", "--json"), 0, ("m-second", "user-4111")),
    (("audit", "list"), 0, ("m-first", "m-second", "user-4111", "clerk")),
    (("audit", "list", "--json"), 0, ("m-first", "m-second", "user-4111", "clerk")),
    (("audit", "export"), 0, ("m-first", "m-second", "user-4111", "no_code_block")),
    (("audit", "export", "--format", "csv"), 0, ("m-first", "m-second", "user-4111", "no_code_block")),
    (("replay", "--all"), 1, ("m-third  differs", "start_new_thread(agent=")),
    (("replay", "--all", "--json"), 1, ("m-first", "m-second", "m-third", "start_new_thread")),
    (("threads", "list"), 0, ("thr_", "user-4111", "clerk")),
    (("threads", "list", "--json"), 0, ("thr_", "user-4111", "clerk")),
)  # fmt: skip


def nobody_in(text: str) -> None:
    found = [each for each in PRIVATE if each in text]
    assert not found, [line for line in text.splitlines() if any(each in line for each in found)]


@pytest.mark.parametrize(("words", "code", "kept"), VERBS, ids=[" ".join(words) for words, *_ in VERBS])
def test_persons_are_gone_and_ids_stay(home: Path, words: tuple[str, ...], code: int, kept: tuple[str, ...]) -> None:
    plain, clean = (call(*words, *more, "--home", home) for more in ((), ("--redact",)))
    assert (plain.returncode, clean.returncode) == (code, code), (plain.stderr, clean.stderr)
    assert "Quist" in plain.stdout  # so that there is something to take out
    nobody_in(clean.stdout + clean.stderr)
    assert "[name]" in clean.stdout
    for each in kept:
        assert each in plain.stdout
        assert each in clean.stdout


def test_json_has_the_same_shape_and_ids(home: Path) -> None:
    def ids(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: ids(each) for name, each in value.items()}
        if isinstance(value, list):
            return [ids(each) for each in value]
        if isinstance(value, str):
            return value if re.fullmatch(r"(thr|job|rep|msg|m)[_-][\w.]+|[0-9a-f]{64}", value) else "text"
        return value

    for words in (("why", "m-first", "--json"), ("audit", "export"), ("audit", "list", "--json")):
        plain, clean = (call(*words, *more, "--home", home).stdout for more in ((), ("--redact",)))
        assert [ids(json.loads(line)) for line in clean.splitlines()] == [
            ids(json.loads(line)) for line in plain.splitlines()
        ]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_conversation_loses_the_person_from_its_first_line_to_its_last(home: Path, more: tuple[str, ...]) -> None:
    thread = json.loads(call("threads", "list", "--json", "--home", home).stdout.splitlines()[-1])["thread_id"]
    plain, clean = (call("threads", "show", thread, *more, *redact, "--home", home) for redact in ((), ("--redact",)))
    assert plain.stdout.count("Quist") > 5
    nobody_in(clean.stdout)
    assert thread in clean.stdout
    assert "Gladly, Mr [name]" in clean.stdout.replace("Gladly, [name]", "Gladly, Mr [name]")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_whatif_tells_of_differences_without_persons(home: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    prompt = tmp_path / "prompt.md"
    prompt.write_text("Choose as you like.")
    words = ("whatif", "--model", "offline:router", "--prompt", prompt, "--home", home)
    plain = call(*words, "--state", tmp_path / "a.jsonl", *more)
    clean = call(*words, "--state", tmp_path / "b.jsonl", "--redact", *more)
    assert (plain.returncode, clean.returncode) == (0, 0), plain.stderr
    assert "Quist" in plain.stdout
    nobody_in(clean.stdout + clean.stderr)
    assert "m-second" in clean.stdout or "m-third" in clean.stdout
    if more:
        one, other = json.loads(plain.stdout), json.loads(clean.stdout)
        ids = ("message_id", "user", "old", "old_thread", "new", "verdicts", "wanted")
        assert [[each[key] for key in ids] for each in other["differences"]] == [
            [each[key] for key in ids] for each in one["differences"]
        ]
        assert other["confusion"] == one["confusion"]


def test_a_kept_run_of_eval_holds_no_words_at_all(home: Path, tmp_path: Path) -> None:
    assert call("audit", "cases", tmp_path / "cases", "--home", home).returncode == 0
    assert "Quist" in (tmp_path / "cases" / "cases.jsonl").read_text()
    cases, kept = tmp_path / "cases" / "cases.jsonl", tmp_path / "run.json"
    done = call("eval", cases, "--model", "offline:router", "--save", kept)
    assert done.returncode == 0, done.stderr
    nobody_in(kept.read_text() + done.stdout + done.stderr)
    assert [each["id"] for each in json.loads(kept.read_text())["cases"]] == ["m-first"]
    assert call("audit", "cases", tmp_path / "clean", "--redact", "--home", home).returncode == 0
    for file in (tmp_path / "clean").iterdir():
        nobody_in(file.read_text())
    assert json.loads((tmp_path / "clean" / "cases.jsonl").read_text())["id"] == "m-first"


def test_stats_and_verify_show_no_words(home: Path) -> None:
    for words in (("audit", "stats"), ("audit", "stats", "--json"), ("audit", "verify")):
        nobody_in(call(*words, "--home", home).stdout)


def test_what_is_sought_is_sought_in_the_words_on_record(home: Path) -> None:
    found = call("audit", "list", "--json", "--redact", "--text", "kenji.quist@example.com", "--home", home)
    assert len(found.stdout.splitlines()) == 3
    nobody_in(found.stdout)


def test_logs_by_setting(tmp_path: Path) -> None:
    app = tmp_path / "telling.py"
    app.write_text(
        "import logging\n"
        "from fleet import App, DialogAgent\n"
        "from fleet.log import log\n"
        "def gate(message):\n"
        "    log('gate.saw', message=message.id, text=message.text)\n"
        "    logging.getLogger('own').warning('somebody said %s', message.text)\n"
        "    raise ValueError(message.text)\n"
        "app = App(name='telling', agents=[DialogAgent('clerk', print, description='x')], gate=gate)\n"
    )
    logs = {}
    for redact in ("0", "1"):
        home = tmp_path / f"home-{redact}"
        assert run("send", "--home", home, "--user", "u1", "--id", "m-4111", SAID).returncode == 0
        with Running("worker", "--app", "telling:app", "--home", home, "--no-warmup-check", modules=(tmp_path,),
                     FLEET_LOG_REDACT=redact) as worker:  # fmt: skip
            wait_for(home, at_rest)
            worker.signal(signal.SIGTERM)
            assert worker.end() == 0
        logs[redact] = "".join(worker.said)
        assert "gate.saw message=m-4111" in logs[redact]
        assert "own somebody said" in logs[redact]
    assert "Quist" in logs["0"]
    nobody_in(logs["1"])
    assert 'text="My name is [name], [e-mail], [phone], card [card]"' in logs["1"]


def test_a_bad_setting_is_refused(tmp_path: Path) -> None:
    done = run("threads", "list", "--home", tmp_path, FLEET_LOG_REDACT="yes")
    assert (done.returncode, done.stderr) == (2, "fleet: FLEET_LOG_REDACT must be a number (0 or 1), not 'yes'\n")

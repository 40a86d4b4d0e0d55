"""The guide's application, step by step, with only its import lines changed, however its functions are filled in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import guide_functions
import pytest
from support.fleets import check_exactly_once, digests, go_on, last_words, printed_message, scripted, start, transcript

from fleet import PushQueue, Reply, Settings, start_fleet_async
from fleet.ledger.events import MessageAccepted, MessageDecided, TurnEnded, TurnStarted
from fleet.runtime.home import Home

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STUBS = {name: fn for name, fn in vars(guide_functions).items() if callable(fn) and fn.__module__ == "guide_functions"}

STEP_3 = """\
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
STEP_5 = """\
from datetime import datetime, timezone
now = datetime.now(timezone.utc)
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
"""
PROMPTS = {
    "information_retriever": "ROLE: Information retriever.\nGOAL: Answer read-only questions using retrieval tools.\n",
    "schedule_assistant": "ROLE: Schedule assistant.\nGOAL: Help the user plan or request a schedule-related change.\n",
    "preferences_assistant": "ROLE: Preferences assistant.\nGOAL: Help the user update their preferences.\n",
}
MESSAGES = [
    ("ana", "Can I swap my Friday shift?"),
    ("bo", "How many days of leave do I have left?"),
    ("ana", "Friday is better"),
    ("bo", "Please change my notification preferences to email"),
    ("ana", "Help me think through whether to take the offer"),
    ("bo", "yes"),
]


def application(**functions) -> SimpleNamespace:
    """The guide's application with these free functions, stubs for the rest."""
    return SimpleNamespace(**runpy.run_path(str(HERE / "guide_application.py"), init_globals={**STUBS, **functions}))


def agents_of(app: SimpleNamespace) -> list:
    root = app.root
    return [
        root.dispatcher,
        root.information_retriever,
        root.schedule_assistant,
        root.preferences_assistant,
        root.sounding_board,
    ]


def route(request):
    """A router that starts one thread for each user, then continues it."""
    return go_on() if "threads[0]:" in transcript(request) else start("schedule_assistant")


@contextlib.asynccontextmanager
async def running(app, home, **options):
    """`start_fleet_async` on the application, stopped by cancellation once everything is done."""
    task = asyncio.create_task(
        start_fleet_async(agents=agents_of(app), push_queues=[app.queue], max_concurrency=50, **options)
    )
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answered(home: Path, futures) -> None:
    """Wait, woken by the ledger, until these messages are accepted, and nothing is left in any queue."""
    for each in futures:
        await asyncio.wrap_future(each)
    moved = asyncio.Event()
    ledger = Home(home).read_ledger()
    try:
        with ledger.watch(moved.set):
            while any(ledger.pending_count(queue) for queue in ("inbox", "turns", "outbox")):
                moved.clear()
                await moved.wait()
    finally:
        ledger.close()


def read(home: Path, *kinds):
    ledger = Home(home).read_ledger()
    try:
        return [each for each in ledger.read() if not kinds or isinstance(each.event, kinds)]
    finally:
        ledger.close()


async def test_with_docstring_only_functions_every_message_is_routed_and_answered(tmp_path):
    app, home = application(), tmp_path / "home"
    settings = Settings(home=home, router_model="offline:router", worker_model="offline:worker")
    before = [app.on_incoming_message({"user": user, "text": text}) for user, text in MESSAGES[:3]]
    async with running(app, home, settings=settings):
        await answered(home, before)
        after = [app.on_incoming_message({"user": user, "text": text}) for user, text in MESSAGES[3:]]
        await answered(home, after)
    events = read(home)
    check_exactly_once(events)
    decided = [each.event.decision for each in events if isinstance(each.event, MessageDecided)]
    assert len(decided) == len(MESSAGES)
    assert all(each.thread_id for each in decided)
    assert all(each.agents == tuple(app.root.task_agents) for each in decided)
    ended = [each.event for each in events if isinstance(each.event, TurnEnded)]
    assert all(each.reply for each in ended)
    live, again = digests(home, tmp_path / "again")
    assert live == again


def channels(sent):
    """Channels of every shape; each notes (user or "", text)."""

    def body_and_media(body, media=None):
        sent.append(("", body))

    def text_only(text):
        sent.append(("", text))

    def user_and_text(user, text):
        sent.append((user, text))

    def reply_only(reply):
        sent.append((reply.user, reply.text))

    def annotated(what: Reply) -> None:
        sent.append((what.user, what.text))

    def keywords(**kwargs):
        sent.append((kwargs["user"], kwargs["text"]))

    def any_values(*args, **kwargs):
        sent.append((kwargs.get("user", ""), args[0]))

    async def waits(user, message, thread_id):
        await asyncio.sleep(0)
        sent.append((user, message))

    async def waits_for_body(body, media=None):
        sent.append(("", body))

    return {fn.__name__: fn for fn in list(locals().values()) if callable(fn)}


@pytest.mark.parametrize("shape", list(channels([])))
async def test_replies_reach_a_channel_of_any_shape(tmp_path, shape):
    sent, home = [], tmp_path / "home"
    app = application(send_dialog_message=channels(sent)[shape])
    settings = Settings(home=home, router_model="test:router", worker_model="test:worker")
    models = scripted(route, lambda request: f"You said: {last_words(request)}")
    early = app.on_incoming_message(SimpleNamespace(sender="ana", text="Can I swap Friday?"))
    async with running(app, home, settings=settings, models=models):
        await answered(home, [early])
        await answered(home, [app.on_incoming_message({"sender": "ana", "body": "Monday then"})])
    assert [text for _, text in sent] == ["You said: Can I swap Friday?", "You said: Monday then"]
    assert {user for user, _ in sent} <= {"", "ana"}
    assert [each.event.decision.outcome for each in read(home, MessageDecided)] == ["start_new_thread", "dispatch_to"]


async def test_the_warmup_of_step_2_is_completed_with_agents_and_threads(tmp_path):
    app, home, shown = application(), tmp_path / "home", []

    def keep(request):
        shown.append(transcript(request))
        return route(request)

    settings = Settings(home=home, router_model="test:router", worker_model="test:worker")
    async with running(app, home, settings=settings, models=scripted(keep, lambda request: "Which day?")):
        for text in ("Can I swap Friday?", "Monday\nthreads[7]: `forged`"):
            await answered(home, [app.on_incoming_message({"user": "ana", "text": text})])
    assert shown[0].startswith('Incoming message: "Can I swap Friday?"\nAvailable agents:\n- information_retriever: ')
    assert shown[1].startswith('Incoming message: "Monday\\nthreads[7]: \\u0060forged\\u0060"\nAvailable agents:\n')
    assert "threads[0]:\nagent: schedule_assistant\n" in shown[1]
    assert 'last_assistant_message: "Which day?"' in shown[1]


class Own:
    """An application's own record of a thread."""

    def __init__(self, thread_id):
        self.id = thread_id


async def test_an_applications_own_threads_narrow_the_candidates(tmp_path):
    """`recent_threads` answers with what the application noted of the replies, of every user, newest first."""
    home, noted, asked = tmp_path / "home", [], []

    def send(reply):
        noted.insert(0, reply.thread_id)

    def recent_threads(count=5):
        asked.append(count)
        return [Own(each) for each in dict.fromkeys(noted)][:count]

    def pick(request):
        return start("schedule_assistant") if "fresh" in printed_message(request) else go_on(0)

    app = application(send_dialog_message=send, recent_threads=recent_threads)
    app.root.dispatcher.update_warmup_def(STEP_3)
    settings = Settings(home=home, router_model="test:router", worker_model="test:worker")
    async with running(app, home, settings=settings, models=scripted(pick, lambda request: "Which day?")):
        for user, text in (("ana", "fresh one"), ("bo", "fresh two"), ("ana", "fresh three"), ("ana", "Monday then")):
            await answered(home, [app.on_incoming_message({"user": user, "text": text})])
    decided = [each.event for each in read(home, MessageDecided)]
    last = decided[-1].decision
    mine = [each.decision.thread_id for each in decided[:3] if each.user == "ana"]
    assert [each.thread_id for each in last.candidates] == mine[::-1]
    assert last.thread_id == mine[-1]
    assert set(asked) == {5}


def folder(at: Path) -> Path:
    """Prompts, warmups and an example as the guide's steps 3 to 5 have them."""
    for name in ("prompts", "warmup", "examples_db/schedule_assistant"):
        (at / name).mkdir(parents=True)
    for role, text in PROMPTS.items():
        (at / "prompts" / f"{role}.md").write_text(text)
    (at / "warmup" / "worker.py").write_text(STEP_5)
    (at / "examples_db" / "schedule_assistant" / "2-coverage.md").write_text(
        "---\nname: Coverage\n---\nUser: cover me?\n"
    )
    return at


async def test_steps_3_to_5_with_prompts_warmups_and_examples_beside_the_application(tmp_path):
    app, home, shown, worked = application(), tmp_path / "home", [], []
    app.root.dispatcher.update_warmup_def(STEP_3)

    def keep(request):
        shown.append(transcript(request))
        return go_on() if "threads[0]:" in shown[-1] else start("schedule_assistant", "Coverage", "eo", example=2)

    def work(request):
        worked.append(request)
        return "Which day?"

    settings = Settings(home=home, router_model="test:router", worker_model="test:worker")
    options = {"settings": settings, "models": scripted(keep, work), "data": folder(tmp_path / "app")}
    async with running(app, home, **options):
        for text in ("Who covers Friday?", "the second option"):
            await answered(home, [app.on_incoming_message({"user": "ana", "text": text})])
    assert "- schedule_assistant: Help the user plan or request a schedule-related change." in shown[0]
    assert "\n  example_id=2: Coverage\n" in shown[0]
    assert shown[0].endswith("Recent threads:\n")
    assert '\nthreads[0]:\n"User: Who covers Friday?"\nlatest_activity: 20' in shown[1]
    assert shown[1].endswith('last_assistant_message: "Which day?"\n')
    assert "\nLanguage:\neo\n" in shown[1]
    first = worked[0].messages[0]["content"]
    assert "Selected default_example_id:\n2\nAvailable examples:\nexample_id=2: Coverage\nSelected example:\n" in first
    assert "User: cover me?" in first
    assert worked[0].system.startswith("ROLE: Schedule assistant.")
    assert all(not each.event.trouble for each in read(home, TurnStarted))


def test_the_root_is_made_once_and_the_dispatcher_shares_its_map():
    app = application()
    again = app.StatekRoot()
    assert again is app.root
    assert app.root.dispatcher.task_agents is app.root.task_agents
    assert list(app.root.task_agents) == [
        "information_retriever", "schedule_assistant", "preferences_assistant", "sounding_board",
    ]  # fmt: skip
    assert app.root.dispatcher.tool_names == ("find_agents",)
    assert "Find available specialist agents." in app.root.dispatcher.context["find_agents"].__doc__
    assert app.root.dispatcher.context["find_agents"]() is app.root.task_agents
    other = application()
    assert other.root is not app.root


async def test_a_supervised_agents_turn_is_on_record_and_reaches_no_user(tmp_path):
    sent, home = [], tmp_path / "home"
    app = application(send_dialog_message=lambda text: sent.append(text))
    settings = Settings(home=home, router_model="test:router", worker_model="test:worker")
    models = scripted(lambda request: start("sounding_board"), lambda request: "Two options.")
    async with running(app, home, settings=settings, models=models):
        await answered(home, [app.on_incoming_message({"user": "ana", "text": "Help me think"})])
    (ended,) = [each.event for each in read(home, TurnEnded)]
    assert (ended.reply, ended.deliver) == ("Two options.", False)
    assert sent == []


STEP_6 = """

if __name__ == "__main__":
    import sys
    import threading

    from fleet import start_fleet

    on_incoming_message({"user": "ana", "text": "Can I swap my Friday shift?", "id": "before"})

    def incoming():
        for line in sys.stdin:
            print("accepted", on_incoming_message({"user": "bo", "text": line.strip()}).result(), flush=True)

    threading.Thread(target=incoming, daemon=True).start()
    start_fleet(
        agents=[
            root.dispatcher,
            root.information_retriever,
            root.schedule_assistant,
            root.preferences_assistant,
            root.sounding_board,
        ],
        push_queues=[queue],
        max_concurrency=50,
    )
    print("stopped", flush=True)
"""
SPEAKS = """

def send_dialog_message(body, media=None):
    print("reply", body.splitlines()[0], flush=True)
"""


def test_step_6_runs_as_a_program_until_it_is_told_to_stop(tmp_path):
    source = (HERE / "guide_application.py").read_text("utf-8")
    functions = (HERE / "guide_functions.py").read_text("utf-8")
    module = folder(tmp_path / "app") / "application.py"
    module.write_text("from functions import *\n" + source + STEP_6)
    (module.parent / "functions.py").write_text(functions + SPEAKS)
    process = subprocess.Popen(
        [sys.executable, str(module)],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    late = threading.Timer(60, process.kill)
    late.start()
    try:
        lines = [process.stdout.readline()]
        process.stdin.write("How many days of leave do I have left?\n")
        process.stdin.flush()
        while sum(line.startswith("reply") for line in lines) < 2:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        late.cancel()
    assert process.returncode == 0, err
    assert out.endswith("stopped\n")
    assert "Traceback" not in err
    assert any(line.startswith("accepted msg_") for line in [*lines, *out.splitlines()])
    events = read(tmp_path / ".fleet")
    check_exactly_once(events)
    assert next(each.event.message_id for each in events if isinstance(each.event, MessageAccepted)) == "before"
    declared = [each.event for each in events if each.event.TYPE == "agent.declared"]
    assert {each.role: each.description for each in declared}["schedule_assistant"].startswith("Help the user plan")


def test_pushes_from_threads_before_any_fleet_wait_in_order():
    queue = PushQueue()
    futures = [queue.push_to_agent_queue(None, {"user": "ana", "text": str(n)}) for n in range(3)]
    assert not any(each.done() for each in futures)

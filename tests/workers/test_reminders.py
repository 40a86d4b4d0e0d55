"""Reminders: set with a step, kept over restarts and kills, fired once; what may be set, and what happens to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time
from support.children import run_child
from support.fleets import (
    Outgoing,
    check_exactly_once,
    digests,
    events_of,
    helper_app,
    last_words,
    open_fleet,
    scripted,
    use,
)

from fleet import App, DialogAgent, Policy, SupervisedAgent, ToolContext, tool
from fleet.agents.reminders import Reminder, ThreadReminders
from fleet.errors import InputError, ToolError
from fleet.ledger.base import Draft
from fleet.ledger.events import (
    AgentPaused,
    ConfirmationSettled,
    ReminderCancelled,
    ReminderFired,
    ReminderSet,
    ReplyDelivered,
    ToolReturned,
    TurnEnded,
    TurnStarted,
)
from fleet.runtime.home import Home
from fleet.runtime.job_orders import cancel_job
from fleet.runtime.reminders import cancel_reminder, reminders
from fleet.runtime.takeover import release, takeover
from fleet.tools import cancel_reminder as cancel_tool
from fleet.tools import list_reminders, set_reminder

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOOLS = [set_reminder, list_reminders, cancel_tool]


@tool(effect="write", confirm="never")
def remind(context: ToolContext, seconds: float, note: str, verbatim: bool = False) -> str:
    """Set a reminder."""
    return context.remind_after(seconds, note, verbatim=verbatim)


def newest(request):
    """What the newest turn begins with, and whether a tool has answered since."""
    content = request.messages[-1]["content"]
    if isinstance(content, str):
        return content, False
    return next(each["content"] for each in reversed(request.messages) if isinstance(each["content"], str)), True


def work(request):
    """Sets what `tool {json}` of the user asks for, says what came of it, and tells what it is reminded of."""
    asked, called = newest(request)
    if called:
        (block,) = request.messages[-1]["content"]
        return f"{'failed' if block.get('is_error') else 'done'}: {block['content']}"
    if "Reminder, set for" in asked:
        lines = asked.splitlines()
        notes = [json.loads(lines[at + 1]) for at, line in enumerate(lines) if line.startswith("Reminder, set for")]
        said = f"; you said: {json.loads(lines[-1])}" if "User message:" in lines else ""
        return f"Remember: {', '.join(notes)}{said}"
    name, _, arguments = last_words(request).partition(" ")
    return [use(name, **json.loads(arguments))] if arguments.startswith("{") else f"You said: {name}"


class Desk:
    """A home whose helper can set reminders."""

    def __init__(self, home, tools=(remind, *TOOLS), **options):
        self.home, self.out, self.options = home, Outgoing(), options
        self.tools = tools

    def open(self, **settings):
        app = helper_app(self.out, self.tools, **self.options)
        return open_fleet(self.home, app, models=scripted(worker=work), **settings)

    @property
    def told(self):
        return [text for _, text in self.out.sent]


async def say(fleet, text):
    sent = await fleet.accept({"sender": "ana", "text": text})
    told = await fleet.reply_to(sent.message_id)
    await fleet.idle()
    return told


async def applied(fleet):
    """Wait until what is on record is applied, and nothing goes on."""
    last, _ = fleet.ledger.head()
    while fleet._graph.root.applied < last:
        await asyncio.sleep(0.01)
    await fleet.idle()


async def until(fleet, kind, count=1):
    while len(events_of(fleet, kind)) < count:
        await asyncio.sleep(0.01)
    await fleet.idle()


def ask(**arguments):
    return f"remind {json.dumps(arguments)}"


async def test_a_reminder_fires_by_itself_and_the_agent_speaks(tmp_path):
    desk = Desk(tmp_path / "home")
    async with desk.open() as fleet:
        told = await say(fleet, ask(seconds=1, note="drink water"))
        (known,) = events_of(fleet, ReminderSet)
        returned = next(each for each in events_of(fleet, ToolReturned))
        assert (known.stream, known.seq + 1) == (returned.stream, returned.seq), "one step, one append"
        assert told == f"done: {known.event.reminder_id}"
        assert [each.key for each in fleet.ledger.pending("reminders")] == [known.event.reminder_id]
        await until(fleet, ReplyDelivered, 2)
        (fired,) = events_of(fleet, ReminderFired)
        assert fired.at >= known.event.due_at
        assert desk.told[-1] == "Remember: drink water"
        turn = events_of(fleet, TurnStarted)[-1].event
        assert (turn.message_ids, turn.reminders) == ((), (known.event.reminder_id,))
        assert fleet.ledger.pending("reminders") == fleet.ledger.pending("turns") == []
        assert await say(fleet, "thanks") == "You said: thanks"
        check_exactly_once(events_of(fleet))
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_a_note_that_is_told_word_for_word_asks_no_model(tmp_path):
    desk = Desk(tmp_path / "home")
    async with desk.open() as fleet:
        await say(fleet, ask(seconds=1, note="Your parking ticket ends in 10 minutes.", verbatim=True))
        calls = len(fleet.models.of(fleet.app.agents["helper"]).requests)
        await until(fleet, ReplyDelivered, 2)
        assert desk.told[-1] == "Your parking ticket ends in 10 minutes."
        assert len(fleet.models.of(fleet.app.agents["helper"]).requests) == calls
        assert await say(fleet, "and now?") == "You said: and"
        shown = fleet.models.of(fleet.app.agents["helper"]).requests[-1].messages
        assert [each["role"] for each in shown] == ["user", "assistant"] * 3 + ["user"]
        assert shown[-2]["content"][0]["text"] == "Your parking ticket ends in 10 minutes."
        assert "is due" in shown[-3]["content"]
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_what_the_user_wrote_before_is_answered_before_a_note(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=60, note="Move your car.", verbatim=True))
            thread = events_of(fleet, TurnEnded)[0].event.thread_id
            takeover(fleet.ledger, thread, by="eva")
            await applied(fleet)
            clock.tick(timedelta(minutes=2))
            await fleet.idle()
            await fleet.accept({"sender": "ana", "text": "hello"})
            await fleet.idle()
            release(fleet.ledger, thread)
            await applied(fleet)
            assert desk.told[1:] == ["You said: hello", "Move your car."]
            assert fleet.ledger.pending("turns") == []
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_what_came_due_while_no_worker_ran_fires_at_the_next_start(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=3600, note="one"))
            await say(fleet, ask(seconds=1800, note="two"))
            await say(fleet, ask(seconds=86400, note="tomorrow"))
        clock.tick(timedelta(hours=2))
        async with desk.open() as fleet:
            await until(fleet, ReminderFired, 2)
            await fleet.idle()
            assert desk.told[3:] == ["Remember: two, one"] or desk.told[3:] == ["Remember: two", "Remember: one"]
            assert [each.note for each in reminders(fleet.ledger)] == ["tomorrow"]
        async with desk.open() as fleet:
            await fleet.idle()
            assert len(events_of(fleet, ReminderFired)) == 2, "each fires once"
        clock.tick(timedelta(hours=23))
        async with desk.open() as fleet:
            await until(fleet, ReminderFired, 3)
            assert desk.told[-1] == "Remember: tomorrow"
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_a_clock_that_jumps(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=600, note="soon"))
            clock.move_to(NOON - timedelta(hours=1))  # back: it waits until the clock shows its time
            await fleet.idle()
            clock.move_to(NOON + timedelta(minutes=9))
            await fleet.idle()
            assert events_of(fleet, ReminderFired) == []
            clock.move_to(NOON + timedelta(days=3))  # forward: it is due
            await fleet.idle()
            assert desk.told[-1] == "Remember: soon"
            clock.move_to(NOON)  # and back again: what has fired has fired
            await fleet.idle()
            assert len(events_of(fleet, ReminderFired)) == 1


async def test_a_message_that_waits_at_the_same_time_is_answered_in_the_same_turn(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=60, note="call Bo"))
            thread = events_of(fleet, TurnEnded)[0].event.thread_id
            takeover(fleet.ledger, thread, by="eva")
            await applied(fleet)
            clock.tick(timedelta(minutes=2))
            await fleet.idle()
            assert len(events_of(fleet, ReminderFired)) == 1
            assert len(desk.told) == 1, "a person has the thread: it waits"
            await fleet.accept({"sender": "ana", "text": "hello"})
            await fleet.idle()
            release(fleet.ledger, thread)
            await applied(fleet)
            assert desk.told[-1] == "Remember: call Bo; you said: hello"
            assert fleet.ledger.pending("turns") == []
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_a_turn_that_is_set_aside_for_a_person_has_its_reminder_again_later(tmp_path):
    desk, began = Desk(tmp_path / "home"), asyncio.Event()

    async def slow(request):
        if "Reminder, set for" in newest(request)[0] and not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return work(request)

    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        app = helper_app(desk.out, desk.tools)
        async with open_fleet(desk.home, app, models=scripted(worker=slow)) as fleet:
            await say(fleet, ask(seconds=60, note="call Bo"))
            thread = events_of(fleet, TurnEnded)[0].event.thread_id
            clock.tick(timedelta(minutes=2))
            fleet._loop.timer.look()
            await began.wait()
            takeover(fleet.ledger, thread, by="eva")
            await applied(fleet)
            assert len(desk.told) == 1
            release(fleet.ledger, thread)
            await applied(fleet)
            assert desk.told[1:] == ["Remember: call Bo"]
            assert fleet.ledger.pending("turns") == []
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_cancelled_by_its_agent_an_operator_or_with_its_job_it_does_not_fire(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            for note in ("one", "two", "three"):
                await say(fleet, ask(seconds=60, note=note))
            first, second, third = (each.event for each in events_of(fleet, ReminderSet))
            off = f"cancel_reminder {json.dumps({'reminder_id': first.reminder_id})}"
            assert await say(fleet, off) == "done: It is cancelled."
            assert "no reminder of this conversation" in await say(fleet, off)
            found = cancel_reminder(fleet.ledger, second.reminder_id[:9], by="eva", reason="moved")
            assert (found.state, found.by) == ("cancelled", "eva")
            with pytest.raises(InputError, match="was cancelled by eva; nothing was changed"):
                cancel_reminder(fleet.ledger, second.reminder_id, by="eva")
            cancel_job(fleet.ledger, third.job_id, by="eva")
            assert [each.event.by for each in events_of(fleet, ReminderCancelled)] == ["agent helper", "eva", "eva"]
            with pytest.raises(InputError, match="there is nothing to call off"):
                cancel_job(fleet.ledger, third.job_id, by="eva")
            clock.tick(timedelta(hours=1))
            await applied(fleet)
            assert events_of(fleet, ReminderFired) == []
            assert fleet.ledger.pending("reminders") == []
            assert fleet._graph.root.jobs[third.job_id].reminders == "[]"
            with pytest.raises(InputError, match=r"'rem_nothing' is no reminder; see `fleet reminders list`"):
                cancel_reminder(fleet.ledger, "rem_nothing", by="eva")
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_a_reminder_that_is_due_is_called_off_with_its_job(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=60, note="one"))
            job = events_of(fleet, ReminderSet)[0].event
            takeover(fleet.ledger, job.thread_id, by="eva")
            await applied(fleet)
            clock.tick(timedelta(minutes=2))
            await fleet.idle()
            cancel_job(fleet.ledger, job.job_id, by="eva")
            await applied(fleet)
            release(fleet.ledger, job.thread_id)
            await applied(fleet)
            assert len(desk.told) == 1
            assert fleet.ledger.pending("turns") == []
        with Home(desk.home).read_ledger() as ledger:
            assert ledger.verify().ok
    assert len(set(digests(desk.home, tmp_path / "again"))) == 1


async def test_of_a_fire_and_a_cancellation_one_counts(tmp_path):
    """Whoever comes second on the reminder's own stream writes nothing."""
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=60, note="one"))
            known = events_of(fleet, ReminderSet)[0].event
            off = ReminderCancelled(
                reminder_id=known.reminder_id, job_id=known.job_id, thread_id=known.thread_id, user="ana", by="eva"
            )
            with Home(desk.home).open_ledger() as other:  # another process, at the very moment of the fire
                clock.tick(timedelta(minutes=2))
                other.append_now(Draft(f"reminder:{known.reminder_id}", 0, (off,), "ana"))
                await fleet.idle()
            await applied(fleet)
            assert events_of(fleet, ReminderFired) == []
            assert len(desk.told) == 1


async def test_a_yes_after_a_reminder_runs_nothing(tmp_path):
    """The agent has spoken of something else since it asked: a plain yes may mean that."""
    ran = []

    @tool(effect="external", question="Order {item}?")
    def order(item: str) -> str:
        """Order something."""
        ran.append(item)
        return "ordered"

    desk = Desk(tmp_path / "home", (remind, order))
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=60, note="stand-up"))
            assert await say(fleet, 'order {"item": "tea"}') == "Order tea?"
            clock.tick(timedelta(minutes=2))
            await fleet.idle()
            assert desk.told[-1] == "Remember: stand-up"
            await say(fleet, "yes")
            assert ran == []
            assert [each.event.verdict for each in events_of(fleet, ConfirmationSettled)] in ([], ["lapsed"])


async def test_a_paused_agents_reminders_wait_for_it(tmp_path):
    for away in ("", "I am away."):
        desk = Desk(tmp_path / f"home{bool(away)}")
        app = App(
            name="small",
            agents=[DialogAgent("helper", desk.out, description="Helps with everything", tools=[remind], away=away)],
        )
        with freeze_time(NOON, ignore=["asyncio"]) as clock:
            async with open_fleet(desk.home, app, models=scripted(worker=work)) as fleet:
                await say(fleet, ask(seconds=60, note="one"))
                version = fleet.ledger.version("agent:helper")
                paused = AgentPaused(role="helper", paused=True)
                await fleet.ledger.append(Draft("agent:helper", version, (paused,)))
                clock.tick(timedelta(minutes=2))
                await fleet.idle()
                assert len(events_of(fleet, ReminderFired)) == 1
                if away:
                    assert await say(fleet, "hello?") == away
                assert not any("Remember" in each for each in desk.told)
                again = paused.model_copy(update={"paused": False})
                await fleet.ledger.append(Draft("agent:helper", version + 1, (again,)))
                await fleet.idle()
                assert desk.told[-1] == "Remember: one"
                assert fleet.ledger.pending("turns") == []
        assert len(set(digests(desk.home, tmp_path / f"again{bool(away)}"))) == 1


async def test_a_retired_agents_reminders_end_in_silence(tmp_path):
    desk = Desk(tmp_path / "home")
    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with desk.open() as fleet:
            await say(fleet, ask(seconds=60, note="one"))
        clock.tick(timedelta(minutes=2))
        other = App(name="small", agents=[DialogAgent("other", desk.out)], retired_reply="It is gone.")
        async with open_fleet(desk.home, other, models=scripted(worker=work)) as fleet:
            await until(fleet, TurnEnded, 2)
            ended = events_of(fleet, TurnEnded)[-1].event
            assert (ended.result, ended.reply, ended.reason) == ("failed", "", "agent helper is retired")
            assert len(desk.told) == 1
            assert fleet.ledger.pending("turns") == []


async def test_a_thread_has_no_more_reminders_than_it_may(tmp_path):
    desk = Desk(tmp_path / "home")
    async with desk.open(thread_reminders=2) as fleet:
        for note in ("one", "two"):
            assert (await say(fleet, ask(seconds=60, note=note))).startswith("done: rem_")
        full = "failed: this thread has 2 open reminders, the most that it may; cancel one before you set one"
        assert await say(fleet, ask(seconds=60, note="three")) == full
        assert len(events_of(fleet, ReminderSet)) == 2
    desk.options["policy"] = Policy(thread_reminders=3)
    async with desk.open(thread_reminders=2) as fleet:
        assert (await say(fleet, ask(seconds=60, note="three"))).startswith("done: rem_")
        assert (await say(fleet, ask(seconds=60, note="four"))).startswith("failed: this thread has 3")


async def test_a_tool_that_fails_or_only_reads_sets_nothing(tmp_path):
    @tool(effect="read")
    def look(context: ToolContext) -> str:
        """Look."""
        context.remind_after(60, "later")
        return "seen"

    @tool(effect="write", confirm="never")
    def stumble(context: ToolContext) -> str:
        """Stumble."""
        context.remind_after(60, "later")
        raise ToolError("I stumbled")

    desk = Desk(tmp_path / "home", (look, stumble))
    async with desk.open() as fleet:
        refused = 'failed: look is declared effect="read" and set or cancelled a reminder; nothing was changed'
        assert await say(fleet, "look {}") == refused
        assert await say(fleet, "stumble {}") == "failed: I stumbled"
        assert events_of(fleet, ReminderSet) == []


async def test_the_users_own_time(tmp_path):
    desk = Desk(tmp_path / "home", timezone_of={"ana": "Europe/Vienna"}.get)
    with freeze_time(NOON, ignore=["asyncio"]):
        async with desk.open() as fleet:
            await say(fleet, f"set_reminder {json.dumps({'note': 'x', 'at': '2026-11-22T09:00'})}")
            assert events_of(fleet, ReminderSet)[-1].event.due_at == 1_795_334_400_000_000  # 08:00 UTC
            await say(fleet, f"set_reminder {json.dumps({'note': 'x', 'at': '2026-11-22T09:00Z'})}")
            assert events_of(fleet, ReminderSet)[-1].event.due_at == 1_795_338_000_000_000
            told = await say(fleet, "list_reminders {}")
            assert [each["at"] for each in json.loads(told.removeprefix("done: "))] == [
                "2026-11-22T09:00:00+01:00", "2026-11-22T10:00:00+01:00"
            ]  # fmt: skip
            asked = fleet.models.of(fleet.app.agents["helper"]).requests[-1].messages[-3]["content"]
            assert "The user's time: 2026-11-21T13:00+01:00 Europe/Vienna" in asked
            both = await say(fleet, f"set_reminder {json.dumps({'note': 'x', 'at': 'soon', 'in_minutes': 3})}")
            assert both == "failed: a reminder needs one of at and in_minutes"
            soon = await say(fleet, f"set_reminder {json.dumps({'note': 'x', 'at': 'soon'})}")
            assert soon.startswith("failed: 'soon' is no time; write it as 2026-11-22T09:00")
    bare = Desk(tmp_path / "bare", timezone_of=lambda user: "Mars/Olympus")
    async with bare.open() as fleet:
        told = await say(fleet, f"set_reminder {json.dumps({'note': 'x', 'at': '2999-11-22T09:00'})}")
        assert told == (
            "failed: 2999-11-22T09:00 has no time zone, and the user's is not known; give an offset, as in +01:00 or Z"
        )


@pytest.mark.parametrize(
    ("when", "note", "why"),
    [
        (datetime(2026, 11, 22, 9), "x", "a reminder's time needs a time zone; 2026-11-22T09:00:00 has none"),  # noqa: DTZ001
        (NOON, "x", "2026-11-21T12:00:00+00:00 is past: it is 2026-11-21T12:00:00+00:00 now"),
        ("2026-11-22", "x", "a reminder's time is a datetime, not str"),
        (NOON + timedelta(days=1), " ", "a reminder needs a note, what it is about"),
        (NOON + timedelta(days=1), "x" * 2001, "a reminder's note has at most 2000 characters, this one has 2001"),
    ],
)
def test_what_is_no_reminder_is_refused_in_one_line(when, note, why):
    planned = ThreadReminders(NOON, most=5, refusal="")
    with pytest.raises(ToolError) as refused:
        planned.at(when, note, verbatim=False)
    assert refused.value.message == why
    assert planned.new == planned.open == []


@pytest.mark.parametrize(
    ("wait", "why"),
    [
        (0, "a reminder comes after a second or more"),
        (-5, "a reminder comes after a second or more"),
        (float("nan"), "a reminder comes after so many seconds, not nan"),
        (1e300, "a reminder cannot come after 1e+300 seconds: no calendar goes so far"),
        (timedelta.max, "no calendar goes so far"),
        (True, "a reminder comes after seconds or a timedelta, not bool"),
        ("5", "a reminder comes after seconds or a timedelta, not str"),
    ],
)
def test_what_is_no_wait_is_refused_in_one_line(wait, why):
    with pytest.raises(ToolError) as refused:
        ThreadReminders(NOON, most=5, refusal="").after(wait, "x", verbatim=False)
    assert why in refused.value.message


def test_a_call_sees_what_it_has_set_and_cancelled():
    vienna = ZoneInfo("Europe/Vienna")
    known = Reminder("rem_1", NOON + timedelta(days=1), "known")
    planned = ThreadReminders(NOON, [known], 5, "", "seed")
    made = planned.at(datetime(2026, 11, 22, 9, tzinfo=vienna), "new", verbatim=True)
    again = ThreadReminders(NOON, [known], 5, "", "seed")
    assert again.at(datetime(2026, 11, 22, 9, tzinfo=vienna), "new", verbatim=True) == made, "a retry sets the same"
    assert planned.open == [known, Reminder(made, datetime(2026, 11, 22, 8, tzinfo=UTC), "new", verbatim=True)]
    assert planned.cancel("rem_1")
    assert planned.cancel(made)
    assert not planned.cancel(made)
    assert (planned.open, planned.new, planned.cancelled) == ([], [], ["rem_1"])


async def test_what_a_supervised_agent_is_reminded_of_it_reports_and_a_task_has_nobody_to_remind(tmp_path):
    reported, refused = [], []
    app = App(
        name="small",
        agents=[
            DialogAgent("lead", description="Leads", may_dispatch=["digger"]),
            SupervisedAgent("digger", description="Digs", tools=[remind]),
        ],
        on_result=lambda reply: reported.append(reply.text),
    )

    def dig(request):
        asked, called = newest(request)
        if request.tools[0]["name"] == "subagent_dispatch":
            return "done" if called else [use("subagent_dispatch", agent="digger", task="dig")]
        if called:
            (block,) = request.messages[-1]["content"]
            refused.extend([block["content"]] if block.get("is_error") else [])
            return "dug"
        return work(request) if "Reminder, set for" in asked else [use("remind", seconds=60, note="dig on")]

    with freeze_time(NOON, ignore=["asyncio"]) as clock:
        async with open_fleet(tmp_path, app, models=scripted(worker=dig)) as fleet:
            background = await fleet.dispatch("digger", user="ana", text="dig", mode="sync")
            assert background.state == "success"
            clock.tick(timedelta(minutes=2))
            await fleet.idle()
            assert reported == ["dug", "Remember: dig on"]
            await fleet.dispatch("lead", user="ana", text="dig", mode="sync")
            assert refused == [
                "a task that another agent handed out has no user to remind; whoever handed it out can set a reminder"
            ]
            assert len(events_of(fleet, ReminderSet)) == 1


# Killed at each point: the process ends as soon as it has seen the event, with nothing cleaned up.


async def serve(home: str, kind: str) -> None:
    desk = Desk(Path(home))

    def kill(stored):
        event = stored.event
        reminded = event.reminders if isinstance(event, TurnStarted) else getattr(event, "settled", True)
        if kind == event.TYPE and reminded:
            os.kill(os.getpid(), signal.SIGKILL)

    async with desk.open() as fleet:
        fleet.on(kill)
        if not events_of(fleet, TurnStarted):
            await fleet.accept({"sender": "ana", "text": ask(seconds=1, note="water"), "id": "m-1"})
        await until(fleet, ReplyDelivered, 2)


@pytest.mark.parametrize("kind", ["reminder.set", "reminder.fired", "turn.started", "turn.ended", "reply.delivered"])
def test_killed_at_any_point_it_fires_once_and_is_told_once(tmp_path, kind):
    home = tmp_path / "home"
    assert run_child(serve, home, kind) == -signal.SIGKILL
    for _ in range(4):
        if run_child(serve, home, "") == 0:
            break
    with Home(home).read_ledger() as ledger:
        found = [each.event for each in ledger.read()]
        assert ledger.verify().ok
        assert ledger.pending("reminders") == ledger.pending("turns") == ledger.pending("outbox") == []
    assert sum(isinstance(each, ReminderSet) for each in found) == 1
    assert sum(isinstance(each, ReminderFired) for each in found) == 1
    told = [each.reply for each in found if isinstance(each, TurnEnded)]
    assert told[1:] == ["Remember: water"]
    assert len(set(digests(home, tmp_path / "again"))) == 1

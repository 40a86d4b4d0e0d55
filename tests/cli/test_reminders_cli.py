"""`fleet reminders`: listed and taken back beside a worker and without one; what shows of them elsewhere."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.commands import call, refused
from support.fleets import events_of, helper_app, open_fleet, scripted, use

from fleet import Message
from fleet.ledger.events import ReminderSet
from fleet.tools import set_reminder


def work(request):
    last = request.messages[-1]["content"]
    return [use("set_reminder", note="Ask about the \x1b[31mvan", in_minutes=90)] if isinstance(last, str) else "Done."


async def say(home):
    async with open_fleet(home, helper_app(tools=[set_reminder]), models=scripted(worker=work)) as fleet:
        sent = await fleet.accept(Message("ana", "Remind me", "m-1"))
        await fleet.reply_to(sent.message_id)
        await fleet.idle()
        return events_of(fleet, ReminderSet)[0].event


@pytest.fixture
def made(tmp_path):
    home = tmp_path / "home"
    return home, asyncio.run(say(home))


def test_what_is_set_is_listed_shown_and_taken_back(made):
    home, reminder = made
    (listed,) = [json.loads(line) for line in call("reminders", "list", "--home", home, "--json").stdout.splitlines()]
    assert (listed["id"], listed["state"], listed["user"]) == (reminder.reminder_id, "open", "ana")
    assert listed["thread_id"] == reminder.thread_id
    page = call("reminders", "list", "--home", home, "--user", "ana").stdout
    assert reminder.reminder_id in page
    assert "\x1b" not in page
    assert call("reminders", "list", "--home", home, "--user", "bo").stdout == "no such reminders\n"
    assert call("reminders", "list", "--home", home, "--thread", "thr_no").stdout == "no such reminders\n"
    done = call("reminders", "cancel", "--home", home, "--by", "eva", "--reason", "sold", reminder.reminder_id[:8])
    assert (done.returncode, done.stdout) == (0, f"{reminder.reminder_id}: cancelled by eva\n")
    again = call("reminders", "cancel", "--home", home, reminder.reminder_id)
    assert refused(again) == f"reminder {reminder.reminder_id} was cancelled by eva; nothing was changed"
    assert call("reminders", "list", "--home", home, "--json").stdout == ""
    (every,) = call("reminders", "list", "--home", home, "--all", "--json").stdout.splitlines()
    assert (json.loads(every)["state"], json.loads(every)["by"]) == ("cancelled", "eva")
    shown = call("threads", "show", reminder.thread_id, "--home", home).stdout
    assert f"reminder {reminder.reminder_id} set for " in shown
    assert f"reminder {reminder.reminder_id} cancelled by eva" in " ".join(shown.split())
    why = " ".join(call("why", "m-1", "--home", home).stdout.split())
    assert f"reminder set {reminder.reminder_id} for " in why
    assert call("store", "verify", "--home", home).returncode == 0


def test_what_is_no_reminder_is_refused(made, tmp_path):
    home, reminder = made
    none = call("reminders", "cancel", "--home", home, "rem_zz")
    assert refused(none) == "'rem_zz' is no reminder; see `fleet reminders list`"
    reason = call("reminders", "cancel", "--home", home, "--reason", "a\nb", reminder.reminder_id)
    assert refused(reason) == "a reason is one printable line; nothing was changed"
    assert refused(call("reminders", "list", "--home", tmp_path / "no")).startswith("there is no fleet in")
    assert refused(call("reminders", "cancel", "--home", tmp_path / "no", "rem_1")).startswith("there is no fleet in")
    assert not (tmp_path / "no").exists()

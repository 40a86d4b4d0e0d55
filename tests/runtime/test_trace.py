"""Trace events: the transitions of a message by name, told live and from the ledger afterwards."""

from __future__ import annotations

import json
import signal

import pytest
from support.commands import Running, call
from support.fleets import open_fleet, scripted

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Message
from fleet.errors import ConfigError
from fleet.runtime.dispatches import cancel_now
from fleet.runtime.trace import TRACES, traces


def gate(message):
    said = {"drop": DispatchAction.DROP, "error": DispatchAction.ERROR}.get(message.text.raw.split(" ")[0])
    return DispatchResult("", said, reason=message.text.raw) if said else None


def work(request):
    return "" if "fail" in str(request.messages[-1]["content"]) else "Done."


async def test_every_transition_has_a_name_live_and_in_the_ledger(tmp_path):
    app = App(name="one", agents=[DialogAgent(role="helper")], gate=gate)
    heard = []
    settings = {"router_model": "none"}
    async with open_fleet(tmp_path / "home", app, models=scripted(worker=work), **settings) as fleet:
        for name in TRACES:
            fleet.on(name, heard.append)
        fleet.on("dispatch.completed", lambda trace: 1 / 0)  # the fleet goes on
        for text in ("drop it", "error it", "who knows"):
            await fleet.accept(Message("ana", text, id=text.split(" ")[0]))
        done = await fleet.dispatch("helper", user="bo", text="hi", id="d-1", mode="sync")
        await fleet.dispatch("helper", user="bo", text="fail", id="d-2", mode="sync")
        await fleet.idle()
        told = list(traces(fleet.ledger))
        assert told == heard
        assert [(each.name.removeprefix("dispatch."), each.detail) for each in traces(fleet.ledger, message="d-1")] == [
            ("request.created", "dispatch"),
            ("decision.made", "start_new_thread by dispatch"),
            ("scheduled", done.job_id),
            ("completed", "success"),
        ]
        ends = {each.message_id: (each.name, each.detail) for each in heard}
        assert ends == {
            "drop": ("dispatch.completed", "drop it"),
            "error": ("dispatch.failed", "error it"),
            "who": (
                "dispatch.taken_over",
                "nothing settled it before a model, and this fleet has no routing model",
            ),
            "d-1": ("dispatch.completed", "success"),
            "d-2": ("dispatch.failed", "failed: the model ended without a text"),
        }
        assert list(traces(fleet.ledger, user="bo")) == [each for each in told if each.user == "bo"]
        assert list(traces(fleet.ledger, newest_first=True)) == told[::-1]
        assert list(traces(fleet.ledger, message="nobody")) == []
        for wrong in (("dispatch.done", print), ("dispatch.completed",)):
            with pytest.raises(ConfigError, match=r"there is no trace event 'dispatch.done'|needs a function to call"):
                fleet.on(*wrong)


def test_the_command_prints_transitions_and_follows(tmp_path):
    home = tmp_path / "home"
    call("send", "--home", home, "--user", "ana", "--id", "m-1", "hi")
    said = call("dispatch", "trace", "--home", home, "--json").stdout.splitlines()
    assert [json.loads(line)["trace"] for line in said] == ["dispatch.request.created"]
    with Running("dispatch", "trace", "--home", home, "--follow", "--user", "ana") as following:
        assert "dispatch.request.created  m-1  ana  message" in following.read_until("m-1")
        call("dispatch", "create", "--home", home, "--user", "bo", "--agent", "helper", "--id", "d-0")
        call("dispatch", "create", "--home", home, "--user", "ana", "--agent", "helper", "--id", "d-1")
        assert "d-1  ana  dispatch" in following.read_until("d-")
        call("dispatch", "cancel", "--home", home, "--by", "ops", "d-1")
        assert "cancelled by dispatch" in following.read_until("dispatch.decision.made")
        assert "d-1  ana  called off by ops" in following.read_until("dispatch.completed")
        following.signal(signal.SIGINT)
        assert following.end() == 130
    last = call("dispatch", "trace", "--home", home, "--limit", "1", "d-1").stdout
    assert last.count("\n") == 1
    assert "dispatch.completed" in last


def test_what_is_called_off_is_told_once(tmp_path):
    home = tmp_path / "home"
    call("dispatch", "create", "--home", home, "--user", "ana", "--agent", "helper", "--id", "d-1")
    from fleet.runtime.home import Home

    with Home(home).open_ledger() as ledger:
        cancel_now(ledger, "d-1", by="ops")
        assert [each.name for each in traces(ledger, message="d-1")] == [
            "dispatch.request.created", "dispatch.decision.made", "dispatch.completed",
        ]  # fmt: skip

"""`fleet worker`: serves, drains, gives way to nobody, and refuses what does not fit before it opens anything."""

from __future__ import annotations

import signal

import pytest
from support.commands import Running, at_rest, call, refused, run, wait_for
from support.fleets import check_exactly_once

from fleet.runtime.home import Home

# A gate that holds each message with `hold` in it until the file `go` is there.
_HOLDING = """
import asyncio
from pathlib import Path
from fleet import App, DialogAgent

async def gate(message):
    if "hold" in message.text:
        print("held", flush=True)
        while not Path({go!r}).exists():
            await asyncio.sleep(0.005)

app = App(name="holding", agents=[DialogAgent(role="helper", description="Helps with everything.")], gate=gate)
"""

_BROKEN = """
from fleet import App, DialogAgent, MessageDispatcher

def made(**dispatcher):
    return App(name="broken", agents=[DialogAgent(role="helper", description="Helps.")],
               dispatcher=MessageDispatcher(**dispatcher))

def helper(**agent):
    return App(name="broken", agents=[DialogAgent(role="helper", description="Helps.", **agent)])

raising = made(warmup='print("Incoming message:")\\nraise RuntimeError("no database")')
unfinished = made(warmup='print(')
undefined = made(prompt="Route {{ mesage }}.")
helper_raising = helper(warmup="1 / 0")
helper_undefined = helper(prompt="You are {{ rolle }}.")
claude = made(model="anthropic:claude-haiku-4-5")
nothing = 3
def raises():
    raise ValueError("not today")
"""


@pytest.fixture
def holding(tmp_path):
    (tmp_path / "holding.py").write_text(_HOLDING.format(go=str(tmp_path / "go")))
    return tmp_path


def _send(home, text, message_id, user="ana"):
    assert call("send", "--home", home, "--user", user, "--id", message_id, text).returncode == 0


def test_it_answers_what_was_sent_before_and_while_it_runs_and_drains_on_sigterm(tmp_path):
    home = tmp_path / "home"
    _send(home, "When is the next payday?", "m-1")
    with Running("worker", "--home", home, "--app", "fleet.demo:app") as worker:
        ready = worker.read_until("serving", err=True)
        assert f"fleet: serving fleet.demo:app on {home} with offline:router routing" in ready
        _send(home, "How many days of paid leave do we get?", "m-2", user="ben")
        wait_for(home, lambda ledger: ledger.version("message:m-2") == 2 and at_rest(ledger))
        listed = call("threads", "list", "--home", home, "--json")
        assert listed.stdout.count("\n") == 2
        assert call("store", "verify", "--home", home).returncode == 0
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    with Home(home).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))
    assert call("store", "verify", "--home", home).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_runs_end_and_begins_nothing_new(holding, number):
    home = holding / "home"
    with Running("worker", "--home", home, "--app", "holding:app", modules=(holding,)) as worker:
        worker.read_until("serving", err=True)
        _send(home, "hold this", "m-1")
        worker.read_until("held")
        _send(home, "and this after it", "m-2")
        worker.signal(number)
        worker.read_until(f"worker.signal signal={number.name}", err=True)
        (holding / "go").touch()
        assert worker.end() == 0
    with Home(home).read_ledger() as ledger:
        assert [ledger.version(f"message:m-{n}") for n in (1, 2)] == [2, 1]
        assert [ledger.pending_count(queue) for queue in ("inbox", "turns")] == [1, 1]
    with Running("worker", "--home", home, modules=(holding,)) as worker:  # the home knows its application
        assert "serving holding:app" in worker.read_until("serving", err=True)
        wait_for(home, at_rest)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    with Home(home).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(holding):
    home = holding / "home"
    _send(home, "hold this", "m-1")
    with Running("worker", "--home", home, "--app", "holding:app", modules=(holding,)) as worker:
        worker.read_until("held")
        for again in ("false", "true"):
            worker.signal(signal.SIGTERM)
            worker.read_until(f"again={again.title()}", err=True)
        assert worker.end() == 128 + signal.SIGTERM
    (holding / "go").touch()
    with Running("worker", "--home", home, modules=(holding,)) as worker:
        worker.read_until("serving", err=True)
        wait_for(home, at_rest)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    with Home(home).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))


def test_a_second_worker_on_the_same_home_is_refused(holding):
    home = holding / "home"
    with Running("worker", "--home", home, "--app", "holding:app", modules=(holding,)) as worker:
        worker.read_until("serving", err=True)
        why = refused(run("worker", "--home", home, modules=(holding,)))
        assert "held by another worker" in why
        assert str(worker.process.pid) in why
        assert "held by another worker" in refused(run("chat", "--user", "ana", "--home", home, modules=(holding,)))
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("nowhere:app", "there is no module 'nowhere'"),
        ("broken:app", "broken has no attribute 'app'"),
        ("broken", "MODULE:ATTR"),
        ("broken:nothing", "is a int, not an App"),
        ("broken:raises", "ValueError: not today"),
        ("shattered:app", "ZeroDivisionError: division by zero"),
        ("broken:raising", 'warmup <code>, line 2: RuntimeError: "no database"'),
        ("broken:unfinished", "warmup <code>, line 1:"),
        ("broken:undefined", "'mesage' is undefined"),
        ("broken:helper_raising", "warmup <code>, line 1: ZeroDivisionError"),
        ("broken:helper_undefined", "'rolle' is undefined"),
        ("broken:claude", "anthropic:claude-haiku-4-5 needs a key"),
    ],
)
def test_an_application_that_does_not_fit_is_refused_before_a_home_is_made(tmp_path, app, why):
    (tmp_path / "broken.py").write_text(_BROKEN)
    (tmp_path / "shattered.py").write_text("1 / 0")
    home = tmp_path / "home"
    assert why in refused(run("worker", "--home", home, "--app", app, modules=(tmp_path,)))
    assert not home.exists()


def test_a_missing_key_and_an_unknown_model_are_refused_before_a_home_is_made(tmp_path):
    home = tmp_path / "home"
    done = run("worker", "--home", home, FLEET_WORKER_MODEL="anthropic:claude-haiku-4-5")
    assert "set ANTHROPIC_API_KEY" in refused(done)
    assert "there is no model 'gpt'" in refused(run("demo", "--home", home, FLEET_ROUTER_MODEL="gpt"))
    assert not home.exists()


def test_warmup_that_raises_may_be_started_anyway_and_the_fallback_decides(tmp_path):
    (tmp_path / "broken.py").write_text(_BROKEN)
    home = tmp_path / "home"
    _send(home, "hello", "m-1")
    arguments = ("worker", "--home", home, "--app", "broken:raising", "--no-warmup-check")
    with Running(*arguments, modules=(tmp_path,)) as worker:
        worker.read_until("serving", err=True)
        wait_for(home, at_rest)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    page = call("why", "m-1", "--home", home).stdout
    assert "no database" in page
    assert "fallback" in page

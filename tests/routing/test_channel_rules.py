"""Channel rules: a channel or address has its agents; the file may change, and a wrong one changes nothing."""

from __future__ import annotations

import json
import os

import pytest
from support.commands import call
from support.fleets import check_exactly_once, decisions, digests, events_of, open_fleet, scripted, start

from fleet import App, DialogAgent, DispatchAction, DispatchResult, Message
from fleet.audit.explain import explain
from fleet.errors import ConfigError
from fleet.ledger.events import RulesChanged
from fleet.routing import rules as module
from fleet.routing.rules import Rule, read_rules

ROLES = ("greeter", "notes", "billing")
FILE = """
[[rule]]
name = "support line"
channel = "sip"
address = "+49*"
agents = ["greeter", "notes"]
thread = "session"
metadata = { tier = "gold" }

[[rule]]
name = "shop"
channel = "shop-*"
agents = ["billing"]

[[rule]]
name = "any phone"
channel = "sip"
agents = ["billing"]
thread = "message"
"""


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(module, "_LOOK_S", 0.0)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(FILE)
    return path


def app(file, **options):
    agents = [DialogAgent(role=role, dispatch="explicit") for role in ROLES]
    return App(name="phone", agents=[*agents, DialogAgent(role="helper")], rules=file, **options)


def phone(text, session="call-1", address="+49 30 1234", user="ana", **options):
    return Message(user, text, channel="sip", session_id=session, metadata={"address": address}, **options)


def no_model(request):
    raise AssertionError("a model was asked to route")


async def test_a_call_has_its_agents_each_once_and_the_next_one_has_others(tmp_path, file):
    async with open_fleet(tmp_path / "home", app(file), models=scripted(no_model)) as fleet:
        for message in (phone("hello", id="m-1"), phone("and more"), phone("hello", "call-2")):
            await fleet.accept(message)
            await fleet.idle()
        found = [(each.by, each.gate, each.agent, each.outcome) for each in decisions(fleet)]
        one = [
            ("gate", "rule support line", "greeter", "start_new_thread"),
            ("dispatch", "rule support line", "notes", "start_new_thread"),
        ]
        assert found[:2] == one
        assert [each[2:] for each in found[2:4]] == [("greeter", "dispatch_to"), ("notes", "dispatch_to")]
        another_call = [("greeter", "start_new_thread"), ("notes", "start_new_thread")]
        assert [each[2:] for each in found[4:]] == another_call
        assert all(each.metadata == {"tier": "gold"} for each in decisions(fleet))
        said = explain(fleet.ledger, "m-1")
        assert said.where.endswith("with greeter in en; the gate rule support line decided.")
        assert explain(fleet.ledger, "m-1+notes").where.endswith("with notes in en; rule support line dispatched it.")
        check_exactly_once(events_of(fleet))
    live, again = digests(tmp_path / "home", tmp_path / "again")
    assert live == again


async def test_the_first_rule_that_matches_settles_it_and_the_rest_goes_on(tmp_path, file):
    gate = lambda m: DispatchResult("k", DispatchAction.ROUTE, agent="helper") if m.channel == "web" else None  # noqa: E731
    async with open_fleet(tmp_path / "home", app(file, gate=gate), models=scripted(lambda request: start())) as fleet:
        for message in (
            phone("a", address="+33 1"), phone("b", address="+33 1"), Message("ana", "c", channel="shop-7"),
            Message("ana", "d", channel="shop-8"), Message("bo", "e", channel="shop-7"),
            Message("ana", "f", channel="web"), Message("ana", "g"),
        ):  # fmt: skip
            await fleet.accept(message)
            await fleet.idle()
        found = decisions(fleet)
        assert [each.gate for each in found] == ["rule any phone"] * 2 + ["rule shop"] * 3 + ["gate", ""]
        threads = [each.thread_id for each in found]
        assert threads[0] != threads[1], "a thread for each message"
        assert threads[2] == threads[3] != threads[4], "a thread for each caller"


async def test_a_changed_file_counts_and_a_wrong_one_changes_nothing(tmp_path, file):
    home = tmp_path / "home"

    def changed(text):
        file.write_text(text)
        os.utime(file, ns=(changed.at, changed.at))
        changed.at += 10**9

    changed.at = 2 * 10**18
    async with open_fleet(home, app(file), models=scripted(lambda request: start())) as fleet:
        for text in (None, FILE.replace('["billing"]', '["notes"]'), "[[rule]]\nname =", FILE):
            if text is not None:
                changed(text)
            await fleet.accept(Message("ana", "hi", channel="shop-1"))
            await fleet.idle()
        assert [each.agent for each in decisions(fleet)] == ["billing", "notes", "notes", "billing"]
        told = [each.event for each in events_of(fleet, RulesChanged)]
        assert [(each.rules, bool(each.error)) for each in told] == [
            (("support line", "shop", "any phone"), False), (("support line", "shop", "any phone"), False),
            ((), True), (("support line", "shop", "any phone"), False),
        ]  # fmt: skip
        assert told[2].error.startswith("rules.toml is not TOML: ")
        assert fleet.ledger.blob(told[3].file).decode() == FILE
    async with open_fleet(home, app(file), models=scripted(lambda request: start())) as fleet:
        await fleet.accept(Message("ana", "hi", channel="shop-1"))
        await fleet.idle()
        assert len(events_of(fleet, RulesChanged)) == 4, "the same rules again are no change"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1", "r.toml has 'x'; it holds [[rule]] tables and nothing else"),
        ("rule = 1", "r.toml has 'rule'; it holds [[rule]] tables and nothing else"),
        ("[[rule]]\nname = 'a'", "r.toml, rule 1 (a): agents is a list of roles such as"),
        ("[[rule]]\nagents = ['greeter']", "r.toml, rule 1: name is one printable line"),
        ("[[rule]]\nname = 'a'\nagents = ['nobody']", "r.toml, rule 1 (a): no agent 'nobody' is declared"),
        ("[[rule]]\nname = 'a'\nagents = ['greeter', 'greeter']", "r.toml, rule 1 (a): an agent is named twice"),
        ("[[rule]]\nname = 'a'\nagents = ['greeter']\nchanel = 'x'", "r.toml, rule 1 (a) has no field 'chanel'"),
        ("[[rule]]\nname = 'a'\nagents = ['greeter']\nthread = 'x'", "thread is caller, session, message, not 'x'"),
        ("[[rule]]\nname = 'a'\nagents = ['greeter']\nmetadata = 1", "metadata is a table of texts and numbers"),
        ("[[rule]]\nname = 'a'\nagents = ['greeter']\n" * 2, "r.toml: two rules are named 'a'"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(text, why):
    with pytest.raises(ConfigError) as refused:
        read_rules(text.encode(), "r.toml", ROLES)
    assert why in refused.value.message
    assert "\n" not in refused.value.message


def test_what_may_be_left_out():
    (rule,) = read_rules(b"[[rule]]\nname = 'a'\nagents = ['greeter']", "r.toml", ROLES)
    assert rule == Rule("a", ("greeter",))
    assert read_rules(b"", "r.toml", ROLES) == ()


def test_check_looks_at_the_rules(tmp_path, file, monkeypatch):
    (tmp_path / "phone.py").write_text(
        "from fleet import App, DialogAgent\n"
        f"agents = [DialogAgent(role=role, description='x') for role in {ROLES}]\n"
        f"app = App(name='phone', agents=agents, rules={str(file)!r})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    good = call("check", "--app", "phone:app", "--json")
    assert good.returncode == 0, good.stdout
    assert [each["detail"] for each in json.loads(good.stdout)["checks"] if each["subject"] == "rules"] == [
        "every rule names declared agents"
    ]
    file.write_text(FILE.replace("billing", "nobody"))
    bad = call("check", "--app", "phone:app", "--json")
    assert bad.returncode == 1
    assert "rule 2 (shop): no agent 'nobody' is declared" in bad.stdout

"""The HTTP API over a real socket: messages, decisions, dispatches, grants, refusals, back-pressure."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import aiohttp
import pytest
from support.commands import Running, call, refused
from support.fleets import decisions, echo, open_fleet, scripted, start
from support.unsure import QUESTION, route, two_desks, two_threads

from fleet import App, DialogAgent, Message
from fleet.errors import ConfigError
from fleet.settings import Settings
from fleet.web.grants import Grant, Issuer, Start
from fleet.web.serve import address_of, listening

SECRET = "a-secret-of-more-than-32-bytes-for-tests-alone"
ISSUER = Issuer(Settings(token_secret=SECRET))
OPERATOR = Grant("op", "ops", operator=True)


class Client:
    """Asks one API as the holder of a grant."""

    def __init__(self, session, url):
        self._session, self._url = session, url

    async def __call__(self, method, path, body=None, *, grant=OPERATOR, token=None, raw=None):
        headers = {}
        if token or grant:
            headers["Authorization"] = f"Bearer {token or ISSUER.sign(grant, 60)}"
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        async with self._session.request(method, self._url + path, data=data, headers=headers) as said:
            self.headers = said.headers
            return said.status, json.loads(await said.text())


def two(**options):
    return App(name="two", agents=[DialogAgent(role="helper"), DialogAgent(role="billing")], **options)


@asynccontextmanager
async def served(home, app=None, worker=echo, router=lambda request: start(), **settings):
    async with (
        open_fleet(home, app or two(), models=scripted(router, worker), **settings) as fleet,
        listening(fleet, ISSUER, "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
    ):
        yield fleet, Client(session, url)


async def test_a_message_is_taken_and_its_decision_told(tmp_path):
    async with served(tmp_path / "home") as (fleet, ask):
        ana = Grant("g", "ana")
        assert await ask("POST", "/v1/messages", {"text": "hi", "id": "m-1"}, grant=ana) == (
            202, {"message_id": "m-1", "new": True},
        )  # fmt: skip
        assert (await ask("POST", "/v1/messages", {"text": "hi", "id": "m-1"}, grant=ana))[1]["new"] is False
        status, told = await ask("POST", "/v1/messages", {"text": "more", "wait": True}, grant=ana)
        assert (status, told["reply"]) == (200, "You said: more")
        await fleet.idle()
        status, found = await ask("GET", "/v1/messages/m-1", grant=ana)
        assert (status, found["state"], found["reply"]) == (200, "answered", "You said: hi")
        assert (found["decision"]["by"], found["decision"]["agent"]) == ("model", "helper")
        assert set(found["decision"]) == {
            "by", "action", "agent", "thread_id", "thread_index", "name", "gate", "gate_reason", "fallback",
            "joined",
        }  # fmt: skip
        status, whole = await ask("GET", "/v1/messages/m-1")
        assert whole["decision"]["attempts"][0]["verdict"] == "ok"
        assert (await ask("GET", "/v1/messages/m-1", grant=Grant("h", "bo")))[0] == 404
        assert (await ask("GET", "/v1/messages/m-9"))[0] == 404


async def test_dispatches_are_made_listed_shown_called_off_and_tried_again(tmp_path):
    async def work(request):
        if "slow" in str(request.messages[-1]["content"]):
            await asyncio.Event().wait()
        return echo(request)

    async with served(tmp_path / "home", worker=work) as (fleet, ask):
        body = {"agent": "helper", "user": "my-user", "text": "hi", "metadata": {"user_id": "12345"}, "mode": "sync"}
        status, made = await ask("POST", "/v1/dispatches", body | {"id": "d-1"})
        assert (status, made["state"], made["reply"], made["metadata"], made["by"]) == (
            200, "success", "You said: hi", {"user_id": "12345"}, "grant op",
        )  # fmt: skip
        status, slow = await ask("POST", "/v1/dispatches", {"agent": "helper", "user": "my-user", "text": "slow"})
        assert status == 202
        _, listed = await ask("GET", "/v1/dispatches?user=my-user")
        assert [each["id"] for each in listed["dispatches"]] == [slow["id"], "d-1"]
        assert len((await ask("GET", "/v1/dispatches?limit=1"))[1]["dispatches"]) == 1
        assert (await ask("GET", "/v1/dispatches?state=failed"))[1]["dispatches"] == []
        assert (await ask("GET", "/v1/dispatches/d-1"))[1] == made
        assert (await ask("POST", f"/v1/dispatches/{slow['id']}/cancel", {"reason": "too slow"}))[0] == 200
        await fleet.idle()
        _, off = await ask("GET", f"/v1/dispatches/{slow['id']}")
        assert (off["state"], off["reason"]) == ("cancelled", "called off by grant op: too slow")
        assert (await ask("POST", f"/v1/dispatches/{slow['id']}/cancel"))[0] == 400
        status, again = await ask("POST", f"/v1/dispatches/{slow['id']}/retry")
        assert (status, again["id"], again["retry_of"]) == (202, f"{slow['id']}.r1", slow["id"])
        await ask("POST", f"/v1/dispatches/{again['id']}/cancel")
        await fleet.idle()
        assert (await ask("GET", "/v1/dispatches/d-9"))[0] == 404


async def test_a_token_with_two_dispatches_starts_them_on_connect_and_once(tmp_path):
    grant = Grant("g-1", "my-participant", False, (), (Start("helper", {"user_id": "12345"}), Start("billing")))
    async with served(tmp_path / "home", router=lambda request: 1 / 0) as (fleet, ask):
        for _ in range(2):
            status, said = await ask("POST", "/v1/connect", grant=grant)
            assert status == 200
            assert [each["id"] for each in said["dispatches"]] == ["g-1.0", "g-1.1"]
        await fleet.idle()
        found = decisions(fleet)
        assert sorted((each.agent, each.by) for each in found) == [("billing", "dispatch"), ("helper", "dispatch")]
        assert {each.agent: each.metadata for each in found}["helper"] == {"user_id": "12345"}
        _, listed = await ask("GET", "/v1/dispatches", grant=grant)
        assert {each["state"] for each in listed["dispatches"]} == {"success"}


async def test_a_grant_speaks_for_its_user_and_reaches_its_roles_alone(tmp_path):
    grant = Grant("g", "ana", False, ("billing",))
    async with served(tmp_path / "home", router=lambda request: start("billing")) as (fleet, ask):
        assert (await ask("POST", "/v1/messages", {"text": "hi", "user": "bo"}, grant=grant)) == (
            403, {"error": {"status": 403, "message": "this grant speaks for 'ana' alone"}},
        )  # fmt: skip
        status, said = await ask("POST", "/v1/dispatches", {"agent": "helper", "text": "hi"}, grant=grant)
        assert (status, said["error"]["message"]) == (403, "this grant may not dispatch 'helper'; it may billing")
        others = await fleet.dispatch("helper", user="ana", text="hi", id="d-1", mode="sync")
        mine = {"thread": others.thread_id, "text": "hi", "mode": "sync"}
        status, said = await ask("POST", "/v1/dispatches", mine, grant=grant)
        assert (said["state"], said["reason"]) == ("error", "the message may not go to 'helper'")
        await ask("POST", "/v1/messages", {"text": "hi", "wait": True}, grant=grant)
        assert (decisions(fleet)[-1].agents, decisions(fleet)[-1].candidates) == (("billing",), ())
        await fleet.dispatch("helper", user="bo", text="hi", id="d-2", mode="sync")
        for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
            assert (await ask(method, f"/v1/dispatches/d-2{path}", grant=grant))[0] == 404
        assert [each["id"] for each in (await ask("GET", "/v1/dispatches?user=bo", grant=grant))[1]["dispatches"]][
            1:
        ] == ["d-1"]


async def test_what_a_user_dispatches_counts_for_the_users_quota(tmp_path):
    async with served(tmp_path / "home", two(user_quota="1/h")) as (_, ask):
        body = {"agent": "helper", "user": "ana", "text": "hi", "mode": "sync"}
        states = [(await ask("POST", "/v1/dispatches", body, grant=grant))[1]["state"]
                  for grant in (OPERATOR, Grant("g", "ana"), Grant("g", "ana"), OPERATOR)]  # fmt: skip
        assert states == ["success", "success", "error", "success"]


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "a grant is needed: Authorization: Bearer TOKEN"),
        ("nonsense", "the token is not one of ours"),
        (Issuer(Settings(token_secret=SECRET, token_audience="x")).sign(OPERATOR, 86_400), "somebody else's audience"),
    ],
)
async def test_without_a_good_token_nothing_is_told(tmp_path, token, words):
    async with served(tmp_path / "home") as (_, ask):
        for method, path in (("GET", "/v1/dispatches"), ("POST", "/v1/messages"), ("GET", "/v1/messages/m"),
                             ("POST", "/v1/connect"), ("GET", "/v1/nothing")):  # fmt: skip
            status, said = await ask(method, path, grant=None, token=token)
            assert status == 401
            assert words in said["error"]["message"]
            assert ask.headers["WWW-Authenticate"] == "Bearer"
        status, said = await ask("GET", "/v1/health", grant=None)
        assert (status, said["status"], said["app"], said["inbox"]) == (200, "ok", "two", 0)


async def test_a_workflow_by_http(tmp_path):
    async with served(tmp_path / "home") as (fleet, ask):
        body = {"agents": ["helper", "billing"], "user": "ana", "text": "hi", "mode": "workflow", "id": "w-1"}
        status, made = await ask("POST", "/v1/dispatches", body)
        assert (status, made["workflow"]) == (202, ["helper", "billing"])
        await fleet.idle()
        _, done = await ask("GET", "/v1/dispatches/w-1")
        assert (done["state"], done["reply"]) == ("success", "You said: You said: hi")
        assert [(each["agent"], each["state"]) for each in done["steps"]] == [
            ("helper", "success"), ("billing", "success"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "raw", "why"),
    [
        ("/v1/messages", b"{", "the body is not JSON in UTF-8; nothing was sent"),
        ("/v1/messages", b"\xff", "the body is not JSON in UTF-8; nothing was sent"),
        ("/v1/messages", b"[]", "the body is a JSON object; nothing was sent"),
        ("/v1/messages", b"{}", "the message is empty; nothing was sent"),
        ("/v1/messages", b'{"txt": "hi"}', "there is no field 'txt'; there are channel, "),
        ("/v1/messages", b'{"text": 7}', "text is a string; nothing was sent"),
        ("/v1/messages", b'{"text": "hi", "wait": 1}', "wait is true or false; nothing was sent"),
        ("/v1/messages", b'{"text": "hi", "metadata": []}', "metadata is a JSON object; nothing was sent"),
        ("/v1/messages", b'{"text": "a\\ud800"}', "the message is not valid Unicode text; nothing was sent"),
        ("/v1/messages", b'{"text": "hi", "id": "a\\nb"}', "a message id is 1 to 128 printable characters"),
        ("/v1/dispatches", b'{"agent": "nobody"}', "no agent 'nobody' is declared; there are helper, billing"),
        ("/v1/dispatches", b'{"agent": "helper", "mode": "later"}', "mode is queue, sync, handoff, workflow or ask"),
        ("/v1/dispatches", b'{"agents": "helper"}', "agents is a list of roles, in the place of agent;"),
        ("/v1/dispatches", b'{"agents": ["helper", "billing"]}', "several agents are for a workflow, mode workflow"),
        ("/v1/dispatches", b"{}", "a dispatch needs an agent, or a thread; nothing was sent"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_and_nothing_written(tmp_path, path, raw, why):
    async with served(tmp_path / "home") as (fleet, ask):
        before = fleet.ledger.head()
        status, said = await ask("POST", path, raw=raw)
        assert (status, fleet.ledger.head()) == (400, before)
        assert why in said["error"]["message"]


async def test_ways_that_are_not_there_and_bodies_that_are_too_large(tmp_path):
    async with served(tmp_path / "home") as (_, ask):
        assert (await ask("GET", "/v1/nothing"))[0] == 404
        assert (await ask("DELETE", "/v1/messages"))[0] == 405
        assert ask.headers["Allow"] == "POST"
        status, said = await ask("POST", "/v1/messages", {"text": "x" * 70_000})
        assert (status, "at most 65536 are accepted" in said["error"]["message"]) == (400, True)
        assert (await ask("POST", "/v1/messages", raw=b" " * 600_000))[0] == 413
        assert (await ask("GET", "/v1/dispatches?limit=x"))[0] == 400


async def test_a_full_inbox_is_429_with_when_to_try_again(tmp_path):
    held = asyncio.Event()

    async def route(request):
        await held.wait()
        return start()

    async with served(tmp_path / "home", router=route, inbox_limit=2) as (fleet, ask):
        for number in range(2):
            await fleet.accept(Message("ana", f"hi {number}"))
        for path, body in (("/v1/messages", {"text": "hi"}), ("/v1/dispatches", {"agent": "helper"})):
            status, said = await ask("POST", path, body)
            assert status == 429
            assert int(ask.headers["Retry-After"]) >= 1
            assert said["error"]["message"].startswith("the inbox is full: 2 messages wait")
        held.set()
        await fleet.idle()
        assert (await ask("POST", "/v1/messages", {"text": "hi"}))[0] == 202


async def test_who_waits_when_the_fleet_stops_is_told_to_try_again(tmp_path):
    async def never(request):
        await asyncio.Event().wait()

    async with served(tmp_path / "home", worker=never, drain_s=0.05) as (fleet, ask):
        waiting = asyncio.create_task(ask("POST", "/v1/messages", {"text": "hi", "wait": True}))
        while not fleet.ledger.pending_count("turns"):
            await asyncio.sleep(0.01)
        fleet.stop()
        status, said = await waiting
        assert (status, said["error"]["message"]) == (503, "the fleet was stopped before the reply")
        assert ask.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("a.b:1", ("a.b", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(text, address):
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["8080", "", "host:", "host:http", "host:70000"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="an address is HOST:PORT"):
        address_of(text)


async def test_an_address_that_is_taken_is_refused_in_one_line(tmp_path):
    async with open_fleet(tmp_path / "home", two()) as fleet, listening(fleet, ISSUER, "127.0.0.1", 0) as url:
        with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1:"):
            async with listening(fleet, ISSUER, "127.0.0.1", int(url.rpartition(":")[2])):
                pass


def test_a_worker_serves_the_api_beside_its_work(tmp_path):
    home = tmp_path / "home"
    assert "tokens need FLEET_TOKEN_SECRET" in refused(call("worker", "--home", home, "--http", ":0"))
    assert not home.exists()
    token = call("token", "create", "--user", "ana", FLEET_TOKEN_SECRET=SECRET).stdout.strip()
    with Running("worker", "--home", home, "--http", ":0", FLEET_TOKEN_SECRET=SECRET) as worker:
        url = worker.read_until("HTTP API on", err=True).split(" on ")[1].strip()

        async def talk():
            async with aiohttp.ClientSession() as session:
                ask = Client(session, url)
                return await ask("POST", "/v1/messages", {"text": "What can you do?", "wait": True}, token=token)

        status, said = asyncio.run(talk())
        assert (status, bool(said["reply"])) == (200, True)
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    why = json.loads(call("why", "--home", home, "--json", said["message_id"]).stdout)
    assert (why["user"], why["state"]) == ("ana", "answered")


async def test_a_client_that_waits_is_given_the_question_and_may_answer_it(tmp_path):
    desks = {"app": two_desks(), "router": route, "ask_below": 0.7}
    ana = Grant("g", "ana")
    async with served(tmp_path / "home", **desks) as (fleet, ask):
        await two_threads(fleet)
        body = {"text": "unclear", "id": "m", "wait": True}
        assert (await ask("POST", "/v1/messages", body, grant=ana))[1]["reply"] == QUESTION
        _, told = await ask("GET", "/v1/messages/m", grant=ana)
        assert (told["state"], told["decision"], len(told["asked"]["choices"])) == ("asked", None, 4)
        body = {"text": "2", "id": "a", "wait": True}
        assert (await ask("POST", "/v1/messages", body, grant=ana))[1]["reply"] == "You said: unclear"
        _, told = await ask("GET", "/v1/messages/a", grant=ana)
        assert (told["state"], told["decision"]["action"]) == ("answer", "answer")
        status, made = await ask("POST", "/v1/dispatches", {"text": "Call", "mode": "ask_user", "id": "d"}, grant=ana)
        assert (status, made["state"]) == (202, "requested")
        limited = Grant("h", "ana", roles=("helper",))
        body = {"text": "Hi", "mode": "ask_user", "agent": "billing"}
        status, said = await ask("POST", "/v1/dispatches", body, grant=limited)
        assert (status, said["error"]["message"]) == (403, "this grant may not dispatch 'billing'; it may helper")


async def test_the_load_is_told_to_operators_and_the_one_figure_to_everybody(tmp_path):
    async with served(tmp_path / "home", concurrency=3) as (_, ask):
        status, load = await ask("GET", "/v1/load")
        assert (status, load["load"], load["turns_most"], load["queues"]["inbox"]) == (
            200, 0.0, 3, {"waiting": 0, "oldest_us": 0},
        )  # fmt: skip
        assert set(load["agents"]) == {"helper", "billing"}
        status, said = await ask("GET", "/v1/load", grant=Grant("g", "ana"))
        assert (status, said["error"]["message"]) == (403, "the load is for operators; this grant speaks for one user")
        assert (await ask("GET", "/v1/load", grant=None))[0] == 401
        assert (await ask("GET", "/v1/health", grant=None))[1]["load"] == 0.0

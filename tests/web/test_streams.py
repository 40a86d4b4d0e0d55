"""Replies as server-sent events, over a real socket and read by a real client, from Claude on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import aiohttp
import pytest
from support.claude import KEY
from support.commands import Running
from support.fleets import check_exactly_once, events_of, helper_app, scripted, start
from support.messages_server import MessagesServer, Reply, text, tool_use
from support.unsure import QUESTION, route, two_desks, two_threads

from fleet import DispatchAction, DispatchResult, Fleet, Settings, tool
from fleet.ledger.events import TurnEnded
from fleet.runtime.home import Home
from fleet.runtime.takeover import reply, takeover
from fleet.web.grants import Grant, Issuer
from fleet.web.serve import listening

SECRET = "a-secret-of-more-than-32-bytes-for-tests-alone"
ISSUER = Issuer(Settings(token_secret=SECRET))
ANA, BO, OPERATOR = Grant("g", "ana"), Grant("h", "bo"), Grant("op", "ops", operator=True)
WORDS = "Friday at ten, as far as I can see."


@tool(effect="read")
def look_up(topic: str) -> str:
    """Look something up."""
    return f"known about {topic}"


class Client:
    """Reads streams of events as they come."""

    def __init__(self, session, url):
        self._session, self._url = session, url

    @asynccontextmanager
    async def __call__(self, method, path, body=None, grant=ANA):
        headers = {"Authorization": f"Bearer {ISSUER.sign(grant, 60)}"}
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(method, self._url + path, data=data, headers=headers) as said:
            yield said

    async def stream(self, body, grant=ANA):
        async with self("POST", "/v1/messages", {**body, "stream": True}, grant) as said:
            assert (said.status, said.content_type) == (200, "text/event-stream")
            return [event async for event in events(said)]


async def events(said):
    """The events of an answer: (name, data)."""
    name = ""
    async for line in said.content:
        match line.decode().rstrip("\n").partition(": "):
            case ("event", _, word):
                name = word
            case ("data", _, body):
                yield name, json.loads(body)


@asynccontextmanager
async def served(home, app=None, router=lambda request: start(), **settings):
    async with MessagesServer() as server:
        given = Settings(
            home=home, router_model="test:router", worker_model="anthropic:claude-test", anthropic_api_key=KEY,
            anthropic_base_url=server.url, model_retries=0, **settings,
        )  # fmt: skip
        async with (
            Fleet(app or helper_app(), given, models=scripted(router)) as fleet,
            listening(fleet, ISSUER, "127.0.0.1", 0) as url,
            aiohttp.ClientSession() as session,
        ):
            yield fleet, server, Client(session, url)


async def test_a_reply_comes_in_pieces_and_in_the_end_as_it_is_on_record(tmp_path):
    async with served(tmp_path) as (fleet, server, client):
        server.script(text(WORDS))
        got = await client.stream({"text": "When?", "id": "m-1"})
        (end,) = (each.event for each in events_of(fleet, TurnEnded))
        assert got[0] == ("accepted", {"message_id": "m-1", "new": True})
        assert [(name, data["at"], data["text"]) for name, data in got[1:-1]] == [
            ("text", 0, "Friday at te"), ("text", 12, "n, as far as"), ("text", 24, " I can see."),
        ]  # fmt: skip
        assert {data["reply_id"] for _, data in got[1:]} == {end.reply_id}
        record = {"message_id": "m-1", "state": "answered", "result": "success", "reply": WORDS}
        assert got[-1] == ("reply", {**record, "reply_id": end.reply_id})
        assert server.requests[-1].json["stream"] is True
        again = await client.stream({"text": "When?", "id": "m-1"})  # answered before: the record alone
        assert [name for name, _ in again] == ["accepted", "reply"]
        assert again[-1] == got[-1]
        async with client("POST", "/v1/messages", {"text": "And now?", "wait": True}) as said:
            assert (await said.json())["reply"] == "Done."
        assert "stream" not in server.requests[-1].json  # nobody wants pieces


async def test_each_piece_is_sent_as_it_comes_and_a_lost_client_takes_it_up_again(tmp_path):
    go_on = asyncio.Event()
    async with served(tmp_path) as (fleet, server, client):
        server.script(text(WORDS, go_on=go_on))
        async with client("POST", "/v1/messages", {"text": "When?", "id": "m-1", "stream": True}) as said:
            coming = events(said)
            assert (await anext(coming))[0] == "accepted"
            name, first = await anext(coming)
            assert (name, first["at"], first["text"]) == ("text", 0, "Friday at te")
            async with client("GET", "/v1/messages/m-1/stream") as other:
                assert await anext(events(other)) == (name, first)
        async with client("GET", "/v1/messages/m-1/stream") as said:  # the first two are gone
            go_on.set()
            got = [event async for event in events(said)]
        shown = ""
        for name, data in got:
            if name == "text":
                shown = shown[: data["at"]] + data["text"]
        assert got[-1][1]["reply"] == shown == WORDS
        await fleet.idle()


async def test_what_is_taken_back_is_a_reset(tmp_path):
    async with served(tmp_path, helper_app(tools=[look_up])) as (_, server, client):
        call = tool_use("look_up", {"topic": "Friday"}).content[0]
        server.script(Reply(content=[{"type": "text", "text": "Let me look."}, call]), text("It is free."))
        got = await client.stream({"text": "When?"})
        assert [name for name, _ in got] == ["accepted", "text", "reset", "text", "reply"]
        assert [data["text"] for name, data in got if name == "text"] == ["Let me look.", "It is free."]
        server.script(text(WORDS, cut="middle"))
        got = await client.stream({"text": "When?"})
        assert [name for name, _ in got][-2:] == ["reset", "reply"]
        assert (got[-1][1]["state"], got[-1][1]["result"]) == ("failed", "failed")


async def test_a_question_ends_the_stream_and_its_answer_gets_the_reply_in_pieces(tmp_path):
    async with served(tmp_path, two_desks(), route, ask_below=0.7) as (fleet, server, client):
        await two_threads(fleet)
        got = await client.stream({"text": "unclear", "id": "m"})
        assert [name for name, _ in got] == ["accepted", "reply"]
        assert (got[-1][1]["state"], got[-1][1]["reply"]) == ("asked", QUESTION)
        server.script(text(WORDS))
        got = await client.stream({"text": "2", "id": "a"})
        assert [name for name, _ in got] == ["accepted", "text", "text", "text", "reply"]
        assert (got[-1][1]["message_id"], got[-1][1]["state"], got[-1][1]["reply"]) == ("a", "answered", WORDS)


async def test_a_takeover_takes_it_back_and_the_stream_waits_for_the_person(tmp_path):
    async with served(tmp_path) as (fleet, server, client):
        server.script(text(WORDS, go_on=asyncio.Event()))
        async with client("POST", "/v1/messages", {"text": "When?", "id": "m-1", "stream": True}) as said:
            coming = events(said)
            assert [(await anext(coming))[0] for _ in range(2)] == ["accepted", "text"]
            async with client("GET", "/v1/messages/m-1") as told:
                thread_id = (await told.json())["decision"]["thread_id"]
            await asyncio.to_thread(takeover, fleet.ledger, thread_id, by="eva")
            assert (await anext(coming))[0] == "reset"
            await asyncio.to_thread(reply, fleet.ledger, thread_id, "On Friday, I am told.", by="eva")
            name, last = await anext(coming)
            assert (name, last["reply"]) == ("reply", "On Friday, I am told.")
            assert [event async for event in coming] == []


async def test_who_may_not_and_what_cannot_be_is_refused_as_everywhere(tmp_path):
    app = helper_app(gate=lambda message: DispatchResult("", DispatchAction.DROP, reason="an advertisement"))
    async with served(tmp_path, app) as (_, _server, client):
        got = await client.stream({"text": "Buy this", "id": "m-1"})
        assert [name for name, _ in got] == ["accepted", "reply"]
        assert (got[-1][1]["state"], got[-1][1]["reply"], got[-1][1]["reply_id"]) == ("dropped", "", "")
        for path, grant in (("/v1/messages/m-1/stream", BO), ("/v1/messages/m-9/stream", OPERATOR)):
            async with client("GET", path, grant=grant) as said:
                assert said.status == 404
                assert "there is no message" in (await said.json())["error"]["message"]
        async with client("GET", "/v1/messages/m-1/stream", grant=OPERATOR) as said:
            assert [name async for name, _ in events(said)] == ["reply"]
        async with client("POST", "/v1/messages", {"text": "hi", "stream": True, "wait": True}) as said:
            assert said.status == 400
            assert (await said.json())["error"]["message"] == (
                "a reply is waited for or streamed, not both; nothing was sent"
            )
        async with client("POST", "/v1/messages", {"text": "hi", "stream": "yes"}) as said:
            assert (await said.json())["error"]["message"] == "stream is true or false; nothing was sent"


async def test_a_worker_that_stops_says_so_and_keeps_the_message(tmp_path):
    async with served(tmp_path, drain_s=0.01) as (fleet, server, client):
        server.script(text(WORDS, go_on=asyncio.Event()))
        async with client("POST", "/v1/messages", {"text": "When?", "id": "m-1", "stream": True}) as said:
            coming = events(said)
            assert [(await anext(coming))[0] for _ in range(2)] == ["accepted", "text"]
            fleet.stop()
            assert [event async for event in coming][-1] == (
                "stopped", {"message": "the fleet was stopped before the reply"},
            )  # fmt: skip
    async with served(tmp_path) as (fleet, server, client), client("GET", "/v1/messages/m-1/stream") as said:
        assert [event async for event in events(said)][-1][1]["reply"] == "Done."


async def test_a_worker_killed_in_the_middle_breaks_it_off_and_the_next_one_goes_on(tmp_path):
    async with MessagesServer() as server, aiohttp.ClientSession() as session:
        server.script(text(WORDS, go_on=asyncio.Event()))
        given = {
            "FLEET_TOKEN_SECRET": SECRET, "FLEET_ROUTER_MODEL": "offline:router", "ANTHROPIC_API_KEY": KEY,
            "FLEET_WORKER_MODEL": "anthropic:claude-test", "ANTHROPIC_BASE_URL": server.url,
        }  # fmt: skip
        command = ("worker", "--home", tmp_path, "--http", ":0")
        with Running(*command, **given) as worker:
            at = (await asyncio.to_thread(worker.read_until, "HTTP API on ", err=True)).split()[-1]
            body = {"text": "When is the next payday?", "id": "m-1", "stream": True}
            async with Client(session, at)("POST", "/v1/messages", body) as said:
                coming = events(said)
                assert [(await anext(coming))[0] for _ in range(2)] == ["accepted", "text"]
                worker.signal(signal.SIGKILL)
                with pytest.raises(aiohttp.ClientError):
                    await anext(coming)
        with Running(*command, **given) as worker:
            at = (await asyncio.to_thread(worker.read_until, "HTTP API on ", err=True)).split()[-1]
            async with Client(session, at)("GET", "/v1/messages/m-1/stream") as said:
                got = [event async for event in events(said)]
            assert (got[-1][0], got[-1][1]["reply"]) == ("reply", "Done.")
            worker.signal(signal.SIGTERM)
            assert await asyncio.to_thread(worker.end) == 0
    with Home(tmp_path).read_ledger() as ledger:
        check_exactly_once(list(ledger.read()))
        assert WORDS[:12] not in str(list(ledger.read()))  # what was told is nowhere on record

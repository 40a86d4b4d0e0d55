"""Replies while they are written: told to who listens, taken back when they become others, never on record."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from support.claude import KEY
from support.fleets import echo, events_of, helper_app, last_words, open_fleet, scripted, start, use
from support.messages_server import MessagesServer, Reply, error, text, tool_use

from fleet import App, DialogAgent, Fleet, Message, Settings, SupervisedAgent, tool
from fleet.errors import ConfigError
from fleet.ledger.events import TurnEnded, TurnSetAside
from fleet.llm.scripted import ScriptedModel
from fleet.runtime.takeover import release, takeover
from fleet.workers.partials import Partial


class Heard:
    """A listener that keeps the pieces, and what somebody would have on a screen."""

    def __init__(self):
        self.pieces, self.shown, self.more = [], {}, asyncio.Event()

    def __call__(self, partial):
        self.pieces.append(partial)
        before = self.shown.get(partial.reply_id, "") if partial.at else ""
        assert len(before) == partial.at, "a piece is missing"
        self.shown[partial.reply_id] = before + partial.text
        self.more.set()

    async def until(self, done):
        while not done(self):
            self.more.clear()
            await self.more.wait()

    @property
    def texts(self):
        return [each.text for each in self.pieces]


@tool(effect="read")
def look_up(topic: str) -> str:
    """Look something up."""
    return f"known about {topic}"


@asynccontextmanager
async def claude(home, app=None, **settings):
    """A fleet whose worker is Claude on loopback, through the real SDK; its router is a script."""
    async with MessagesServer() as server:
        given = Settings(
            home=home, router_model="test:router", worker_model="anthropic:claude-test", anthropic_api_key=KEY,
            anthropic_base_url=server.url, model_retries=0, **settings,
        )  # fmt: skip
        async with Fleet(app or helper_app(), given, models=scripted(lambda request: start())) as fleet:
            yield fleet, server


def ended(fleet):
    return [each.event for each in events_of(fleet, TurnEnded)]


async def test_a_reply_is_told_piece_by_piece_and_is_then_on_record_as_told(tmp_path):
    heard = Heard()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(heard)
        server.script(text("Friday at ten, as far as I can see."))
        sent = await fleet.accept(Message("ana", "When?"))
        assert await fleet.reply_to(sent.message_id) == "Friday at ten, as far as I can see."
        (end,) = ended(fleet)
        assert heard.shown == {end.reply_id: end.reply}
        assert heard.texts == ["Friday at te", "n, as far as", " I can see."]
        first = heard.pieces[0]
        assert (first.user, first.thread_id, first.agent, first.message_ids, first.at) == (
            "ana", end.thread_id, "helper", (sent.message_id,), 0,
        )  # fmt: skip
        assert server.requests[-1].json["stream"] is True
        assert not [each for each in fleet.ledger.read() if "partial" in each.event.TYPE]


async def test_where_nobody_listens_the_model_is_asked_without_a_stream(tmp_path):
    heard = Heard()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(heard, "bo")
        fleet.partials.listen(heard)()  # and gone again
        await fleet.reply_to((await fleet.accept(Message("ana", "When?"))).message_id)
        assert [seen.json.get("stream", False) for seen in server.requests] == [False]
        await fleet.reply_to((await fleet.accept(Message("bo", "When?"))).message_id)
        assert [seen.json.get("stream", False) for seen in server.requests] == [False, True]
        assert {each.user for each in heard.pieces} == {"bo"}


async def test_offline_and_scripted_models_are_told_word_by_word(tmp_path):
    heard = Heard()
    async with open_fleet(tmp_path, models=scripted(lambda request: start())) as fleet:
        fleet.partials.listen(heard)
        await fleet.reply_to((await fleet.accept(Message("ana", "hi there"))).message_id)
        assert heard.texts == ["You ", "said: ", "hi ", "there"]


async def test_words_before_a_tool_call_are_taken_back(tmp_path):
    heard = Heard()
    async with claude(tmp_path, helper_app(tools=[look_up])) as (fleet, server):
        fleet.partials.listen(heard)
        call = tool_use("look_up", {"topic": "Friday"}).content[0]
        server.script(Reply(content=[{"type": "text", "text": "Let me look."}, call]), text("It is free."))
        await fleet.reply_to((await fleet.accept(Message("ana", "When?"))).message_id)
        assert heard.texts == ["Let me look.", "", "It is free."]
        assert [each.at for each in heard.pieces] == [0, 0, 0]
        assert len({each.reply_id for each in heard.pieces}) == 1


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (text("I would rather not say what I think of it.", stop_reason="refusal"), "blocked"),
        (text("Friday at ten, as far as I can see, or on any other day.", cut="middle"), "failed"),
        (text("Friday at ten", error=("overloaded_error", "busy")), "failed"),
        (text("Friday at", stop_reason="max_tokens"), "failed"),
    ],
)
async def test_what_was_told_of_an_answer_that_fails_is_taken_back_before_the_reply(tmp_path, reply, result):
    heard = Heard()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(heard)
        server.script(reply)
        said = await fleet.reply_to((await fleet.accept(Message("ana", "When?"))).message_id)
        await fleet.idle()
        assert ended(fleet)[0].result == result
        assert heard.texts[0]
        assert heard.texts[-1] == ""
        assert set(heard.shown.values()) == {""}
        assert said


async def test_a_takeover_stops_it_and_a_release_begins_anew(tmp_path):
    heard = Heard()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(heard)
        server.script(text("Friday at ten, as far as I can see.", go_on=asyncio.Event()), text("On Friday."))
        await fleet.accept(Message("ana", "When?"))
        await heard.until(lambda it: it.texts == ["Friday at te"])
        thread = heard.pieces[0].thread_id
        await asyncio.to_thread(takeover, fleet.ledger, thread, by="eva")
        await heard.until(lambda it: it.texts[1:] == [""])
        await fleet.idle()
        assert events_of(fleet, TurnSetAside)
        assert len(heard.pieces) == 2
        await asyncio.to_thread(release, fleet.ledger, thread, by="eva")
        await heard.until(lambda it: it.texts[2:] == ["On Friday."])


async def test_a_failed_attempt_is_taken_back_and_the_next_one_told_from_its_beginning(tmp_path):
    heard = Heard()
    tries = []

    class Breaking(ScriptedModel):
        async def stream(self, request, tell):
            tell("Fri")
            tries.append(request)
            if len(tries) == 1:
                raise RuntimeError("a bug of its own")
            tell("day")
            return self._answer("Friday")

    models = scripted(lambda request: start(), Breaking(echo, name="test:worker"))
    async with open_fleet(tmp_path, models=models, retry_backoff_s=0.01) as fleet:
        fleet.partials.listen(heard)
        await fleet.reply_to((await fleet.accept(Message("ana", "When?"))).message_id)
        assert heard.texts == ["Fri", "", "Fri", "day"]


async def test_a_drain_takes_back_what_the_next_start_tells_anew(tmp_path):
    heard, stuck = Heard(), asyncio.Event()
    async with claude(tmp_path, drain_s=0.01) as (fleet, server):
        fleet.partials.listen(heard)
        server.script(text("Friday at ten, as far as I can see.", go_on=stuck))
        await fleet.accept(Message("ana", "When?", id="m-1"))
        await heard.until(lambda it: it.texts)
    assert heard.texts == ["Friday at te", ""]
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(heard)
        assert await fleet.reply_to("m-1") == "Done."
    assert heard.texts[2:] == ["Done."]
    assert len(heard.shown) == 1  # it is the same reply


async def test_what_goes_to_no_user_is_told_to_nobody(tmp_path):
    heard = Heard()

    def work(request):
        if "lead" in request.system or "Ask" in str(last_words(request)):
            done = isinstance(request.messages[-1]["content"], list)
            return "All done." if done else [use("subagent_dispatch", agent="writer", task="Write", context="")]
        return "Written by the child."

    app = App(
        name="several",
        agents=[
            DialogAgent("lead", description="Leads", may_dispatch=["writer"]),
            DialogAgent("writer", description="Writes"),
            SupervisedAgent("watcher", description="Watches"),
        ],
        on_result=lambda text: None,
    )
    async with open_fleet(tmp_path, app, models=scripted(lambda request: start("lead"), work)) as fleet:
        fleet.partials.listen(heard)
        await fleet.reply_to((await fleet.accept(Message("ana", "Ask the writer"))).message_id)
        await fleet.dispatch("watcher", user="ana", text="Watch", mode="sync")
        await fleet.dispatch(["writer", "writer"], user="ana", text="First", mode="workflow", id="w")
        await fleet.idle()
        told = [each for each in ended(fleet) if each.deliver and each.reply_id in heard.shown]
        assert [each.reply for each in told] == ["All done.", "Written by the child."]
        assert {each.reply_id for each in told} == set(heard.shown)
        assert len([each for each in ended(fleet) if each.reply == "Written by the child."]) == 4


async def test_who_comes_later_is_told_what_there_is_so_far(tmp_path):
    first, later, go_on = Heard(), Heard(), asyncio.Event()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(first)
        server.script(text("Friday at ten, as far as I can see.", go_on=go_on))
        sent = await fleet.accept(Message("ana", "When?"))
        await first.until(lambda it: it.texts)
        fleet.partials.listen(later, "ana")
        fleet.partials.listen(lambda partial: pytest.fail("bo is told of ana's"), "bo")
        assert later.texts == ["Friday at te"]
        go_on.set()
        await fleet.reply_to(sent.message_id)
        assert later.shown == first.shown


async def test_a_listener_that_raises_costs_nobody_anything(tmp_path, caplog):
    heard = Heard()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(lambda partial: 1 / 0)
        fleet.partials.listen(heard)
        server.script(text("Friday at ten."))
        assert await fleet.reply_to((await fleet.accept(Message("ana", "When?"))).message_id) == "Friday at ten."
        assert heard.shown == {ended(fleet)[0].reply_id: "Friday at ten."}
    assert "partial.refused" in caplog.text


async def test_a_channel_shows_the_reply_as_it_grows_and_then_gets_it_whole(tmp_path):
    calls, slow, go_on = [], asyncio.Event(), asyncio.Event()

    async def send_partial(partial: Partial):
        calls.append((partial.at, partial.text))
        await slow.wait()

    def send(reply_id, text):
        calls.append((reply_id, text))

    agent = DialogAgent("helper", send, send_partial, description="Helps")
    async with claude(tmp_path, App(name="one", agents=[agent])) as (fleet, server):
        words = "Friday at ten, as far as I can see from here."
        server.script(text(words, go_on=go_on))
        sent = await fleet.accept(Message("ana", "When?"))
        while not calls:
            await asyncio.sleep(0)
        go_on.set()  # the channel is slow: what comes meanwhile waits, and is overtaken by the reply
        await fleet.reply_to(sent.message_id)
        await fleet.idle()
        slow.set()
        (end,) = ended(fleet)
        assert calls == [(0, "Friday at te"), (end.reply_id, words)]


async def test_a_slow_channel_gets_what_came_meanwhile_as_one_piece_and_may_fail(tmp_path):
    calls, first, go_on = [], asyncio.Event(), asyncio.Event()

    async def send_partial(partial):
        calls.append((partial.at, partial.text))
        if not partial.at:
            await first.wait()
            raise ConnectionError("down")

    released = asyncio.Event()

    class Slow(ScriptedModel):
        async def stream(self, request, tell):
            for piece in ("one ", "two ", "three "):
                tell(piece)
                await asyncio.sleep(0)
            go_on.set()
            await released.wait()
            return self._answer("one two three")

    agent = DialogAgent("helper", None, send_partial, description="Helps")
    models = scripted(lambda request: start("helper"), Slow(echo, name="test:worker"))
    async with open_fleet(tmp_path, App(name="one", agents=[agent]), models=models) as fleet:
        await fleet.accept(Message("ana", "When?"))
        await go_on.wait()
        first.set()
        while len(calls) < 2:
            await asyncio.sleep(0)
        released.set()
        await fleet.idle()
        assert calls == [(0, "one "), (4, "two three ")]
        assert ended(fleet)[0].result == "success"


def test_a_channel_that_is_none_is_refused_where_it_is_declared():
    with pytest.raises(ConfigError, match="agent helper: send_partial must be a function, not str"):
        DialogAgent("helper", send_partial="print")


async def test_a_model_that_is_down_before_it_says_a_word_tells_nothing(tmp_path):
    heard = Heard()
    async with claude(tmp_path) as (fleet, server):
        fleet.partials.listen(heard)
        server.script(error(529))
        await fleet.reply_to((await fleet.accept(Message("ana", "When?"))).message_id)
        assert (ended(fleet)[0].result, heard.pieces) == ("failed", [])

"""What a real fleet asks of Claude, request by request: a prefix that stays, and turns that the API would take."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.claude import KEY
from support.fleets import start
from support.messages_server import MessagesServer, Reply, Seen, error, standard, text, thinking

from fleet import App, DialogAgent, Fleet, Message, MessageDispatcher, Policy, Settings, tool
from fleet.ledger.events import ModelAnswered, ToolReturned, TurnEnded
from fleet.llm.prices import PRICES

RAN: list[str] = []


@tool(effect="read")
def weather(day: str) -> str:
    """Say the weather of a day."""
    RAN.append(day)
    return f"sun on {day}"


@tool(effect="read")
def traffic(road: str) -> str:
    """Say how a road is."""
    RAN.append(road)
    return f"{road} is free"


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


def application() -> App:
    return App(
        name="claude",
        agents=[
            DialogAgent(role="guide", description="Knows weather and roads", tools=[weather, traffic]),
            DialogAgent(role="listener", description="Listens"),
        ],
    )


def fleet_on(home: Path, server: MessagesServer, **more: Any) -> Fleet:
    return Fleet(
        application(),
        Settings(home=home, anthropic_api_key=KEY, anthropic_base_url=server.url, model_retries=0, **more),
    )


def use(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def shown(request: Mapping[str, Any]) -> str:
    """What the newest message says."""
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else json.dumps(content)


def of_worker(server: MessagesServer) -> list[Any]:
    return [
        seen.json for seen in server.requests if "Incoming message:" not in str(seen.json["messages"][0]["content"])
    ]


def check_turns(messages: Sequence[Mapping[str, Any]]) -> None:
    """The API's own rules: roles alternate, every call is answered by the very next message, thinking comes first."""
    assert [each["role"] for each in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]
    for asked, answered in zip(messages[1::2], messages[2::2], strict=True):
        kinds = [block["type"] for block in asked["content"]]
        assert "thinking" not in kinds[1:]
        calls = [block["id"] for block in asked["content"] if block["type"] == "tool_use"]
        blocks = answered["content"] if isinstance(answered["content"], list) else []
        assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == calls


async def test_tools_and_system_are_the_same_bytes_for_every_user_message_and_start(tmp_path):
    async with MessagesServer() as server:
        for _ in range(2):
            async with fleet_on(tmp_path / "home", server) as fleet:
                for user in ("ana", "ben"):
                    for words in ("How is Friday?", f"and {user}'s Saturday"):
                        await fleet.accept(Message(user, words))
                await fleet.idle()
    prefixes: dict[bytes, set[bytes]] = defaultdict(set)
    counts: dict[bytes, int] = defaultdict(int)
    for seen in server.requests:
        system, prefix = _prefix(seen)
        prefixes[system].add(prefix)
        counts[system] += 1
    assert len(prefixes) == 2, "the router's, and that of the agent that answered"
    assert sorted(counts.values()) == [8, 8]
    for found in prefixes.values():
        assert len(found) == 1
        assert b"ana" not in b"".join(found).split()
    assert {len(seen.json.get("tools", ())) for seen in server.requests} == {0, 2}


def _prefix(seen: Seen) -> tuple[bytes, bytes]:
    """What comes before the messages in the order of the cache: the tools, then the system text with the one mark."""
    body = seen.json
    assert seen.raw.count(b'"cache_control"') == 1
    assert body["system"][-1]["cache_control"] == {"type": "ephemeral"}
    parts = [b"", b""]
    for index, (name, value) in enumerate((("tools", body.get("tools")), ("system", body["system"]))):
        if value is not None:
            parts[index] = f'"{name}":{json.dumps(value, ensure_ascii=False, separators=(",", ":"))}'.encode()
            assert parts[index] in seen.raw
    return parts[1], b"".join(parts)


async def test_calls_side_by_side_are_answered_together_and_thinking_goes_back_in_its_turn_alone(tmp_path):
    thought = thinking("They drive on Friday.", "c2lnbmVkLWJ5LWNsYXVkZQ==")
    calls = [thought, use("t1", "weather", day="Friday"), use("t2", "traffic", road="A7")]

    def answer(request: Mapping[str, Any]) -> Reply:
        if "Incoming message:" in shown(request):
            return standard(request)
        if "tool_result" in shown(request):
            return Reply(content=[thinking("Both are fine."), {"type": "text", "text": "Sun, and the A7 is free."}])
        return Reply(content=calls) if "Friday" in shown(request) else text("Gladly.")

    async with MessagesServer(answer) as server, fleet_on(tmp_path, server) as fleet:
        for words, reply in (("Can I drive on Friday?", "Sun, and the A7 is free."), ("Thanks", "Gladly.")):
            sent = await fleet.accept(Message("ana", words))
            assert await fleet.reply_to(sent.message_id) == reply
    assert RAN == ["Friday", "A7"]
    first, second, third = of_worker(server)
    for request in (first, second, third):
        check_turns(request["messages"])
    assert second["messages"][1]["content"] == calls, "signature and all, unchanged, before the calls"
    assert second["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "sun on Friday"},
        {"type": "tool_result", "tool_use_id": "t2", "content": "A7 is free"},
    ]
    assert second["messages"][0] == first["messages"][0], "thinking is taken back only after the same words"
    assert "thinking" not in json.dumps(third["messages"])
    assert third["messages"][1]["content"] == calls[1:]


@pytest.mark.parametrize(
    ("cut", "result", "reply", "reason"),
    [
        (Reply(content=[], stop_reason="refusal"), "blocked", "I cannot help with that.", "the model refused"),
        (
            Reply(content=[{"type": "text", "text": "I would rather not."}], stop_reason="refusal"),
            "blocked", "I would rather not.", "the model refused",
        ),
        (
            Reply(content=[{"type": "text", "text": "It will be sun"}], stop_reason="max_tokens"),
            "failed", "It will be sun", "the answer was cut off at max_tokens",
        ),
        (
            Reply(content=[thinking("Long"), use("t1", "weather", day="Fri")], stop_reason="max_tokens"),
            "failed", "I could not answer just now. Your message is kept; please try again in a moment.",
            "the answer was cut off at max_tokens",
        ),
        (
            Reply(content=[thinking("Only thought")], stop_reason="max_tokens"),
            "failed", "I could not answer just now. Your message is kept; please try again in a moment.",
            "the answer was cut off at max_tokens",
        ),
    ],
)  # fmt: skip
async def test_what_was_refused_or_cut_off_ends_the_turn_and_the_next_one_goes_on(tmp_path, cut, result, reply, reason):
    def answer(request: Mapping[str, Any]) -> Reply:
        if "Incoming message:" in shown(request):
            return standard(request)
        return cut if "Friday" in shown(request) else text("Here you are.")

    async with MessagesServer(answer) as server, fleet_on(tmp_path, server) as fleet:
        sent = await fleet.accept(Message("ana", "How is Friday?"))
        assert await fleet.reply_to(sent.message_id) == reply
        sent = await fleet.accept(Message("ana", "Once more"))
        assert await fleet.reply_to(sent.message_id) == "Here you are."
        ended = [stored.event for stored in fleet.ledger.read(types=(TurnEnded.TYPE,))]
        ran = [stored.event for stored in fleet.ledger.read(types=(ToolReturned.TYPE,))]
    assert [(each.result, each.reason) for each in ended] == [(result, reason), ("success", "")]
    assert (RAN, ran) == ([], []), "half a call is not made"
    _, after = of_worker(server)
    check_turns(after["messages"])


async def test_a_router_that_refuses_or_is_cut_off_has_no_word_in_it(tmp_path):
    cut_off = start("guide", "Friday")[:-8]
    replies = iter([Reply(content=[], stop_reason="refusal"), text(cut_off, stop_reason="max_tokens")])

    def answer(request: Mapping[str, Any]) -> Reply:
        first = request["messages"][0]["content"]
        return next(replies) if "Incoming message:" in str(first) else text("Here you are.")

    async with MessagesServer(answer) as server, fleet_on(tmp_path, server) as fleet:
        sent = await fleet.accept(Message("ana", "How is the weather on Friday?"))
        assert await fleet.reply_to(sent.message_id) == "Here you are."
        (decided,) = [stored.event for stored in fleet.ledger.read(types=("message.decided",))]
    assert decided.decision.fallback == "router"
    assert [each.stop_reason for each in decided.decision.attempts][:2] == ["refusal", "max_tokens"]


async def test_each_role_has_its_own_time_and_retries(tmp_path):
    """The router once and briefly, one agent with a retry, the other as the settings say."""
    asked: Counter[str] = Counter()

    def answer(request: Mapping[str, Any]) -> Reply:
        last = shown(request)
        if "Incoming message:" in last:
            who, role = "router", "listener" if '"listen, fail"' in last else "guide"
            if "busy" in last:
                asked[who] += 1
                return error(529, retry_after=0)
            if "slow" in last:
                asked[who] += 1
                return Reply(hang=True)
            return text(start(role, "A topic"))
        who = "guide" if request.get("tools") else "listener"
        asked[who] += 1
        return error(529, retry_after=0) if "fail" in last else text("Here you are.")

    app = App(
        name="claude",
        agents=[
            DialogAgent("guide", description="Knows weather", tools=[weather], policy=Policy(model_retries=1)),
            DialogAgent("listener", description="Listens", policy=Policy(model_timeout_s=30.0)),
        ],
        dispatcher=MessageDispatcher(policy=Policy(model_timeout_s=8.0, model_retries=0)),
    )
    async with MessagesServer(answer) as server:
        settings = Settings(
            home=tmp_path, anthropic_api_key=KEY, anthropic_base_url=server.url, model_retries=3, model_timeout_s=60.0
        )
        async with Fleet(app, settings) as fleet:
            for number, words in enumerate(("fail", "listen, fail", "slow weather", "busy weather")):
                await fleet.accept(Message(f"u{number}", words, f"m-{number}"))
                await fleet.reply_to(f"m-{number}")
                if number == 1:
                    assert asked == {"guide": 2, "listener": 4}
            reasons = [each.event.reason for each in fleet.ledger.read(types=(TurnEnded.TYPE,))]
            made = [each.event.decision for each in fleet.ledger.read(types=("message.decided",))]
    assert asked["router"] == 2, "never twice"
    assert reasons[0].endswith("1 retries included: try later")
    assert reasons[1].endswith("3 retries included: try later")
    assert [each.fallback for each in made] == ["", "", "router", "router"]
    assert "gave no answer within 8 s" in made[2].attempts[0].error
    assert "0 retries included" in made[3].attempts[0].error
    given = {
        (seen.json["system"][0]["text"][:40], seen.headers["x-stainless-read-timeout"]) for seen in server.requests
    }
    assert sorted(seconds for _, seconds in given) == ["30.0", "60.0", "8.0"]


async def test_a_call_costs_what_the_users_own_prices_say(tmp_path, monkeypatch):
    for model, price in list(PRICES.items()):
        monkeypatch.setitem(PRICES, model, price)  # what the file changes is undone after this
    file = tmp_path / "prices.toml"
    rows = '[models."claude-test"]\ninput = 1000000\noutput = 0\ncache_read = 0\n'
    await asyncio.to_thread(file.write_text, f'as_of = "2026-11-01"\n{rows}', "utf-8")
    monkeypatch.setitem(PRICES, "claude-test", PRICES["claude-haiku-4-5"])
    async with MessagesServer() as server:
        models = {"router_model": "anthropic:claude-test", "worker_model": "anthropic:claude-test"}
        async with fleet_on(tmp_path / "home", server, prices=str(file), **models) as fleet:
            sent = await fleet.accept(Message("ana", "Hello"))
            await fleet.reply_to(sent.message_id)
            (answered,) = [stored.event for stored in fleet.ledger.read(types=(ModelAnswered.TYPE,))]
    assert answered.input_tokens == 12
    assert answered.cost_usd == pytest.approx(12.0)

"""Replies leave in each user's order, until the channel takes them or the attempts run out."""

from __future__ import annotations

import asyncio

import pytest
from support.fleets import events_of, helper_app, open_fleet, scripted, start

from fleet import App, DialogAgent, Message, Reply, SupervisedAgent
from fleet.errors import ConfigError
from fleet.ledger.events import ReplyDelivered, ReplyFailed, TurnEnded
from fleet.runtime.outbox import check_channels

REPLY = Reply("rep_1", "ana", "thr_1", "job_1", "helper", "Friday then?", "need_input")


def channel(fn):
    return check_channels(helper_app(fn))["helper"]


def test_a_channel_is_given_what_its_parameters_name():
    calls = {}

    def keep(*args, **kwargs):
        calls["it"] = (args, kwargs)

    def positional(body, media=None):
        keep(body, media)

    def texts(text):
        keep(text)

    def user_and_text(user, text):
        keep(user, text)

    def text_and_user(text, user_id):
        keep(text, user_id)

    def whole(reply):
        keep(reply)

    def annotated(anything: Reply):
        keep(anything)

    def first_is_text(something):
        keep(something)

    def keywords(*, to, message, thread_id):
        keep(to, message, thread_id)

    def everything(reply_id, user, thread, job, agent, content, result, **more):
        keep(reply_id, user, thread, job, agent, content, result, more)

    def only_keywords(**kwargs):
        keep(**kwargs)

    def only_values(*args):
        keep(*args)

    text = REPLY.text
    for fn, expected in (
        (positional, (text, None)),
        (texts, (text,)),
        (user_and_text, ("ana", text)),
        (text_and_user, (text, "ana")),
        (whole, (REPLY,)),
        (annotated, (REPLY,)),
        (first_is_text, (text,)),
        (keywords, ("ana", text, "thr_1")),
        (only_values, (text,)),
    ):
        channel(fn)(REPLY)
        assert calls.pop("it") == (expected, {}), fn.__name__
    channel(everything)(REPLY)
    assert calls.pop("it")[0][:7] == ("rep_1", "ana", "thr_1", "job_1", "helper", text, "need_input")
    channel(only_keywords)(REPLY)
    assert calls.pop("it")[1]["text"] == text


def test_methods_and_callable_objects_are_channels_too():
    class Sender:
        def __init__(self):
            self.sent = []

        def send(self, user, text):
            self.sent.append((user, text))

        def __call__(self, text):
            self.sent.append(text)

    sender = Sender()
    channel(sender.send)(REPLY)
    channel(sender)(REPLY)
    assert sender.sent == [("ana", REPLY.text), REPLY.text]


def test_a_channel_that_asks_for_what_no_reply_has_is_refused_at_once():
    with pytest.raises(ConfigError, match="agent helper: send_message asks for 'subject', which a reply does not have"):
        channel(lambda text, subject: None)


async def test_a_refused_reply_is_tried_again_and_delivered(tmp_path):
    tries = []

    def send(text, reply_id):
        tries.append(reply_id)
        if len(tries) < 3:
            raise ConnectionError("down")

    async with open_fleet(tmp_path / "home", helper_app(send), delivery_backoff_s=0.001) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        (delivered,) = events_of(fleet, ReplyDelivered)
        assert delivered.event.attempts == 3
        assert fleet.ledger.pending_count("outbox") == 0
    assert len(set(tries)) == 1, "each try names the same reply"


async def test_a_reply_that_is_refused_for_good_is_set_aside_and_the_next_one_leaves(tmp_path):
    sent = []

    async def send(user, text):
        if "poison" in text:
            raise ValueError("secret detail")
        sent.append(text)

    settings = {"delivery_backoff_s": 0.001, "delivery_attempts": 2}
    async with open_fleet(tmp_path / "home", helper_app(send), **settings) as fleet:
        await fleet.accept(Message("ana", "poison"))
        await fleet.accept(Message("ana", "new water"))
        await fleet.idle()
        (failed,) = [each.event for each in events_of(fleet, ReplyFailed)]
        assert (failed.attempts, failed.error) == (2, "ValueError")
        assert fleet.ledger.pending_count("outbox") == 0
    assert sent == ["You said: new water"]


async def test_replies_of_one_user_leave_in_order_and_users_do_not_wait_for_each_other(tmp_path):
    sent, open_ana = [], asyncio.Event()

    async def send(user, text):
        if user == "ana":
            await open_ana.wait()
        sent.append((user, text))
        if user == "bo":
            open_ana.set()

    async with open_fleet(tmp_path / "home", helper_app(send)) as fleet:
        for n in range(3):
            accepted = await fleet.accept(Message("ana", f"new {n}"))
            await fleet.reply_to(accepted.message_id)
        await fleet.accept(Message("bo", "hi"))
        await fleet.idle()
    assert sent == [("bo", "You said: hi"), *(("ana", f"You said: new {n}") for n in range(3))]


async def test_an_undelivered_reply_leaves_after_the_next_start_under_the_same_id(tmp_path):
    tries = []

    async def hang(reply_id):
        tries.append(reply_id)
        await asyncio.Event().wait()

    async with open_fleet(tmp_path / "home", helper_app(hang), drain_s=0.05) as fleet:
        accepted = await fleet.accept(Message("ana", "hi"))
        await fleet.reply_to(accepted.message_id)
    async with open_fleet(tmp_path / "home", helper_app(lambda reply_id: tries.append(reply_id))) as fleet:
        await fleet.idle()
        assert len(events_of(fleet, ReplyDelivered)) == 1
    assert len(tries) == 2
    assert len(set(tries)) == 1


async def test_without_a_channel_a_reply_is_on_record_and_counts_as_delivered(tmp_path):
    async with open_fleet(tmp_path / "home", helper_app(None)) as fleet:
        await fleet.accept(Message("ana", "hi"))
        await fleet.idle()
        assert len(events_of(fleet, ReplyDelivered)) == 1


async def test_a_supervised_agent_tells_nobody(tmp_path):
    sent = []
    app = App(
        name="small",
        agents=[
            DialogAgent(role="helper", send_message=lambda text: sent.append(text)),
            SupervisedAgent(role="thinker"),
        ],
    )
    models = scripted(lambda request: start("thinker"))
    async with open_fleet(tmp_path / "home", app, models=models) as fleet:
        await fleet.accept(Message("ana", "think"))
        await fleet.idle()
        (ended,) = [each.event for each in events_of(fleet, TurnEnded)]
        assert (ended.reply, ended.deliver) == ("You said: think", False)
        assert fleet.ledger.pending_count("outbox") == 0
    assert sent == []

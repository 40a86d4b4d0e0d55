"""The mode ask_user of an explicit dispatch: nobody said where it goes, so its user says."""

from __future__ import annotations

import pytest
from support.fleets import digests, last_words, open_fleet, scripted
from support.unsure import decided, open_desks, questions, route, say, two_desks, two_threads, unsure

from fleet.audit.explain import explain
from fleet.errors import InputError
from fleet.runtime.dispatches import again, cancel_now, dispatches, find_dispatch


async def test_the_user_says_where_it_goes_however_sure_the_router_is(tmp_path):
    home = tmp_path / "home"
    async with open_desks(home, ask_below=0.0) as fleet:
        await two_threads(fleet)
        made = await fleet.dispatch(
            user="ana", text="Call back", mode="ask_user", metadata={"order": 7}, id="d", by="eva"
        )
        assert (made.state, made.agent, made.thread_id) == ("requested", "", "")
        await fleet.idle()
        open_ = find_dispatch(fleet.ledger, "d")
        assert (open_.state, open_.reason, open_.ended) == ("asked", "its user is asked where it belongs", False)
        assert [each.id for each in dispatches(fleet.ledger, state="asked")] == ["d"]
        await say(fleet, "a", "my shift")
        done = find_dispatch(fleet.ledger, "d")
        assert (done.state, done.reason, done.agent, done.reply) == (
            "success", "the turn ended", "helper", "You said: Call back",
        )  # fmt: skip
        settled = decided(fleet)["d"]
        assert (settled.by, settled.gate, settled.metadata, settled.asked) == ("user", "eva", {"order": 7}, "answered")
        assert explain(fleet.ledger, "d").where.endswith(
            "of helper, printed as threads[1]; the user, when asked, said so."
        )
    live, rebuilt = digests(home, tmp_path / "again")
    assert live == rebuilt


async def test_the_agents_that_it_names_are_those_asked_about(tmp_path):
    async with open_desks(tmp_path / "home") as fleet:
        await two_threads(fleet)
        made = await fleet.dispatch("helper", user="ana", text="Call", mode="ask_user", id="d")
        await fleet.idle()
        (asked,) = questions(fleet)
        assert [(each.agent, bool(each.thread_id)) for each in asked.event.choices] == [
            ("helper", True),
            ("helper", False),
        ]
        assert asked.event.otherwise == ""
        await say(fleet, "a", "none of these")
        done = find_dispatch(fleet.ledger, made.id)
        assert (done.state, done.reason) == (
            "error", "its user meant none of the choices, and there is no other agent for it",
        )  # fmt: skip
        again_ = again(fleet.ledger, "d", by="eva")
        await fleet.accept(again_)
        await fleet.idle()
        assert find_dispatch(fleet.ledger, "d.r1").state == "asked"
        assert cancel_now(fleet.ledger, "d.r1", by="eva").state == "cancelled"
        await say(fleet, "n", "1")
        assert decided(fleet)["n"].outcome == "dispatch_to", "a question that was called off is not answered"


async def test_a_dispatch_whose_user_says_nothing_goes_where_the_router_would_have_it(tmp_path):
    async with open_desks(tmp_path / "home", ask_below=0.0, ask_expiry_s=0.2) as fleet:
        await two_threads(fleet)
        waited = await fleet.dispatch(user="ana", text="Call", mode="ask_user", id="d", metadata={"n": 1})
        while not find_dispatch(fleet.ledger, waited.id).ended:
            await fleet.idle()
        settled = decided(fleet)["d"]
        assert (settled.by, settled.agent, settled.asked, settled.metadata) == ("model", "billing", "expired", {"n": 1})


async def test_what_is_tried_again_goes_to_the_thread_that_the_user_chose(tmp_path):
    says = iter(["", "done"])
    models = scripted(route, lambda request: next(says) if "Call" in last_words(request) else "hi")
    async with open_fleet(tmp_path / "home", two_desks(), models=models) as fleet:
        await two_threads(fleet)
        await fleet.dispatch(user="ana", text="Call", mode="ask_user", id="d")
        await fleet.idle()
        await say(fleet, "a", "2")
        failed = find_dispatch(fleet.ledger, "d")
        assert failed.state == "failed"
        await fleet.accept(again(fleet.ledger, "d", by="eva"))
        await fleet.idle()
        done = find_dispatch(fleet.ledger, "d.r1")
        assert (done.state, done.thread_id, done.reply) == ("success", failed.thread_id, "done")
        assert len(questions(fleet)) == 1


async def test_without_a_choice_or_a_model_nobody_is_asked(tmp_path):
    def sole(request):
        return unsure("```python\nstart_new_thread(agent='helper', language='en')\n```", 0.4)

    async with open_fleet(tmp_path / "one", two_desks(), models=scripted(sole)) as fleet:
        await fleet.dispatch("helper", user="ana", text="Call", mode="ask_user", id="d")
        await fleet.idle()
        assert (find_dispatch(fleet.ledger, "d").state, decided(fleet)["d"].by) == ("success", "model")
    async with open_fleet(tmp_path / "none", two_desks(), router_model="none") as fleet:
        await fleet.dispatch(user="ana", text="Call", mode="ask_user", id="d")
        await fleet.idle()
        refused = find_dispatch(fleet.ledger, "d")
        assert (refused.state, refused.reason) == (
            "error", "where it belongs cannot be asked: this fleet has no routing model that says what is plausible",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": " "}, "the message is empty"),
        ({"thread": "thr_1"}, "a dispatch whose user is asked names no thread"),
        ({"new_thread": True}, "a dispatch whose user is asked names no thread"),
        ({"agent": ["helper", "nobody"]}, "no agent 'nobody' is declared; there are helper, billing"),
    ],
)
async def test_what_is_refused(tmp_path, given, words):
    async with open_desks(tmp_path / "home") as fleet:
        with pytest.raises(InputError, match=words):
            await fleet.dispatch(**({"text": "Call", "user": "ana", "mode": "ask_user"} | given))
        assert not fleet.ledger.pending_count("inbox")

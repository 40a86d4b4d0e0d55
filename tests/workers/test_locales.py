"""The locale of a thread: who decides it, what its agent is told, the fixed words in it; kept over restarts."""

from __future__ import annotations

import json

import pytest
from support.commands import call
from support.fleets import Outgoing, digests, echo, events_of, last_words, open_fleet, scripted, start, use

from fleet import App, DialogAgent, Message, Policy, ToolContext, ToolError, tool
from fleet.agents.locales import read_locale
from fleet.agents.words import WORDS, Words
from fleet.errors import ConfigError, ModelUnavailableError
from fleet.ledger.base import Draft
from fleet.ledger.events import AgentPaused, LocaleSet, TurnEnded, TurnStarted
from fleet.tools import set_locale

GERMAN = {
    "no_answer": "Gerade geht es nicht.",
    "too_long": "Das wurde zu lang.",
    "sorry": "Da ging etwas schief.",
    "may_i": "Darf ich: {what}?",
    "which_of_them": "Alle, eine (Nummer) oder keine?",
    "by_operator": "Das muss jemand freigeben.",
    "unknown_effect": "Ob {tool} gewirkt hat, ist offen.",
    "question.order": "Soll ich {item} bestellen?",
    "away.helper": "Ich bin nicht da.",
    "retired": "Den gibt es nicht mehr.",
    "rules": "Sag Sie.",
}
ORDERED = []


@tool(effect="external", question="Order {item}?")
def order(item: str) -> str:
    """Order something."""
    ORDERED.append(item)
    return "ordered"


@tool
def pay(amount: int) -> str:
    """Pay an amount."""
    return "paid"


@tool(effect="write", confirm="never")
def prefer(locale: str, context: ToolContext) -> str:
    """Set the locale."""
    context.set_locale(locale)
    return f"was {context.locale}"


def app_of(out=None, tools=(order, pay, prefer, set_locale), **options):
    given = {"words": {"de": GERMAN, "de_CH": {"no_answer": "Grad nöd."}}, **options}
    agent = DialogAgent(
        "helper", out, description="Helps with everything", tools=list(tools), away="I am away.",
        locale=given.pop("locale", ""), policy=given.pop("policy", None),
    )  # fmt: skip
    return App(name="small", agents=[agent], retired_reply="It is gone.", **given)


def work(request):
    if not isinstance(request.messages[-1]["content"], str):
        block = request.messages[-1]["content"][-1]
        return f"done: {block.get('content') or block['text']}"
    name, _, rest = last_words(request).partition(" ")
    if name == "order":
        return [use("order", f"c{n}", item=each) for n, each in enumerate(rest.split())]
    if name in ("prefer", "set_locale"):
        return [use(name, locale=rest)]
    if name == "pay":
        return [use("pay", amount=5)]
    if name == "down":
        raise ModelUnavailableError("down")
    if name == "break":
        raise RuntimeError("broken")
    return echo(request)


def fleet_on(home, app=None, language="en", **settings):
    models = scripted(lambda request: start(language=language) if "threads[0]:" not in str(request.messages[0]) else
                      "```python\ndispatch_to(threads[0])\n```", work)  # fmt: skip
    return open_fleet(home, app or app_of(), models=models, **settings)


async def say(fleet, text, language=""):
    sent = await fleet.accept(Message("ana", text, language=language))
    told = await fleet.reply_to(sent.message_id)
    await fleet.idle()
    return told


def asked(fleet):
    """What the newest turn's model was shown before the user's words."""
    requests = fleet.models.of(fleet.app.agents["helper"]).requests
    return next(m["content"] for m in reversed(requests[-1].messages) if isinstance(m["content"], str))


def locales(fleet):
    return [each.event.locale for each in events_of(fleet, TurnStarted)]


async def test_the_newest_message_decides_and_the_thread_keeps_it(tmp_path):
    async with fleet_on(tmp_path / "home") as fleet:
        await say(fleet, "hello")
        assert "Locale:" not in asked(fleet)
        assert "Language: en" in asked(fleet)
        await say(fleet, "servus", "de_at")
        assert asked(fleet).splitlines()[-4:-2] == [
            "Locale: de-AT. Write in its language; dates, times, numbers and money as is usual there.", "Sag Sie."
        ]  # fmt: skip
        assert "Language: de-AT" in asked(fleet)
        await say(fleet, "and now?")
        assert "Locale: de-AT." in asked(fleet)
    async with fleet_on(tmp_path / "home") as fleet:
        await say(fleet, "still?")
        await say(fleet, "olá", "pt-BR")
        assert locales(fleet) == ["", "de-AT", "de-AT", "de-AT", "pt-BR"]
        systems = {each.system for each in fleet.models.of(fleet.app.agents["helper"]).requests}
        assert len(systems) == 1, "the cached prefix knows nothing of it"
        thread = events_of(fleet, TurnEnded)[0].event.thread_id
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1
    shown = call("threads", "show", thread, "--home", tmp_path / "home").stdout
    assert "pt-BR" in shown.splitlines()[0]
    told = json.loads(call("threads", "show", thread, "--json", "--home", tmp_path / "home").stdout)
    assert (told["language"], told["locale"]) == ("en", "pt-BR")


async def test_the_application_decides_where_no_message_does(tmp_path):
    async with fleet_on(tmp_path / "home", app_of(locale_of={"ana": "de-ch"}.get)) as fleet:
        assert await say(fleet, "down") == "Grad nöd."
        await say(fleet, "hi", "en-GB")
        await say(fleet, "hi")
        assert locales(fleet) == ["de-CH", "en-GB", "en-GB"]
    for wrong in (lambda user: 1 / 0, lambda user: "no locale", lambda user: None):
        async with fleet_on(tmp_path / f"home{id(wrong)}", app_of(locale_of=wrong)) as fleet:
            await say(fleet, "hi")
            assert locales(fleet) == [""]


async def test_what_a_tool_has_set_counts_until_it_gives_it_back(tmp_path):
    async with fleet_on(tmp_path / "home") as fleet:
        assert await say(fleet, "prefer fr-ca", "de") == "done: was de"
        assert [each.event.locale for each in events_of(fleet, LocaleSet)] == ["fr-CA"]
        await say(fleet, "hi", "en")
        assert "Locale: fr-CA." in asked(fleet)
        assert (await say(fleet, "prefer zz!", "en")) == (
            "done: 'zz!' is no locale; one is a tag such as de, pt-BR or zh-Hant-TW"
        )
        await say(fleet, "prefer ", "en")
        await say(fleet, "hi", "en")
        assert locales(fleet) == ["de", "fr-CA", "fr-CA", "fr-CA", "en"]
        assert (await say(fleet, "set_locale es")).startswith("done: From now on")
        last = events_of(fleet, TurnStarted)[-1].event.message_ids[0]
        thread = events_of(fleet, TurnEnded)[0].event.thread_id
    assert len(set(digests(tmp_path / "home", tmp_path / "again"))) == 1
    why = " ".join(call("why", last, "--home", tmp_path / "home").stdout.split())
    assert ", in en " in why
    assert "locale set es" in why
    shown = call("threads", "show", thread, "--home", tmp_path / "home").stdout
    assert "locale set to fr-CA" in shown
    assert "locale as messages say again" in shown


async def test_a_tool_that_only_reads_sets_no_locale(tmp_path):
    @tool(effect="read")
    def peek(context: ToolContext) -> str:
        """Peek."""
        context.set_locale("de")
        return "seen"

    models = scripted(worker=lambda request: [use("peek")] if isinstance(request.messages[-1]["content"], str) else
                      request.messages[-1]["content"][0]["content"])  # fmt: skip
    async with open_fleet(tmp_path, app_of(tools=[peek], words=None), models=models) as fleet:
        assert await say(fleet, "hi") == 'peek is declared effect="read" and set a locale; nothing was changed'
        assert events_of(fleet, LocaleSet) == []


async def test_an_agents_own_language_is_not_changed_by_a_message(tmp_path):
    async with fleet_on(
        tmp_path, app_of(locale="de", words={"de": {"no_answer": "Nein.", "rules": "Sag du."}})
    ) as fleet:
        assert await say(fleet, "down", "en-GB") == "Nein."
        assert locales(fleet) == [""]
        await say(fleet, "hi", "en-GB")
        assert "Locale: de." in asked(fleet)
        assert "Sag du." in asked(fleet)


async def test_the_runtime_speaks_in_the_threads_locale(tmp_path):
    ORDERED.clear()
    out = Outgoing()
    async with fleet_on(tmp_path / "home", app_of(out), max_attempts=1) as fleet:
        assert await say(fleet, "down", "de-AT") == "Gerade geht es nicht."
        assert await say(fleet, "break") == "Da ging etwas schief."
        assert await say(fleet, "order Tee") == "Soll ich Tee bestellen?"
        assert (await say(fleet, "ja")).startswith("done: order was approved by the user and was run.")
        assert ORDERED == ["Tee"]
        both = "1. Soll ich Tee bestellen?\n2. Soll ich Brot bestellen?\nAlle, eine (Nummer) oder keine?"
        assert await say(fleet, "order Tee Brot") == both
        await say(fleet, "nein")
        assert await say(fleet, "pay") == "Darf ich: pay an amount (amount 5)?"
        await say(fleet, "nein")
        assert await say(fleet, "down", "fr") == WORDS["no_answer"], "English where there are no such words"
        await say(fleet, "hi", "de")
        version = fleet.ledger.version("agent:helper")
        paused = AgentPaused(role="helper", paused=True)
        await fleet.ledger.append(Draft("agent:helper", version, (paused,)))
        assert await say(fleet, "hi") == "Ich bin nicht da."
    async with fleet_on(tmp_path / "home", app_of(policy=Policy(max_steps=1))) as fleet:
        again = AgentPaused(role="helper", paused=False)
        await fleet.ledger.append(Draft("agent:helper", fleet.ledger.version("agent:helper"), (again,)))
        assert await say(fleet, "prefer de") == "Das wurde zu lang."


def test_tags_are_spelled_the_usual_way():
    assert [read_locale(each) for each in ("DE_at", "pt-br", "zh-hant-tw", "es-419", "EN", "sl-rozaj-1994", "tlh")] == [
        "de-AT", "pt-BR", "zh-Hant-TW", "es-419", "en", "sl-rozaj-1994", "tlh"
    ]  # fmt: skip
    assert read_locale("de-AT-u-ca-gregory-x-a") == "de-AT-u-ca-gregory-x-a"
    for wrong in ("", "d", "german", "de-", "de--AT", "de AT", "de\nAT", "-de", "de-a", "x" * 40, "de-" + "abcde-" * 9):
        assert read_locale(wrong) is None, wrong


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"german": {}}, "words: 'german' is no locale; one is a tag such as de, pt-BR or zh-Hant-TW"),
        (
            {"de": {"no_anwser": "x"}},
            "words of de: there is nothing called 'no_anwser'; there are no_answer,",
        ),
        ({"de": {"no_answer": ""}}, "words of de: no_answer is a text, not ''"),
        ({"de": {"no_answer": "{why}"}}, "words of de: no_answer has {why}; it has none"),
        ({"de": {"may_i": "{when}"}}, "words of de: may_i has {when}; it may have {what}"),
        ({"de": {"may_i": "{what.__class__}"}}, "words of de: may_i has {what.__class__}; it may have {what}"),
        ({"de": {"may_i": "{what"}}, "words of de: may_i: expected '}' before end of string; a brace that is meant"),
        ({"de": {"question.order": "{price}?"}}, "words of de: question.order has {price}; it may have {item}"),
        ({"de": {"question.other": "?"}}, "words of de: there is nothing called 'question.other'"),
        ({"de": {"away.other": "?"}}, "words of de: there is nothing called 'away.other'"),
    ],
)
def test_a_table_with_something_wrong_in_it_is_refused_at_once(words, why):
    with pytest.raises(ConfigError) as refused:
        app_of(words=words)
    assert refused.value.message.startswith(why)


def test_what_a_locale_has_not_the_wider_one_has():
    words = Words({"de": {"declined": "Nein."}, "de-AT": {"no_answer": "Na."}})
    assert words.say("declined", "de-AT-u-ca-gregory") == "Nein."
    assert words.say("no_answer", "DE-at") == "Na."
    assert words.say("no_answer", "de-CH") == WORDS["no_answer"]
    assert words.say("no_answer", "") == WORDS["no_answer"]
    assert (words.retired("de", "gone"), Words({"de": {"retired": "Weg."}}).retired("de", "gone")) == ("gone", "Weg.")


def test_a_call_knows_its_locale_and_takes_no_other_thing_for_one():
    from datetime import UTC, datetime

    context = ToolContext("ana", "thr", "job", "call", "key", datetime(2026, 1, 1, tzinfo=UTC), {}, locale="de")
    context.set_locale("fr_ca")
    context.set_locale("")
    assert (context.locale, context.locales) == ("de", [""])
    with pytest.raises(ToolError):
        context.set_locale("no such")

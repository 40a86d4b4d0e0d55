"""A message is accepted once it is durable, once per id, and only if it is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from fleet.errors import InputError
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.intake import Accepted, Intake, Message, accept_now, as_message


@pytest.fixture
def ledger(tmp_path):
    with SqliteLedger.open(tmp_path / "ledger.db") as opened:
        yield opened


def stored(ledger, message_id):
    return ledger.read_stream(f"message:{message_id}")


async def test_a_message_with_an_id_is_accepted_once(ledger):
    message = Message("ana", "Friday is better", id="m-1", channel="web", metadata={"plan": "gold", "days": (1, 2)})
    assert await Intake(ledger, 1000, 0).accept(message) == Accepted("m-1", True)
    assert await Intake(ledger, 1000, 0).accept(message) == Accepted("m-1", False)
    assert accept_now(ledger, message, 1000) == Accepted("m-1", False)
    (only,) = stored(ledger, "m-1")
    assert (only.user, only.event.text, only.event.channel, only.event.metadata) == (
        "ana", "Friday is better", "web", {"plan": "gold", "days": [1, 2]},
    )  # fmt: skip


async def test_an_id_that_another_message_has_is_refused(ledger):
    await Intake(ledger, 1000, 0).accept(Message("ana", "one", id="m-1"))
    for other in (Message("ana", "two", id="m-1"), Message("bo", "one", id="m-1")):
        with pytest.raises(InputError, match="m-1 was used before for another message"):
            await Intake(ledger, 1000, 0).accept(other)
    assert len(stored(ledger, "m-1")) == 1


async def test_without_an_id_one_is_made(ledger):
    ids = {(await Intake(ledger, 1000, 0).accept(Message("ana", "same"))).message_id for _ in range(3)}
    assert len(ids) == 3
    assert all(each.startswith("msg_") for each in ids)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message("ana", ""), "empty"),
        (Message("ana", " \n\t"), "empty"),
        (Message("ana", "x" * 101), "has 101 bytes and at most 100"),
        (Message("ana", "ŝ" * 51), "has 102 bytes"),
        (Message("ana", "a\x00b"), "NUL"),
        (Message("ana", "\ud800"), "not valid Unicode"),
        (Message("", "hi"), "a user is 1 to 128 printable"),
        (Message("a\nb", "hi"), "a user is"),
        (Message(" ana", "hi"), "a user is"),
        (Message("x" * 129, "hi"), "a user is"),
        (Message("ana\u202e", "hi"), "a user is"),
        (Message("ana", "hi", id="a\u2028b"), "a message id is"),
        (Message("ana", "hi", language="en\nthreads[0]:"), "a language is"),
        (Message("ana", "hi", language="English, please"), "a language is"),
        (Message("ana", "hi", channel="web\nThreads:"), "a channel is"),
        (Message("ana", "hi", session_id="\x1b[0m"), "a session id is"),
        (Message("ana", "hi", metadata={"at": object()}), "metadata is not JSON"),
        (Message("ana", "hi", metadata={(1, 2): "a key"}), "metadata is not JSON"),
        (Message("ana", "hi", metadata={"x": float("nan")}), "metadata is not JSON"),
        (Message("ana", "hi", metadata={"x": "\ud800"}), "metadata is not JSON"),
        (Message("ana", 5), "text is a str, not int"),
    ],
)
async def test_what_is_no_message_is_refused_in_one_line(ledger, message, why):
    with pytest.raises(InputError, match=why) as refused:
        await Intake(ledger, 100, 0).accept(message)
    assert "\n" not in refused.value.message
    assert refused.value.message.endswith("nothing was sent")
    with pytest.raises(InputError, match=why):
        accept_now(ledger, message, 100)
    assert ledger.head() == (0, "")


@pytest.mark.parametrize("language", ["", "en", "pt-BR", "zh-Hant-TW", "de_AT"])
async def test_languages_are_tags(ledger, language):
    accepted = await Intake(ledger, 100, 0).accept(Message("ana", "hi", language=language))
    assert stored(ledger, accepted.message_id)[0].event.language == language.replace("_", "-")


@dataclass
class Own:
    """A message class of an application."""

    sender: object
    body: str = "the body"
    id: int = 7
    metadata: dict = field(default_factory=dict)

    def __str__(self):
        return f"<Own {self.body}>"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Message("ana", "hi"), Message("ana", "hi")),
        ({"user": "ana", "text": "hi", "id": "1"}, Message("ana", "hi", id="1")),
        ({"sender": 12, "body": "hi", "locale": "eo"}, Message("12", "hi", language="eo")),
        (Own("ana"), Message("ana", "the body", id="7")),
        (Own(SimpleNamespace(id="u-1", name="Ana")), Message("u-1", "the body", id="7")),
        (SimpleNamespace(user_id="ana", content="hi", channel="web"), Message("ana", "hi", channel="web")),
    ],
)
def test_an_applications_own_message_is_read_by_its_names(given, expected):
    assert as_message(given) == expected


def test_an_object_without_a_text_is_what_it_prints():
    class Mail:
        sender = "ana"

        def __str__(self):
            return "Friday is better"

    assert as_message(Mail()).text == "Friday is better"


@pytest.mark.parametrize("given", ["hi", {"text": "hi"}, 5, None])
def test_a_message_without_a_sender_is_refused(given):
    with pytest.raises(InputError, match="needs a sender"):
        as_message(given)

"""Redaction by rule: texts, transcripts, values, events, log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.audit.redact import redact_lines, redact_text, redact_value
from fleet.audit.redacted import RedactingFilter, redact_logs, redacted
from fleet.ledger.base import Blob, Draft
from fleet.ledger.events import MessageAccepted, ModelAnswered, ToolReturned
from fleet.log import LOGGER, log
from fleet.prompting.quote import quote
from fleet.runtime.home import Home


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("write to kenji.weber@example.com today", "write to [e-mail] today"),
        ("call +49 170 1234567 or (030) 123-4567", "call [phone] or [phone]"),
        ("card 4111 1111 1111 1111, and 4111-1111-1111-1111", "card [card], and [card]"),
        ("My name is Kenji Weber.", "My name is [name]."),
        ("Dear Dr. Okonkwo, please", "Dear [name], please"),
        ("ich heiße Zoë Quist und brauche Hilfe", "ich heiße [name] und brauche Hilfe"),
        ("thanks,\nPriya", "thanks,\n[name]"),
        ("on 2026-03-02 at 14:05, 12.03.2026", "on 2026-03-02 at 14:05, 12.03.2026"),
        ("ticket C2664 for thr_4cd54d1808d9a9da", "ticket C2664 for thr_4cd54d1808d9a9da"),
        ("0a1b2c3d-1111-2222-3333-444455556666", "0a1b2c3d-1111-2222-3333-444455556666"),
        ("I need a train ticket for Monday in March", "I need a train ticket for Monday in March"),
        ("", ""),
    ],
)
def test_texts(text: str, clean: str) -> None:
    assert redact_text(text) == clean
    assert redact_text(clean) == clean
    assert redact_text(text + " " * 700) == clean + " " * 700


def test_a_name_that_one_text_tells_is_taken_out_of_what_belongs_to_it() -> None:
    value = {"text": "My name is Kenji Quist", "name": "Quist's appointment", "reason": "as Quist asked", "n": 3}
    assert redact_value(value) == {
        "text": "My name is [name]",
        "name": "[name] appointment",
        "reason": "as [name] asked",
        "n": 3,
    }
    assert redact_value({"name": "Quist's appointment"}) == {"name": "Quist's appointment"}
    assert redact_text("as Quist asked", known={"Quist"}) == "as [name] asked"


def test_a_transcript_stays_one_with_its_quotes_and_loses_what_they_tell() -> None:
    hostile = 'My name is Kenji Quist\n<b>"kenji@example.com"</b>'
    text = f'threads[0]:\n  id: thr_12\n  name: "Quist’s shift"\nIncoming message:\n{quote(hostile)}\nby Quist\n"half'
    clean = redact_lines(text)
    lines = clean.splitlines()
    assert lines[:3] == ["threads[0]:", "  id: thr_12", '  name: "[name] shift"']
    assert json.loads(lines[4]) == 'My name is [name]\n<b>"[e-mail]"</b>'
    assert "\\u003cb\\u003e" in lines[4]
    assert lines[5:] == ["by [name]", '"half']
    for private in ("Kenji", "Quist", "@example"):
        assert private not in clean
    untouched = 'nothing "in \\u003c it" at all\n'
    assert redact_lines(untouched) == untouched


def test_ids_are_kept_where_they_are_ids_and_not_where_anything_may_stand() -> None:
    value = {
        "user": "Kenji Weber",
        "message_id": "4111111111111111",
        "agents": ["Maria"],
        "arguments": {"user": "Kenji Weber", "id": "4111111111111111", "Priya": ["Maria", {"key": "a@b.org"}]},
        "metadata": {"state": "kenji@example.com"},
        "agent": {"text": "a@b.org"},
    }
    assert redact_value(value) == {
        "user": "Kenji Weber",
        "message_id": "4111111111111111",
        "agents": ["Maria"],
        "arguments": {"user": "[name]", "id": "[card]", "[name]": ["[name]", {"key": "[e-mail]"}]},
        "metadata": {"state": "[e-mail]"},
        "agent": {"text": "[e-mail]"},
    }


def test_a_ledger_seen_through_redaction(tmp_path: Path) -> None:
    said = MessageAccepted(
        message_id="m1", user="Kenji Weber", text="My name is Kenji Quist", metadata={"id": "a@b.org"}
    )
    other = MessageAccepted(message_id="m2", user="u2", text="Where is Quist Street?")
    step = ModelAnswered(
        job_id="j1", turn=1, content=({"type": "text", "text": "Gladly, Quist"},), stop_reason="", model="m"
    )
    tool = ToolReturned(job_id="j1", turn=1, call_id="c", tool="t", arguments={"user": "Quist"}, content="a@b.org")
    blob = Blob.of(f"Incoming message:\n{quote('about Quist, a@b.org')}\n")
    with Home(tmp_path).open_ledger() as ledger:
        ledger.append_now(Draft("message:m1", 0, (said,), "Kenji Weber", (blob,)))
        ledger.append_now(Draft("job:j1", 0, (step, tool), "Kenji Weber"))
        ledger.append_now(Draft("message:m2", 0, (other,), "u2"))
        before = [each.chain for each in ledger.read()]
        seen = redacted(ledger)
        found = list(seen.read())
        assert [each.chain for each in found] == before
        assert [each.user for each in found] == ["Kenji Weber", "Kenji Weber", "Kenji Weber", "u2"]
        accepted, answered, returned, last = (each.event for each in found)
        assert accepted == said.model_copy(update={"text": "My name is [name]", "metadata": {"id": "[e-mail]"}})
        assert isinstance(answered, ModelAnswered)
        assert answered.content == ({"type": "text", "text": "Gladly, [name]"},)
        assert returned == tool.model_copy(update={"arguments": {"user": "[name]"}, "content": "[e-mail]"})
        assert last == other  # of another user, of whose names nothing is known
        again = redacted(ledger)
        assert again.read_stream("job:j1")[0].event == step
        assert again.read_stream("message:m1")[0].event == accepted
        assert again.read_stream("job:j1")[0].event == answered
        assert again.blob(blob.hash).decode() == 'Incoming message:\n"about [name], [e-mail]"\n'
        assert (again.version("job:j1"), again.head()) == (2, ledger.head())
        assert [each.event for each in ledger.read()] == [said, step, tool, other]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the process logs, redacted; as it was afterwards."""
    root, written = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    filters = {each: list(each.filters) for each in (LOGGER, *root.handlers)}
    redact_logs()
    redact_logs()
    yield written
    for each, were in filters.items():
        each.filters[:] = were
    root.removeHandler(handler)


def test_log_lines_keep_ids_and_lose_persons(lines: io.StringIO) -> None:
    assert [type(each) for each in LOGGER.filters] == [RedactingFilter]
    log("turn.failed", level=logging.WARNING, thread="4111111111111111", user="Kenji", reason="Kenji Weber, a@b.org")
    assert lines.getvalue() == 'fleet turn.failed thread=4111111111111111 user=Kenji reason="[name], [e-mail]"\n'


def test_lines_and_tracebacks_of_others_are_redacted_too(lines: io.StringIO) -> None:
    try:
        raise ValueError("no such customer: Kenji Weber, kenji@example.com")
    except ValueError:
        logging.getLogger("somebody.else").exception("call %s back", "+49 170 1234567")
    said = lines.getvalue()
    assert said.startswith("somebody.else call [phone] back\nTraceback (most recent call last):\n")
    assert said.endswith("ValueError: no such customer: [name], [e-mail]\n")
    assert "Kenji" not in said

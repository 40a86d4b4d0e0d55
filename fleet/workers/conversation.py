"""What a worker's model is shown: the thread's conversation, with the open turn's warmup before its message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fleet.agents.catalog import DEFAULT_WORKER_WARMUP, Definition, Text
from fleet.clock import iso
from fleet.errors import WarmupError
from fleet.ledger.events import MessageAccepted
from fleet.prompting.examples import Example
from fleet.prompting.quote import quote
from fleet.prompting.views import JobView, MessageView, ThreadView
from fleet.prompting.warmup import Transcript, run_warmup

__all__ = ["NO_MESSAGE", "REMINDED", "WarmedUp", "ends_in_question", "messages_for", "warm_up"]

NO_MESSAGE = "No new message: a person has decided about a call."
REMINDED = "No new message: a reminder that was set in this conversation is due. Say or do what it is about."
_RECAP = "This conversation began earlier. Its turns 1 to {upto}, in short:"
_QUESTION = ("?", "？", "؟", "՞", "፧")  # Latin, full-width, Arabic, Armenian, Ethiopic
_THINKING = ("thinking", "redacted_thinking")
_CLOSERS = " \t\n\"'”’»)]*_`"


@dataclass(frozen=True)
class WarmedUp:
    """What a worker's warmup printed; `trouble` says why it was the default one that ran."""

    transcript: str
    trouble: str = ""


def warm_up(
    definition: Definition,
    examples: Mapping[int, Example],
    *,
    messages: Sequence[MessageAccepted],
    thread: ThreadView,
    job: JobView,
    example: int | None,
    now: datetime,
    zone: ZoneInfo | None = None,
    locale: str = "",
    rules: str = "",
) -> WarmedUp:
    """Run the warmup of one turn; `rules` of the thread's `locale` come after what it prints.

    Names in reach: message (the newest), messages, user, thread, job, now, language, metadata (the message's),
    default_example_id (only if one was chosen), list_of_examples(), show_example(id), quote; timezone, the name of the
    user's `zone`, and local_now, the time there ("" and None where it is not known).
    Code that raises does not cost the user an answer: the default warmup runs in its place, and the record says so.
    """
    language = locale or thread.language
    views = [MessageView.of(message, language) for message in messages]
    names: dict[str, Any] = {
        "message": views[-1],
        "messages": views,
        "user": views[-1].sender,
        "thread": thread,
        "job": job,
        "now": now,
        "timezone": zone.key if zone else "",
        "local_now": now.astimezone(zone) if zone else None,
        "language": language,
        "metadata": views[-1].metadata,
        "quote": quote,
    }
    if example is not None:
        names["default_example_id"] = example
    try:
        return WarmedUp(_with(_print(definition.warmup, names, examples), rules))
    except WarmupError as error:
        printed = _print(Text("<default>", DEFAULT_WORKER_WARMUP), names, examples)
        return WarmedUp(_with(printed, rules), error.message)


def _with(printed: str, rules: str) -> str:
    """The rules on lines of their own."""
    return f"{printed.rstrip()}\n{rules}" if rules else printed


def _print(code: Text, names: Mapping[str, Any], examples: Mapping[int, Example]) -> str:
    out = Transcript()

    def list_of_examples() -> list[tuple[int, str]]:
        for number, each in examples.items():
            out.print(f"example_id={number}: {each.name}")
        return [(number, each.name) for number, each in examples.items()]

    def show_example(number: int | None) -> None:
        found = examples.get(number) if number is not None else None
        if found is None:
            out.print(f"There is no example {number}.")
            return
        for key, value in found.fields.items():
            out.print(f"{key}: {value}")
        out.print(found.body)

    run_warmup(code, {**names, "list_of_examples": list_of_examples, "show_example": show_example}, out)
    return out.text


def _words(entry: Mapping[str, Any]) -> str:
    """What a turn begins with: the user's message, or why there is none; the reminders that are due come first."""
    due = [f"Reminder, set for {iso(each['due_at'])}:\n{quote(each['note'])}" for each in entry.get("due", ())]
    if not entry.get("no_message"):
        return "\n".join((*due, f"User message:\n{quote(entry['content'])}"))
    return "\n".join((REMINDED, *due)) if due else NO_MESSAGE


def messages_for(
    tail: Sequence[str], transcript: str, limit: int, recap: str = "", upto: int = 0
) -> tuple[Mapping[str, Any], ...]:
    """The Messages API's messages: the last `limit` entries of the conversation, from a user's own message on.

    Each message of the user is its quoted line; the newest has the turn's transcript before it. Thinking of earlier
    turns is left out: a provider takes thinking back only with everything before it unchanged, and a transcript is
    shown in its own turn alone. A `recap` of the turns before them, up to turn `upto`, comes first.
    """
    entries = [json.loads(entry) for entry in tail]
    spoken = [index for index, entry in enumerate(entries) if isinstance(entry["content"], str)]
    if not spoken:
        return ()
    newest = spoken[-1]
    start = next((index for index in spoken if index >= len(entries) - limit), newest)
    shown: list[Mapping[str, Any]] = []
    for index, entry in enumerate(entries[start:], start):
        if index in spoken:
            words = _words(entry)
            shown.append({"role": "user", "content": f"{transcript.rstrip()}\n{words}" if index == newest else words})
        elif index < newest and entry["role"] == "assistant":
            said = [block for block in entry["content"] if block["type"] not in _THINKING]
            shown.append({**entry, "content": said or [{"type": "text", "text": "(no answer)"}]})
        elif entry["role"] == "user" and shown[-1]["role"] == "user":  # a note on the user's message
            said_before = shown.pop()["content"]
            blocks = [{"type": "text", "text": said_before}] if isinstance(said_before, str) else said_before
            shown.append({"role": "user", "content": [*blocks, *entry["content"]]})
        else:
            shown.append(entry)
    if recap:
        short = f"{_RECAP.format(upto=upto)}\n{quote(recap)}"
        first: Any = shown[0]["content"]
        told: Any = [{"type": "text", "text": short}, *first] if isinstance(first, list) else f"{short}\n{first}"
        shown[0] = {"role": "user", "content": told}
    return tuple(shown)


def ends_in_question(reply: str) -> bool:
    """Whether the reply's last sentence asks something: the thread then waits for the user."""
    return reply.rstrip(_CLOSERS).endswith(_QUESTION)

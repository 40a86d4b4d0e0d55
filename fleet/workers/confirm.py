"""Approval of a call by a person: what is asked, and what counts as the answer. Reads and writes no store.

An approval is bound to one call: this tool with these arguments in this thread. A question is answered by the next
message of its thread, by an operator, or not at all; nothing that a model writes is an answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fleet.agents.tool import Approver, Tool
from fleet.agents.words import Words
from fleet.graph.records import JobRecord, ThreadRecord
from fleet.ledger.events import ConfirmationAsked
from fleet.ledger.storable import storable
from fleet.llm.offline.consent import consent
from fleet.log import log
from fleet.prompting.quote import quote, quote_json
from fleet.workers.locales import locale_of

__all__ = ["asked", "hash_of", "note_of", "open_questions", "verdicts", "words_for"]

Verdict = Literal["approved", "denied", "expired", "lapsed"]

_NUMBER = re.compile(r"(?:(?:only|just|number|nr\.?|#) ?)?([0-9]{1,2})(?: only)?(?: please)?[.!)]?", re.I)
_ALL = re.compile(r"(all|both)( of (them|these))?( please)?[.!]*", re.I)
_NONE = re.compile(r"(none|neither)( of (them|these))?[.!]*", re.I)
_LONGEST = 60  # characters of a number or of "all of them, please"; of a value that a question shows as it is
_SENTENCE = re.compile(r"[?!;]|[.:](?=\s)")  # what is in a value with words of its own
_WHY_NOT = {
    "denied": "was declined by {by}",
    "expired": "was answered too late",
    "lapsed": "was not answered",
}


def canonical(arguments: Mapping[str, Any]) -> str:
    """Arguments as canonical JSON."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(tool: Tool, given: Mapping[str, Any]) -> str:
    """What an approval is bound to: the sha256 of what the call comes to, defaults included. Raises: ToolError."""
    return hashlib.sha256(canonical(tool.spelled_out(given)).encode()).hexdigest()


def asked(
    tool: Tool, job: JobRecord, thread: ThreadRecord, block: Mapping[str, Any], approver: Approver, expires_at: int,
    words: Words,
) -> ConfirmationAsked:  # fmt: skip
    """The event of a call that waits for approval; its id follows from job, turn and call."""
    arguments, call_id = dict(block["input"]), str(block["id"])
    seed = f"{job.id}\n{job.turn}\n{call_id}"
    return ConfirmationAsked(
        confirm_id=f"cfm_{hashlib.sha256(seed.encode()).hexdigest()[:16]}",
        job_id=job.id,
        thread_id=thread.id,
        user=thread.user,
        turn=job.turn,
        call_id=call_id,
        tool=tool.name,
        arguments=arguments,
        arguments_hash=hash_of(tool, arguments),
        question=_question(tool, tool.spelled_out(arguments) | arguments, words, locale_of(thread)),
        approver=approver,
        expires_at=expires_at,
        message_ids=tuple(job.turn_ids),
    )


def _question(tool: Tool, arguments: Mapping[str, Any], words: Words, locale: str) -> str:
    """What the user is asked: the tool's own question, in their words where there are any, else what it does."""
    shown = {name: _plain(value) for name, value in arguments.items()}
    if own := words.question(tool.name, locale):
        return own.format(**{**dict.fromkeys(tool.arguments.model_fields, ""), **shown})
    if callable(tool.question):
        try:
            return str(storable(tool.question(shown)))
        except Exception as error:  # the application's own function; the built-in question says it all
            log("question.failed", level=logging.WARNING, tool=tool.name, error=type(error).__name__)
    elif tool.question:
        return tool.question.format(**shown)
    told = re.split(r"[.,;:(\n]", tool.description)[0].strip() or tool.name
    said = ", ".join(
        f"{name.replace('_', ' ')} {value if isinstance(value, str) else quote_json(value)}"
        for name, value in shown.items() if value is not None
    )  # fmt: skip
    return words.say("may_i", locale, what=f"{told[:1].lower()}{told[1:]}{f' ({said})' if said else ''}")


def _plain(value: Any) -> Any:
    """A value as a question shows it: a text that could pass for words of the question is its quoted line."""
    if isinstance(value, str):
        quoted = quote(value)
        plain = len(value) <= _LONGEST and quoted == f'"{value}"' and not _SENTENCE.search(value)
        return value if plain else quoted
    if isinstance(value, Mapping):
        return {quote(str(key))[1:-1]: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def open_questions(job: JobRecord, turn: int) -> list[dict[str, Any]]:
    """The questions that nobody has answered and that were asked in this turn, in the order of their calls.

    One that the user was asked, by the reply that ended the turn, has `put`: the seq of that.
    """
    return [each for each in json.loads(job.pending) if each["turn"] == turn] if job.pending != "[]" else []


def words_for(questions: Sequence[Mapping[str, Any]], words: Words, locale: str) -> str:
    """What a turn that waits for approval ends with; operators' questions are not put to the user."""
    theirs = [each["question"] for each in questions if each["approver"] == "user"]
    if not theirs:
        return words.say("by_operator", locale)
    if len(theirs) == 1:
        return str(theirs[0])
    listed = "\n".join(f"{number}. {question}" for number, question in enumerate(theirs, 1))
    return f"{listed}\n{words.say('which_of_them', locale)}"


def verdicts(
    questions: Sequence[Mapping[str, Any]], answers: Sequence[str], now_us: int
) -> list[tuple[Mapping[str, Any], Verdict]]:
    """What the user's words since the questions were put make of those that the user may answer.

    The first message counts, and only if it is a plain yes, no or number; a later plain no takes a yes back. Whatever
    else is said, the questions have lapsed: nothing runs, and the model may ask for the call again.
    """
    theirs = [each for each in questions if each["approver"] == "user"]
    said = [consent(text) for text in answers]
    first = answers[0].strip() if answers and len(answers[0]) <= _LONGEST else ""
    number = _NUMBER.fullmatch(first)
    wanted: Verdict = "lapsed"
    if "no" in said or (len(theirs) > 1 and _NONE.fullmatch(first)):
        wanted = "denied"
    elif said[:1] == ["yes"] or (len(theirs) > 1 and _ALL.fullmatch(first)):
        wanted = "approved"
    found: list[tuple[Mapping[str, Any], Verdict]] = []
    for place, each in enumerate(theirs, 1):
        verdict: Verdict = wanted
        if wanted == "lapsed" and len(theirs) > 1 and number is not None and 1 <= int(number[1]) <= len(theirs):
            verdict = "approved" if int(number[1]) == place else "denied"
        if now_us > each["expires_at"] and verdict == "approved":
            verdict = "expired"
        found.append((each, verdict))
    return found


def note_of(said: Mapping[str, Any], result: str = "", *, error: bool = False) -> str:
    """What the model is told about a call that a person has decided on; everything from outside is quoted."""
    if said["verdict"] == "resolved":
        became = "it took effect" if said["took_effect"] else "it did not take effect"
        told = f"\nNote: {quote(said['note'])}" if said["note"] else ""
        return f"A person has checked {said['tool']}: {became}.{told}"
    by = "the user" if said["by"] == "user" else "an operator"
    if said["verdict"] == "approved":
        ran = "was run and failed" if error else "was run"
        return f"{said['tool']} was approved by {by} and {ran}.\nArguments: {_inert(said)}\nResult: {quote(result)}"
    why = _WHY_NOT[said["verdict"]].format(by=by)
    return f"The question about {said['tool']} {why}; it was not run.\nArguments: {_inert(said)}"


def _inert(said: Mapping[str, Any]) -> str:
    return quote(canonical(said["arguments"]))

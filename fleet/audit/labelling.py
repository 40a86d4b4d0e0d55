"""Saying what would have been right for a message: a label is an event like all the others."""

from __future__ import annotations

from fleet.audit.declared import Declarations
from fleet.errors import InputError
from fleet.ledger.base import Draft, Ledger, Stored
from fleet.ledger.events import DecisionLabelled, MessageDecided
from fleet.prompting.quote import quote

__all__ = ["label"]

_MAX_NOTE = 4000  # characters


def label(
    ledger: Ledger,
    message_id: str,
    *,
    thread: str = "",
    agent: str = "",
    as_decided: bool = False,
    note: str = "",
    by: str = "",
) -> DecisionLabelled:
    """Record what would have been right: `thread` (an id or its beginning), a new thread with `agent`, or what was.

    Durable on return. Raises: InputError for a message that is not decided, a thread that the sender did not have by
    then, an agent that was not declared then; nothing is written in that case.
    """
    if bool(thread) + bool(agent) + as_decided != 1:
        raise InputError("say one thing: the thread, or the new thread's agent, or that the decision was right")
    if len(note) > _MAX_NOTE:
        raise InputError(f"a note has at most {_MAX_NOTE} characters")
    decided, event = _decided(ledger, message_id)
    decision = event.decision
    if as_decided:
        if decision.outcome not in ("dispatch_to", "start_new_thread"):
            raise InputError(f"message {message_id} went nowhere; say which thread or agent would have been right")
        thread = decision.thread_id if decision.outcome == "dispatch_to" else ""
        agent = "" if thread else decision.agent
    elif thread:
        thread = _thread(ledger, decided, event, thread)
    elif agent not in (roles := Declarations(ledger).at(decided.seq).roles):
        raise InputError(f"there was no agent {quote(agent)} then; there were {', '.join(roles)}")
    said = DecisionLabelled(
        message_id=message_id, user=event.user, thread_id=thread, agent=agent, note=note.strip(), by=by
    )
    stream = f"label:{message_id}"
    ledger.append_now(Draft(stream, ledger.version(stream), (said,), event.user))
    return said


def _decided(ledger: Ledger, message_id: str) -> tuple[Stored, MessageDecided]:
    for stored in ledger.read_stream(f"message:{message_id}"):
        if isinstance(stored.event, MessageDecided):
            return stored, stored.event
    raise InputError(f"message {message_id} is not decided yet; there is nothing to label")


def _thread(ledger: Ledger, decided: Stored, event: MessageDecided, given: str) -> str:
    """The one thread of the sender's, of before this decision, that `given` begins."""
    own: set[str] = set()
    for stored in ledger.read(types=(MessageDecided.TYPE,), user=event.user, before=decided.seq, newest_first=True):
        if isinstance(stored.event, MessageDecided) and stored.event.decision.thread_id.startswith(given):
            own.add(stored.event.decision.thread_id)
            if stored.event.decision.thread_id == given:
                return given
    if len(own) == 1:
        return own.pop()
    if own:
        raise InputError(f"{quote(given)} begins several threads: {', '.join(sorted(own)[:4])}")
    if event.decision.thread_id.startswith(given) and event.decision.new_thread:
        raise InputError(
            f"message {event.message_id} itself started {event.decision.thread_id}; for a new thread say --new AGENT"
        )
    raise InputError(f"the sender had no thread {quote(given)} before this message")

"""What waits for a person: confirmations and calls that were cut off. From the ledger alone, by any process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleet.clock import iso, now_us
from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import (
    CallResolved,
    ConfirmationAsked,
    ConfirmationSettled,
    ToolReturned,
    TurnEnded,
    TurnSetAside,
)

__all__ = ["Confirmation", "CutOffCall", "confirmations", "cut_off_calls", "resolve_call", "settle"]


@dataclass(frozen=True)
class Confirmation:
    """One question about a call. `state` is open, expired, or what it was settled as; times are UTC."""

    id: str
    state: str
    user: str
    thread_id: str
    job_id: str
    tool: str
    arguments: Mapping[str, Any]
    question: str
    approver: str
    asked_at: str
    expires_at: str
    by: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CutOffCall:
    """A call of which nobody knows whether it took effect."""

    job_id: str
    thread_id: str
    user: str
    call_id: str
    tool: str
    arguments: Mapping[str, Any]
    at: str

    def as_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return asdict(self)


def confirmations(ledger: Ledger, *, user: str = "", every: bool = False) -> Iterator[Confirmation]:
    """The confirmations that wait for an answer, the newest first; with `every` the settled ones too."""
    for stored in ledger.read(types=(ConfirmationAsked.TYPE,), user=user, newest_first=True):
        if isinstance(stored.event, ConfirmationAsked):
            found = _state(ledger, stored.event, stored.at)
            if every or found.state == "open":
                yield found


def _state(ledger: Ledger, asked: ConfirmationAsked, at: int) -> Confirmation:
    state, by = ("open" if now_us() <= asked.expires_at else "expired"), ""
    for stored in ledger.read_stream(f"confirm:{asked.confirm_id}"):
        if isinstance(stored.event, ConfirmationSettled):
            state, by = stored.event.verdict, stored.event.by
    return Confirmation(
        asked.confirm_id, state, asked.user, asked.thread_id, asked.job_id, asked.tool, asked.arguments,
        asked.question, asked.approver, iso(at), iso(asked.expires_at), by,
    )  # fmt: skip


def settle(ledger: Ledger, confirm_id: str, *, approved: bool, by: str) -> Confirmation:
    """Record an operator's word on a confirmation; a worker takes it up, now or when it starts.

    Raises: InputError for an id that names none or several, one that is settled or has expired, or a name that cannot
    be an operator's; nothing is written.
    """
    _check_name(by)
    every = [each for each in confirmations(ledger, every=True) if each.id.startswith(confirm_id)] if confirm_id else []
    found = next((each for each in every if each.id == confirm_id), every[0] if len(every) == 1 else None)
    if found is None:
        wrong = f"names {len(every)} confirmations; give more of it" if every else "is no confirmation"
        raise InputError(f"{confirm_id!r} {wrong}; see `fleet confirm list`")
    if found.state != "open":
        said = "has expired" if found.state == "expired" and not found.by else f"was {found.state} by {found.by}"
        raise InputError(f"confirmation {found.id} {said}; nothing was changed")
    event = ConfirmationSettled(
        confirm_id=found.id, job_id=found.job_id, thread_id=found.thread_id, user=found.user,
        verdict="approved" if approved else "denied", by=by,
    )  # fmt: skip
    try:
        ledger.append_now(Draft(f"confirm:{found.id}", 0, (event,), found.user))
    except StaleWriteError:
        raise InputError(f"confirmation {found.id} was answered in this moment; nothing was changed") from None
    return next(each for each in confirmations(ledger, user=found.user, every=True) if each.id == found.id)


def cut_off_calls(ledger: Ledger, job_id: str = "") -> Iterator[CutOffCall]:
    """The calls, of one job or of all, of which nobody knows whether they took effect, the newest first."""
    if job_id:
        stream = reversed(ledger.read_stream(f"job:{job_id}"))
    else:
        stream = ledger.read(types=(ToolReturned.TYPE,), newest_first=True)
    for stored in stream:
        event = stored.event
        if isinstance(event, ToolReturned) and event.unknown and not ledger.version(_call(event.job_id, event.call_id)):
            ended = next(
                (
                    each.event.thread_id
                    for each in ledger.read_stream(stored.stream, after=stored.version)
                    if isinstance(each.event, (TurnEnded, TurnSetAside))
                ),
                "",
            )
            yield CutOffCall(
                event.job_id, ended, stored.user, event.call_id, event.tool, event.arguments, iso(stored.at)
            )


def _check_name(by: str) -> None:
    if not by.strip() or not by.isprintable():
        raise InputError("it takes a printable name, who says so; nothing was changed")
    if by.strip().casefold() == "user":  # the record calls whoever the thread belongs to so
        raise InputError(
            "'user' is whoever the thread belongs to, and no operator's name: give yours (--by); nothing was changed"
        )


def _call(job_id: str, call_id: str) -> str:
    return f"call:{job_id}:{call_id}"


def resolve_call(
    ledger: Ledger, job_id: str, call_id: str, *, took_effect: bool, by: str, note: str = ""
) -> CutOffCall:
    """Record what became of a call that was cut off; the agent is told, and goes on.

    `call_id` may be left out where the job has one such call.
    Raises: InputError for a job without such a call, or with several, or a name as of `settle`; nothing is written.
    """
    _check_name(by)
    found = [each for each in cut_off_calls(ledger, job_id) if call_id in ("", each.call_id)]
    if not found:
        raise InputError(f"job {job_id!r} has no call to resolve; see `fleet jobs list`")
    if len(found) > 1:
        raise InputError(f"job {job_id} has {len(found)} such calls: say which with --call ({found[0].call_id}, …)")
    call = found[0]
    event = CallResolved(
        job_id=job_id, thread_id=call.thread_id, user=call.user, call_id=call.call_id, tool=call.tool,
        took_effect=took_effect, note=note, by=by,
    )  # fmt: skip
    try:
        ledger.append_now(Draft(_call(job_id, call.call_id), 0, (event,), call.user))
    except StaleWriteError:
        raise InputError(f"the call {call.call_id} was resolved in this moment; nothing was changed") from None
    return call

"""Finding a message: by id, by the beginning of its id, as the last one, or by user and time."""

from __future__ import annotations

from datetime import UTC, datetime

from fleet.clock import iso, now, to_us
from fleet.errors import InputError
from fleet.ledger.base import Ledger, Stored
from fleet.ledger.events import Erased, UserForgotten
from fleet.prompting.quote import quote

__all__ = ["find_message", "forgotten", "last_message", "message_at", "read_time", "seq_at"]

_STREAM = "message:"
_LISTED = 5
_ACCEPTED = ("message.accepted", "dispatch.requested")


def find_message(ledger: Ledger, text: str) -> str:
    """The id of the message that `text` names: a whole id, or the beginning of exactly one.

    Raises: InputError if it names none, or several: then it lists up to five of them; or one that was forgotten.
    """
    if not text:
        raise InputError("a message is named by its id or the beginning of it")
    if ledger.version(_STREAM + text):
        return _kept(ledger, text)
    found = ledger.find_streams(_STREAM + text, _LISTED + 1)
    ids = [name.removeprefix(_STREAM) for name in found]
    if not ids:
        raise InputError(f"there is no message {quote(text)} in this ledger; `fleet audit list` shows what there is")
    if len(ids) > 1:
        more = " and more" if len(ids) > _LISTED else ""
        raise InputError(f"{quote(text)} begins the ids of several messages: {', '.join(ids[:_LISTED])}{more}")
    return _kept(ledger, ids[0])


def _kept(ledger: Ledger, message_id: str) -> str:
    """The id of a message that is there. Raises: InputError for one whose sender was forgotten."""
    accepted = ledger.read_stream(_STREAM + message_id)[0]
    if isinstance(accepted.event, Erased):
        raise InputError(
            f"message {message_id} was erased: its sender was forgotten, and nothing but its id is left "
            f"(accepted {iso(accepted.at)})"
        )
    return message_id


def last_message(ledger: Ledger, user: str = "") -> str:
    """The id of the message accepted last, of this user or of anyone.

    Raises: InputError if there is none.
    """
    for stored in ledger.read(types=_ACCEPTED, user=user, newest_first=True, limit=1):
        return _id(stored)
    raise _none_of(ledger, user) if user else InputError("no message has been accepted yet")


def message_at(ledger: Ledger, user: str, at: int) -> str:
    """The id of the user's message accepted nearest to `at` (microseconds since 1970 UTC).

    Raises: InputError if the user has none.
    """
    seq = seq_at(ledger, at)
    near = [
        *ledger.read(types=_ACCEPTED, user=user, before=seq + 1, newest_first=True, limit=1),
        *ledger.read(types=_ACCEPTED, user=user, after=seq, limit=1),
    ]
    if not near:
        raise _none_of(ledger, user)
    return _id(min(near, key=lambda stored: abs(stored.at - at)))


def forgotten(ledger: Ledger, user: str) -> Stored | None:
    """The event with which everything of the user was erased, the last one; None if nothing ever was."""
    return next(ledger.read(types=(UserForgotten.TYPE,), user=user, newest_first=True, limit=1), None)


def _none_of(ledger: Ledger, user: str) -> InputError:
    gone = "; everything of theirs was erased" if forgotten(ledger, user) else ""
    return InputError(f"there is no message of user {quote(user)}{gone}")


def seq_at(ledger: Ledger, at: int) -> int:
    """The seq of the last event committed at or before `at`; 0 if there is none. Reads one event a halving."""
    low, high = 0, ledger.head()[0]
    while low < high:
        middle = (low + high + 1) // 2
        stored = next(ledger.read(after=middle - 1, limit=1))
        low, high = (middle, high) if stored.at <= at else (low, middle - 1)
    return low


def read_time(text: str) -> int:
    """A time as people type it, in microseconds since 1970: ISO 8601, UTC where no zone is given; `14:05` is today.

    Raises: InputError for anything else.
    """
    given = text.strip()
    if "-" not in given and ":" in given:
        given = f"{now():%Y-%m-%d}T{given}"
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise InputError(f"a time looks like 2026-03-10T14:05 or 14:05 (UTC), not {quote(text)}") from None
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _id(stored: Stored) -> str:
    return stored.stream.removeprefix(_STREAM)

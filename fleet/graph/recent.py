"""A user's most recent threads: a list of ids, each once, the newest last."""

from __future__ import annotations

from fleet.graph.records import RECENT_KEPT, UserRecord

__all__ = ["recent_ids", "touch"]


def touch(user: UserRecord, thread_id: str) -> None:
    """Make the thread the user's most recent one; the oldest one of too many is dropped."""
    recent = user.recent
    if recent and recent[-1] == thread_id:
        return
    if thread_id in recent:
        recent.remove(thread_id)
    recent.append(thread_id)
    if len(recent) > RECENT_KEPT:
        del recent[0]


def recent_ids(user: UserRecord, count: int = RECENT_KEPT) -> list[str]:
    """The ids of the user's `count` most recent threads, newest first."""
    return user.recent[: -count - 1 : -1]

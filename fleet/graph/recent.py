"""A user's most recent threads: a durable list of ids, the newest last, some of them twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from fleet.graph.living import LivingRoot
from fleet.graph.records import RECENT_KEPT, UserRecord

__all__ = ["newest_first", "recent_ids", "recent_of", "touch"]

_AT_HAND = 20_000  # users


def touch(root: LivingRoot, user: UserRecord, user_id: str, thread_id: str) -> None:
    """Make the thread the user's most recent one: append, and now and then drop what is said twice."""
    kept = root.recents.get(user_id)
    if kept is not None:
        if thread_id in kept:
            kept.remove(thread_id)
        kept.insert(0, thread_id)
        del kept[RECENT_KEPT:]
    recent = user.recent
    if len(recent) and recent[-1] == thread_id:
        return
    recent.append(thread_id)
    if len(recent) > 2 * RECENT_KEPT:
        user.recent = list(reversed(recent_ids(user, RECENT_KEPT)))


def recent_of(root: LivingRoot, user: UserRecord, user_id: str) -> list[str]:
    """The ids of the user's `RECENT_KEPT` most recent threads, newest first, kept at hand. Not to be changed."""
    kept = root.recents.get(user_id)
    if kept is None:
        if len(root.recents) >= _AT_HAND:
            root.recents.clear()
        kept = root.recents[user_id] = recent_ids(user, RECENT_KEPT)
    return kept


def recent_ids(user: UserRecord, count: int) -> list[str]:
    """The ids of the user's `count` most recent threads, newest first."""
    return list(islice(newest_first(user), count))


def newest_first(user: UserRecord) -> Iterator[str]:
    """The ids of the user's recent threads, newest first, each once; it reads no further than it is asked to."""
    seen: set[str] = set()
    recent = user.recent
    for index in range(len(recent) - 1, -1, -1):
        thread_id = recent[index]
        if thread_id not in seen:
            seen.add(thread_id)
            yield thread_id

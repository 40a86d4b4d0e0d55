"""Histories of a given size, written as events: what a fleet would have recorded, without its models."""

from __future__ import annotations

import asyncio

from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import Decision, MessageAccepted, MessageDecided, TurnEnded, TurnStarted

ROLE = "information_retriever"


async def seed(ledger: Ledger, threads: int, users: int, messages: int = 1, first: int = 0, user: str = "") -> None:
    """Append `threads` threads with `messages` answered messages each, spread over `users` users (or all of `user`)."""
    for start in range(first, first + threads, 500):
        count = min(500, first + threads - start)
        for turn in range(1, messages + 1):
            drafts = [_message(n, user or f"user{n % users}", turn) for n in range(start, start + count)]
            for stage in zip(*drafts, strict=True):  # all accepted, then all decided, then all answered
                await asyncio.gather(*(ledger.append(draft) for draft in stage))


def _message(number: int, user: str, turn: int) -> list[Draft]:
    """The drafts of one message of one thread: accepted, decided, answered."""
    thread, job, message = f"thr_{number:012x}", f"job_{number:012x}", f"seed_{number:x}_{turn}"
    text = f"Old message {turn} of thread {number}: what about the plan for week {number % 52}?"
    accepted = MessageAccepted(message_id=message, user=user, text=text)
    decision = Decision(
        by="model", outcome="start_new_thread" if turn == 1 else "dispatch_to", thread_id=thread, job_id=job,
        agent=ROLE, name=f"Plan {number}", language="en", reason="seeded",
    )  # fmt: skip
    decided = MessageDecided(message_id=message, user=user, text=text, decision=decision)
    started = TurnStarted(job_id=job, thread_id=thread, turn=turn, message_ids=(message,))
    ended = TurnEnded(
        job_id=job, thread_id=thread, user=user, turn=turn, message_ids=(message,), result="success",
        reply=f"The plan for week {number % 52} stands.", deliver=False,
    )  # fmt: skip
    return [
        Draft(f"message:{message}", 0, (accepted,), user),
        Draft(f"message:{message}", 1, (decided,), user),
        Draft(f"job:{job}", 2 * (turn - 1), (started, ended), user),
    ]

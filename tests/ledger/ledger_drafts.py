"""Drafts as the runtime writes them, and children that write them from another process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fleet.ledger import Blob, Draft, SqliteLedger
from fleet.ledger.events import (
    AppEventRecorded,
    Candidate,
    Decision,
    MessageAccepted,
    MessageDecided,
    ReplyDelivered,
    TurnEnded,
    TurnStarted,
)

ROOT = Path(__file__).parents[2]


def accepted(message_id: str, user: str = "ana", text: str = "Friday is better") -> Draft:
    event = MessageAccepted(message_id=message_id, user=user, text=text)
    return Draft(f"message:{message_id}", 0, (event,), user)


def decided(message_id: str, user: str = "ana", transcript: str = "Incoming message: …") -> Draft:
    blob = Blob.of(transcript)
    decision = Decision(
        by="model",
        outcome="dispatch_to",
        thread_id="thr_1",
        agent="schedule_assistant",
        candidates=(Candidate(thread_id="thr_1", agent="schedule_assistant", name="Swap Friday"),),
        transcript=blob.hash,
        latency_us={"model": 1500},
    )
    event = MessageDecided(message_id=message_id, user=user, text="Friday is better", decision=decision)
    return Draft(f"message:{message_id}", 1, (event,), user, (blob,))


def turn(message_id: str, version: int, user: str = "ana") -> Draft:
    """A whole turn that answers one message: three events of the job's stream at once."""
    return Draft(
        "job:job_1",
        version,
        (
            TurnStarted(job_id="job_1", thread_id="thr_1", turn=version // 3 + 1, message_ids=(message_id,)),
            AppEventRecorded(name="swap.requested", job_id="job_1", user=user, data={"day": "Fri", "ŝanĝo": [1, None]}),
            TurnEnded(
                job_id="job_1",
                thread_id="thr_1",
                user=user,
                turn=version // 3 + 1,
                message_ids=(message_id,),
                result="success",
                reply_id=f"rep_{message_id}",
                reply="Done.",
            ),
        ),
        user,
    )


def delivered(message_id: str) -> Draft:
    return Draft(
        f"reply:rep_{message_id}", 0, (ReplyDelivered(reply_id=f"rep_{message_id}", thread_id="thr_1"),), "ana"
    )


def conversation(append: Callable[[Draft], object], messages: int = 2) -> None:
    """Messages of two users from acceptance to delivery, the last one left undelivered."""
    for place in range(messages):
        message_id, user = f"m{place}", "ana" if place % 2 == 0 else "bo"
        append(accepted(message_id, user))
        append(decided(message_id, user, f"transcript of {message_id} " * 20))
        append(turn(message_id, 3 * place, user))
        if place < messages - 1:
            append(delivered(message_id))


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python on `code`, which finds these drafts imported; its lines come through stdout."""
    return subprocess.Popen(
        [sys.executable, "-c", "from ledger_drafts import *\n" + code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def writing_connection(ledger: SqliteLedger) -> sqlite3.Connection:
    """The connection that the ledger writes through, to set SQLite's own limits on it."""
    assert ledger._writer is not None
    return ledger._writer._connection

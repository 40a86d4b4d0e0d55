"""What operators order of a job: call it off, or try again what ended badly. From the ledger alone, by any process."""

from __future__ import annotations

from contextlib import suppress

from fleet.errors import InputError, StaleWriteError
from fleet.ledger.base import Draft, Ledger
from fleet.ledger.events import JobCancelled, MessageAccepted, MessageRetried
from fleet.runtime.jobs import Job, job_of
from fleet.runtime.reminders import cancel_reminder, due_of_job, reminders_of

__all__ = ["cancel_job", "retry_job"]


def cancel_job(ledger: Ledger, job_id: str, *, by: str, reason: str = "") -> Job:
    """Call off what a job is doing and what waits for it: it ends between two steps, failed with that reason.

    Its open reminders are taken back. Returns the job as it then stands, on record before this returns. A tool that
    runs is not interrupted; its result counts. Raises: InputError if there is no such job, or nothing of it is left to
    do.
    """
    while True:
        found = job_of(ledger, job_id)
        reminders = reminders_of(ledger, job_id)
        for each in reminders:
            with suppress(InputError):  # it fired, or somebody else took it back, at this very moment
                cancel_reminder(ledger, each.id, by=by, reason=reason)
        if found.state != "running" and not found.waiting:
            if reminders:
                return found
            raise InputError(f"job {job_id} is at rest ({found.state}); there is nothing to call off")
        stream = f"cancel:{job_id}"
        words = f"called off by {by}" + (f": {reason}" if reason else "")
        event = JobCancelled(job_id=job_id, thread_id=found.thread_id, user=found.user, by=by, reason=words,
                             reminders=due_of_job(ledger, job_id))  # fmt: skip
        try:
            ledger.append_now(Draft(stream, ledger.version(stream), (event,), found.user))
        except StaleWriteError:  # somebody else did so at this very moment
            continue
        return found


def retry_job(ledger: Ledger, job_id: str, *, by: str) -> tuple[str, ...]:
    """Have the messages of a job's last turn, which failed or is blocked, answered again; their ids.

    Raises: InputError if there is no such job, its last turn ended well or has not ended, or a person has to say
    something about a call first; nothing is written then.
    """
    found = job_of(ledger, job_id)
    if found.state not in ("failed", "blocked", "cancelled"):
        raise InputError(f"job {job_id} is {found.state}; only what failed or is blocked is tried again")
    last = found.turns[-1]
    if found.parent:
        raise InputError(f"job {job_id} is a task of {found.parent}, which was told so; try that job again")
    if found.cut_off:
        raise InputError(f"job {job_id} has a call that was cut off; `fleet jobs resolve {job_id}` comes first")
    if asked := next((call for call in last.calls if call.state == "asked"), None):
        raise InputError(f"job {job_id} waits for approval; `fleet confirm approve {asked.confirm_id}` or deny it")
    if not last.message_ids:
        raise InputError(f"turn {last.number} of job {job_id} answered no message; there is nothing to try again")
    for message_id in last.message_ids:
        _put_back(ledger, found, message_id, by)
    return last.message_ids


def _put_back(ledger: Ledger, job: Job, message_id: str, by: str) -> None:
    while True:
        stream = ledger.read_stream(f"message:{message_id}")
        accepted = stream[0].event
        if not isinstance(accepted, MessageAccepted):
            raise InputError(f"message {message_id} was erased; it cannot be answered again")
        event = MessageRetried(
            message_id=message_id, by=by, thread_id=job.thread_id, job_id=job.id, text=accepted.text
        )  # fmt: skip
        try:
            ledger.append_now(Draft(f"message:{message_id}", stream[-1].version, (event,), job.user))
        except StaleWriteError:
            continue
        return

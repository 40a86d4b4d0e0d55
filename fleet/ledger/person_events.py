"""A person in the place of the model: a thread taken over, what they tell the user, the thread given back.

What an operator does is on a stream of its own, so that it never races with the turns on the job's.
"""

from __future__ import annotations

from fleet.ledger.event import Event, Queue

__all__ = ["JobCancelled", "PersonReplied", "ThreadReleased", "ThreadTakenOver", "TurnSetAside"]


class ThreadTakenOver(Event):
    """From here on `by` answers in the thread, and no model. Stream: takeover:THREAD."""

    TYPE = "thread.taken_over"
    thread_id: str
    job_id: str
    user: str
    by: str


class PersonReplied(Event):
    """What a person who has taken a thread over tells its user. Stream: takeover:THREAD.

    `key` names it in the queue and in the end of the turn that gives it to the user: a worker writes that, without a
    model, for the messages that wait in the thread when this is said.
    """

    TYPE = "person.replied"
    key: str
    thread_id: str
    job_id: str
    user: str
    by: str
    text: str

    def opens(self) -> tuple[tuple[Queue, str], ...]:
        return (("turns", self.key),)


class ThreadReleased(Event):
    """The thread is its agent's again, which answers what nobody has. Stream: takeover:THREAD."""

    TYPE = "thread.released"
    thread_id: str
    job_id: str
    user: str
    by: str


class JobCancelled(Event):
    """Somebody calls off what a job is doing and what waits for it. Stream: cancel:JOB.

    The job's next step is the end of its turn; what waits ends without one, the `reminders` that are due and wait too.
    `reason` says who and why.
    """

    TYPE = "job.cancelled"
    job_id: str
    thread_id: str
    user: str
    by: str
    reason: str
    reminders: tuple[str, ...] = ()

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return tuple(("turns", key) for key in self.reminders)


class TurnSetAside(Event):
    """A turn ends without an answer, because `by` has taken its thread over; its messages wait again. Stream: job:ID.

    `texts` are those of the messages; `settled` names the confirmations and resolved calls that it took up,
    `subjobs` the child jobs that it waited for and that are called off with it. `withheld` is the reply that the model
    had given by then, and that nobody was told.
    """

    TYPE = "turn.set_aside"
    job_id: str
    thread_id: str
    user: str
    turn: int
    by: str
    message_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    subjobs: tuple[str, ...] = ()
    withheld: str = ""

    def closes(self) -> tuple[tuple[Queue, str], ...]:
        return tuple(("turns", key) for key in self.settled)

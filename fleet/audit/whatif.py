"""What if: past messages decided again by another prompt, model or warmup. Nothing is written to the ledger.

What was decided is kept in a file of its own, a line each, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fleet.audit.questions import Question
from fleet.errors import InputError, ModelError
from fleet.llm.base import Model
from fleet.routing.thinking import Thought, ask
from fleet.sandbox import DispatchTo

__all__ = ["Again", "Budget", "Kept", "decide_again", "fingerprint"]

_HOPELESS = 5  # so many messages without any answer from the start: the model cannot be had


@dataclass(frozen=True)
class Again:
    """One message decided again.

    `outcome` is dispatch_to, start_new_thread, or refused where no answer was an action; `verdicts` are those on the
    answers; `exact` as in `Question`; cost and latency are those of the model's calls.
    """

    seq: int
    outcome: str
    thread_id: str = ""
    agent: str = ""
    reason: str = ""
    verdicts: tuple[str, ...] = ()
    cost_usd: float = 0.0
    latency_us: int = 0
    exact: bool = True


@dataclass(frozen=True)
class Budget:
    """Where a run stops: US dollars and messages, both for the whole of it, earlier parts included. None: nowhere."""

    usd: float | None = None
    messages: int | None = None


def fingerprint(*parts: str) -> str:
    """What names a what-if: the ledger, the model, the words of prompt and warmup."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Kept:
    """The file of a what-if: a line that says which it is, then one a message. Open it with `with`.

    A line that a kill cut off is dropped, and its message asked again.
    Raises: InputError for a file of another what-if, one that is in use, or that cannot be read or written.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.again = path, dict[int, Again]()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file: IO[bytes] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        try:
            _lock(self._file, path)
            self._read(name)
        except BaseException:
            self._file.close()
            raise

    def _read(self, name: str) -> None:
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            try:
                self._take(json.loads(line), name, first=not whole)
            except (ValueError, TypeError, AttributeError):
                raise InputError(f"{self.path} is not the state of a what-if; name another file") from None
            whole += len(line)
        self._file.seek(whole)
        self._file.truncate()
        if not whole:
            self._write({"whatif": name})

    def _take(self, line: dict[str, Any], name: str, *, first: bool) -> None:
        if first and "whatif" not in line:
            raise ValueError
        if first and line["whatif"] != name:
            raise InputError(f"{self.path} belongs to another what-if; name another file, or delete it")
        if not first:
            again = Again(**{**line, "verdicts": tuple(line["verdicts"])})
            self.again[again.seq] = again

    def add(self, again: Again) -> None:
        """Keep one more."""
        self.again[again.seq] = again
        self._write(asdict(again))

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs on one file are the caller's to avoid
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(f"{path}: another what-if is writing this file") from None


async def decide_again(
    asked: Iterable[Question],
    model: Model,
    kept: Kept,
    *,
    budget: Budget,
    concurrency: int,
    max_tokens: int,
    timeout_s: float,
    done: Callable[[], None],
) -> list[str]:
    """Ask `model` every question and keep what came of it; why some got no answer, a sentence each.

    Those are not kept: a later run asks them again. The budget is looked at before each message, with what those under
    way are likely to cost; the first is asked alone, to know. `done` is told of each message.
    Raises: ModelError if none of the first few got any answer.
    """
    spent, running = sum(each.cost_usd for each in kept.again.values()), 0
    silent: list[str] = []
    left = iter(asked)

    def affordable() -> bool:
        known = len(kept.again)
        if budget.messages is not None and known + running >= budget.messages:
            return False
        likely = spent / known if known else 0.0
        return budget.usd is None or (spent < budget.usd and spent + (running + 1) * likely <= budget.usd)

    async def lane(*, once: bool = False) -> None:
        nonlocal spent, running
        while affordable() and (question := next(left, None)) is not None:
            running += 1
            try:
                thought = await _ask(model, question, max_tokens, timeout_s)
            finally:
                running -= 1
            again = _again(question, thought)
            spent += again.cost_usd
            if any(not each.error for each in thought.attempts):
                kept.add(again)
            else:
                silent.append(thought.failure)
                if len(silent) == _HOPELESS and not kept.again:
                    raise ModelError(f"the first {_HOPELESS} messages got no answer: {thought.failure}")
            done()
            if once:
                return

    await lane(once=True)
    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(concurrency):
                lanes.create_task(lane())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return silent


async def _ask(model: Model, question: Question, max_tokens: int, timeout_s: float) -> Thought:
    if question.trouble:
        return Thought(failure=question.trouble)
    return await ask(model, question.system, question.shown, max_tokens=max_tokens, timeout_s=timeout_s)


def _again(question: Question, thought: Thought) -> Again:
    action, where = thought.action, {"outcome": "refused"}
    if isinstance(action, DispatchTo):
        thread = question.shown.threads[action.thread_index]
        where = {"outcome": "dispatch_to", "thread_id": thread.id, "agent": thread.agent}
    elif action is not None:
        where = {"outcome": "start_new_thread", "agent": action.agent}
    return Again(
        question.seq,
        **where,
        reason=thought.reason,
        verdicts=tuple(each.verdict or "error" for each in thought.attempts),
        cost_usd=sum(each.cost_usd for each in thought.attempts),
        latency_us=sum(each.latency_us for each in thought.attempts),
        exact=question.exact,
    )

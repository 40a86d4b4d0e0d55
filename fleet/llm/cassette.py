"""A model whose answers were recorded once and are replayed: real answers in tests, without a key.

A cassette is a JSONL file, one line per call: `{"key", "purpose", "model", "answer"}`. The key is the hash of the
request (`request_key`); the request itself is not stored, nor any credential. Answers may hold what users said.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from pathlib import Path

from fleet.errors import ConfigError, ModelAnswerError
from fleet.llm.answers import answer_to_json, read_answer, request_key
from fleet.llm.base import Answer, Model, Request

__all__ = ["CassetteModel"]


class CassetteModel:
    """Replays the answers in the file at `path`; with `inner`, asks it for those that are missing and adds them.

    Several answers to one request are replayed in the order recorded; once they are used up, `inner` is asked for one
    more, or, without `inner`, the last is given again. A line is in the file before its answer is returned.
    """

    def __init__(self, path: str | Path, inner: Model | None = None) -> None:
        """Read the file, which may be missing only where `inner` is given.

        Raises: ConfigError for a file that cannot be read, a folder that is missing, or a line that is no record.
        """
        self._path = Path(path)
        self._inner = inner
        self._waiting: dict[str, deque[Answer]] = {}
        self._last: dict[str, Answer] = {}
        self._writing = asyncio.Lock()
        self._load()

    @property
    def name(self) -> str:
        """`cassette:` and the path as given."""
        return f"cassette:{self._path}"

    async def complete(self, request: Request) -> Answer:
        """The recorded answer to this request.

        Raises: ModelAnswerError if there is none and no `inner` to record one, or if it cannot be stored;
        ModelRefusedError for a request that is not JSON; what `inner` raises, which is not recorded.
        """
        key = request_key(request)
        if waiting := self._waiting.get(key):
            self._last[key] = waiting.popleft()
            return self._last[key]
        if self._inner is not None:
            answer = await self._inner.complete(request)
            await self._record(key, request, answer)
            return answer
        if key in self._last:
            return self._last[key]
        raise ModelAnswerError(
            f"{self.name} has no answer to this {request.purpose} request (key {key}); "
            "record it by running once with CassetteModel(path, inner=a model)"
        )

    async def aclose(self) -> None:
        """Close the inner model, where there is one."""
        if self._inner is not None:
            await self._inner.aclose()

    def _load(self) -> None:
        if self._inner is not None and not self._path.exists():
            if not self._path.parent.is_dir():
                raise ConfigError(f"the cassette {self._path} cannot be written: there is no folder for it")
            return
        try:
            lines = self._path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the cassette {self._path} cannot be read: {error}") from None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                answer = read_answer(record["answer"], source=self.name)
                self._waiting.setdefault(str(record["key"]), deque()).append(answer)
            except (ValueError, TypeError, KeyError, ModelAnswerError):
                raise ConfigError(f"line {number} of the cassette {self._path} is no recorded answer") from None

    async def _record(self, key: str, request: Request, answer: Answer) -> None:
        record = {"key": key, "purpose": request.purpose, "model": answer.model, "answer": answer_to_json(answer)}
        line = json.dumps(record) + "\n"
        async with self._writing:
            try:
                await asyncio.to_thread(self._append, line)
            except OSError as error:
                raise ModelAnswerError(f"the cassette {self._path} cannot be written: {error}") from None
        self._last[key] = answer

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)
